"""The cells that a notebook has collected, each under its key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

from foveal.errors import UsageError, unknown_name


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """One collected cell.

    Attributes:
        key: What makes it the same cell when it runs again: its name, or the front end's id.
        name: How people are told of it.
        source: All its lines, with the magic that stores it.
        failed: Whether it failed when it last ran here.
    """

    key: str
    name: str
    source: str
    failed: bool = False


@final
class CellStore:
    """Cells in the order in which they were first run."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}

    def __iter__(self) -> Iterator[Cell]:
        """Return the cells in their order."""
        return iter(self._cells.values())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._cells)

    def put(self, cell: Cell) -> None:
        """Keep a cell; one of the same key is replaced, in its place."""
        self._cells[cell.key] = cell

    def mark_failed(self, key: str) -> None:
        """Remember that a cell failed here, so that no job is made of it."""
        self._cells[key] = replace(self._cells[key], failed=True)

    def forget(self, name: str) -> None:
        """Drop a cell by its name.

        Raises:
            UsageError: If there is none.
        """
        for key, cell in self._cells.items():
            if cell.name == name:
                del self._cells[key]
                return
        names = [cell.name for cell in self]
        raise UsageError(
            unknown_name("cell", name, names) if names else f"There is no cell {name!r}.",
            hint="%foveal_cells shows those that were collected",
        )

    def clear(self) -> None:
        """Drop all."""
        self._cells.clear()

    def whole(self) -> tuple[Cell, ...]:
        """Return all cells.

        Raises:
            UsageError: If one failed here when it last ran.
        """
        for cell in self:
            if cell.failed:
                raise UsageError(
                    f"Cell {cell.name} failed when it last ran here, so it cannot be sent.",
                    hint=f"run it again, or leave it out: %foveal_cells --forget {cell.name}",
                )
        return tuple(self)
