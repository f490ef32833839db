"""A code table by name: a duplicate raises, an unknown name is answered with the nearest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from foveal.errors import UsageError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of one kind of thing. Filled at import, read-only afterwards.

    Args:
        kind: What is registered, as it appears in errors ("backbone").
    """

    def __init__(self, kind: str) -> None:
        """Start empty."""
        self.kind = kind
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register `item` under `name` and return it.

        Raises:
            ValueError: When the name is taken.
        """
        if name in self._items:
            raise ValueError(f"Invalid {self.kind} registration: {name!r} is taken already.")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        """Return the item called `name`.

        Raises:
            UsageError: When there is none; the message names the nearest.
        """
        if name not in self._items:
            raise UsageError(unknown_name(self.kind, name, self._items))
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether `name` is registered."""
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in order of registration."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self._items)
