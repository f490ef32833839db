"""Cells of a notebook as a program that runs elsewhere: collected, checked, and what they need."""
