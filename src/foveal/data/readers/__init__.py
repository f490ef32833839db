"""Readers: one module for each layout of data."""
