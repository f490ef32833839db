"""Masks as they are stored, what their values mean, and the source that gives them."""
