"""The assertion of the contract tests."""

from __future__ import annotations


def expect(holds: object, promise: str) -> None:
    """Raise an `AssertionError` unless a condition holds, even under `python -O`."""
    if not holds:
        raise AssertionError(promise)
