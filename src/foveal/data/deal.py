"""Stratified assignment of units of samples to train, val and test, or to folds."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

TRAIN, VAL, TEST = 0, 1, 2
_PARTS = (VAL, TEST)

Shares: TypeAlias = tuple[float, float]
"""Of val and of test."""


@final
@dataclass(frozen=True, slots=True)
class Unit:
    """Samples that must stay together.

    Attributes:
        positions: In the source.
        content: Digests of their files, 16 bytes each, sorted and joined.
        labels: Label → number of samples that have it.
    """

    positions: tuple[int, ...]
    content: bytes
    labels: Mapping[str, int]


def deal(units: Sequence[Unit], shares: Shares, seed: int) -> list[int]:
    """Return the part of each unit: 0 train, 1 val, 2 test.

    Units of one sample with one label are dealt to the nearest whole sample of each label's
    share; before that the others, which cannot be, are dealt one by one, the largest first, to
    where they are missed most. A label with two units or more is held out at least once, and no
    label is held out altogether.

    Args:
        units: In any order.
        shares: Shares of val and of test, in [0, 1); a part with a share of 0 gets nothing.
        seed: Seed of the order in which they are dealt.
    """
    key = _keys(units, seed)
    order = sorted(key, key=lambda i: key[i])
    table = _Table(units, order, shares)
    for i in sorted(order, key=lambda i: -len(units[i].positions)):
        if not _is_plain(units[i]):
            table.give(i, table.neediest(i))
    plain: dict[str, list[int]] = defaultdict(list)
    for i in order:
        if _is_plain(units[i]):
            plain[next(iter(units[i].labels))].append(i)
    for label, waiting in plain.items():
        for part in _PARTS:
            for _ in range(min(table.missing(label, part), len(waiting))):
                table.give(waiting.pop(), part)
        for i in waiting:
            table.give(i, TRAIN)
    table.mend()
    return [table.side[i] for i in range(len(units))]


def deal_into_folds(units: Sequence[Unit], folds: int, seed: int) -> list[int]:
    """Return the fold of each unit, in [0, folds).

    The largest units are dealt first, each to the fold that has least of its labels and, of those,
    the fewest samples. So single samples of one label are spread to within one.

    Args:
        units: In any order.
        folds: Number of folds, at least 2.
        seed: Seed of the order in which units of one size are dealt.
    """
    key = _keys(units, seed)
    total = Counter[str]()
    for unit in units:
        total.update(unit.labels)
    given: list[Counter[str]] = [Counter() for _ in range(folds)]
    sizes = [0] * folds
    chosen = [0] * len(units)
    for i in sorted(key, key=lambda i: (-len(units[i].positions), key[i])):
        labels = units[i].labels

        def has(fold: int, labels: Mapping[str, int] = labels) -> tuple[float, int]:
            share = sum(n * given[fold][name] / total[name] for name, n in labels.items())
            return share, sizes[fold]

        fold = min(range(folds), key=has)
        given[fold].update(labels)
        sizes[fold] += len(units[i].positions)
        chosen[i] = fold
    return chosen


def _keys(units: Sequence[Unit], seed: int) -> dict[int, bytes]:
    """Return position → what units are ordered by: their content and the seed."""
    return {
        i: hashlib.blake2b(unit.content, key=str(seed).encode(), digest_size=16).digest()
        for i, unit in enumerate(units)
    }


def _is_plain(unit: Unit) -> bool:
    return len(unit.positions) == 1 and len(unit.labels) == 1


@final
class _Table:
    """The number of samples of each label in each part."""

    def __init__(self, units: Sequence[Unit], order: Sequence[int], shares: Shares) -> None:
        self._units = units
        self._order = order
        self._shares = dict(zip(_PARTS, shares, strict=True))
        self.side: dict[int, int] = {}
        self._total: Counter[str] = Counter()
        self._units_of: Counter[str] = Counter()
        for unit in units:
            self._total.update(unit.labels)
            self._units_of.update(unit.labels.keys())
        self._given: dict[int, Counter[str]] = {part: Counter() for part in (TRAIN, *_PARTS)}
        self._units_given: dict[int, Counter[str]] = {part: Counter() for part in (TRAIN, *_PARTS)}

    def give(self, i: int, part: int) -> None:
        labels = self._units[i].labels
        if i in self.side:
            self._given[self.side[i]].subtract(labels)
            self._units_given[self.side[i]].subtract(labels.keys())
        self.side[i] = part
        self._given[part].update(labels)
        self._units_given[part].update(labels.keys())

    def wanted(self, label: str, part: int) -> int:
        """Return the target number of samples of a label in a part."""
        share = self._shares[part]
        nearest = int(self._total[label] * share + 0.5)
        # Held out at least once, where train and the parts before it get one too.
        return max(nearest, 1) if share and self._units_of[label] > part else nearest

    def missing(self, label: str, part: int) -> int:
        """Return how many samples of a label a part still lacks, leaving one for training."""
        left = self._units_of[label] - sum(count[label] for count in self._units_given.values())
        reserve = 0 if self._units_given[TRAIN][label] > 0 else 1
        return max(0, min(self.wanted(label, part) - self._given[part][label], left - reserve))

    def neediest(self, i: int) -> int:
        """Return the part that gets closest to its shares with a unit."""

        def gain(part: int) -> float:
            total = 0.0
            for label, count in self._units[i].labels.items():
                share = 1 - sum(self._shares.values()) if part == TRAIN else self._shares[part]
                missed = share * self._total[label] - self._given[part][label]
                # How much smaller the squared miss becomes, relative to the label's size.
                total += (missed**2 - (missed - count) ** 2) / self._total[label]
            return total

        parts = [TRAIN, *(part for part in _PARTS if self._shares[part])]
        return max(parts, key=lambda part: (gain(part), -part))

    def mend(self) -> None:
        """Put each label into train and, given two units, into a held-out part if possible."""
        for label in sorted(self._units_of):
            if not self._units_given[TRAIN][label]:
                self._move(label, _PARTS, TRAIN)
        for label in sorted(self._units_of):
            is_held_out = self._units_given[VAL][label] > 0
            if self._shares[VAL] and not is_held_out and self._units_of[label] > 1:
                self._move(label, (TRAIN,), VAL)

    def _move(self, label: str, sources: Sequence[int], target: int) -> None:
        """Move the smallest unit of a label whose labels all keep another unit in its part."""
        movable = [
            i
            for i in self._order
            if label in self._units[i].labels
            and self.side[i] in sources
            and (
                target == TRAIN
                or all(self._units_given[self.side[i]][name] > 1 for name in self._units[i].labels)
            )
        ]
        if movable:
            self.give(min(movable, key=lambda i: len(self._units[i].positions)), target)
