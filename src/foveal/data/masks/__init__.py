"""Mask files, the meaning of their values, and the source of masks."""
