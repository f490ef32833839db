"""Scheduling: fair queue, batches and threads."""
