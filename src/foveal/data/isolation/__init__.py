"""Decoding in sandboxed processes: a crash, hang or decompression bomb costs one picture."""
