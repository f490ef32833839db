"""The rows of a batch that a process works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True, slots=True)
class Share:
    """The rows of a batch that one process works on.

    Attributes:
        begin: First row.
        end: Row after the last one.
        total: Rows of the whole batch.
        copies: Number of processes that work on each row: 1, or all of them if a batch has fewer
            rows than there are processes.
    """

    begin: int
    end: int
    total: int
    copies: int = 1

    @classmethod
    def whole(cls, total: int) -> Share:
        """Return all rows."""
        return cls(0, total, total)

    @classmethod
    def of(cls, total: int, rank: int, world: int) -> Share:
        """Return the rows of process `rank` of `world`; shares differ by at most one row.

        Nobody is left without a row, which most layers refuse: all processes work on the whole of
        a batch that has fewer rows than there are processes, and count as one.
        """
        if total < world:
            return cls(0, total, total, copies=world)
        return cls(total * rank // world, total * (rank + 1) // world, total)

    @property
    def weight(self) -> float:
        """Return how much a mean over these rows counts in the mean over the batch."""
        return (self.end - self.begin) / (self.total * self.copies)

    def take(self, rows: Tensor) -> Tensor:
        """Return this process's rows of something that has a row for each of the batch's."""
        return rows[self.begin : self.end]

    def draws(self, columns: int, generator: torch.Generator) -> Tensor:
        """Return (n, columns) in [0, 1): these rows of what is drawn for the whole batch."""
        return self.take(torch.rand(self.total, columns, generator=generator))
