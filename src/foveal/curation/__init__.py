"""Decisions about samples, and what is done to the data because of them."""
