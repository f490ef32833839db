"""Fair queue: equal shares for clients, then for models, then by priority and age.

Fair queueing by virtual time: each client has a clock that its pictures advance by what they
cost, and whose clock is furthest behind comes first. One that was away starts where a client that
never was would stand, so that nobody saves up (Demers, Keshav and Shenker, 1989,
https://doi.org/10.1145/75246.75248; by start times, as Goyal, Vin and Cheng, 1996,
https://doi.org/10.1145/248156.248171). The models that one client asks have clocks of their own in
the same way. Deviation: a run of a network takes along pictures of the same model from other
clients, which are charged for them.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable, Iterator
from typing import Generic, Protocol, TypeAlias, TypeVar, final


class Waiting(Protocol):
    """Interface of queued items."""

    @property
    def client(self) -> str:
        """The client."""

    @property
    def kind(self) -> Hashable:
        """Key of the batch: the model."""

    @property
    def rank(self) -> int:
        """Order within a client's own; the smallest comes first."""

    @property
    def cost(self) -> float:
        """The cost: its time, or a value proportional to it."""


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
W = TypeVar("W", bound=Waiting)
# Clocks of those that have nothing queued are looked through when there are more than this.
_IDLE = 64


class _Shares(Generic[K, V]):
    """Parties with equal shares, each with a virtual clock."""

    def __init__(self) -> None:
        self.waiting: dict[K, V] = {}
        self.clocks: dict[K, float] = {}
        self._now = 0.0

    def enter(self, key: K, value: V) -> V:
        self.waiting[key] = value
        self.clocks[key] = max(self._now, self.clocks.get(key, 0.0))
        return value

    def leave(self, key: K) -> None:
        # Its clock stays: one that asks again at once has not been away.
        del self.waiting[key]
        if len(self.clocks) > 2 * len(self.waiting) + _IDLE:
            self.clocks = {
                key: clock
                for key, clock in self.clocks.items()
                if key in self.waiting or clock > self._now
            }

    def first(self) -> K:
        return min(self.waiting, key=self.clocks.__getitem__)

    def charge(self, key: K, cost: float) -> None:
        self.clocks[key] += cost
        # What each of those that wait should have had by now. It must go on: else new ones, which
        # start here, could come before the old ones for ever.
        self._now += cost / len(self.waiting)


_Line: TypeAlias = list[tuple[int, int, W]]
"""What one client wants of one model: (rank, number, item), a heap."""


@final
class FairQueue(Generic[W]):
    """A queue that is fair between clients and models. Not thread-safe."""

    def __init__(self) -> None:
        self._clients: _Shares[str, _Shares[Hashable, _Line[W]]] = _Shares()
        self._numbers = itertools.count()
        self._length = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return self._length

    def put(self, item: W) -> None:
        """Queue an item."""
        lines = self._clients.waiting.get(item.client)
        if lines is None:
            lines = self._clients.enter(item.client, _Shares())
        line = lines.waiting.get(item.kind)
        if line is None:
            line = lines.enter(item.kind, [])
        heapq.heappush(line, (item.rank, next(self._numbers), item))
        self._length += 1

    def remove(self, item: W) -> bool:
        """Take out an item that nobody wants any more; return whether it was still here."""
        lines = self._clients.waiting.get(item.client)
        line = lines.waiting.get(item.kind) if lines else None
        if line is None:
            return False
        kept = [entry for entry in line if entry[2] is not item]
        if len(kept) == len(line):
            return False
        line[:] = kept
        heapq.heapify(line)
        self._length -= 1
        self._tidy(item.client, item.kind)
        return True

    def first(self) -> W | None:
        """Return what comes next and leave it here."""
        if not self._length:
            return None
        lines = self._clients.waiting[self._clients.first()]
        return lines.waiting[lines.first()][0][2]

    def take(self, most: int) -> list[W]:
        """Take what comes next, and up to `most` in all of the same kind, in fair order."""
        first = self.first()
        if first is None:
            return []
        taken = [self._pop(first.client, first.kind)]
        if most > 1:
            taken.extend(itertools.islice(self._others(first.kind), most - 1))
        return taken

    def _others(self, kind: Hashable) -> Iterator[W]:
        """Pop items of a kind, of the client first whose clock is furthest behind."""
        clocks = self._clients.clocks
        having = [
            (clocks[name], number, name)
            for number, (name, lines) in enumerate(self._clients.waiting.items())
            if kind in lines.waiting
        ]
        heapq.heapify(having)
        while having:
            _, number, name = heapq.heappop(having)
            yield self._pop(name, kind)
            lines = self._clients.waiting.get(name)
            if lines is not None and kind in lines.waiting:
                heapq.heappush(having, (clocks[name], number, name))

    def _pop(self, name: str, kind: Hashable) -> W:
        lines = self._clients.waiting[name]
        item = heapq.heappop(lines.waiting[kind])[2]
        self._clients.charge(name, item.cost)
        lines.charge(kind, item.cost)
        self._length -= 1
        self._tidy(name, kind)
        return item

    def _tidy(self, name: str, kind: Hashable) -> None:
        lines = self._clients.waiting[name]
        if not lines.waiting[kind]:
            lines.leave(kind)
            if not lines.waiting:
                self._clients.leave(name)
