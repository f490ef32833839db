"""The one way in which a contract is found to be broken."""

from __future__ import annotations


def expect(holds: object, promise: str) -> None:
    """Raise `AssertionError` with the promise unless it holds. `python -O` does not skip it."""
    if not holds:
        raise AssertionError(promise)
