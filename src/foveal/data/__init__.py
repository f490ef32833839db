"""Data: readers, decoding, cache and split. Independent of tasks."""
