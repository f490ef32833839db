"""Divide samples into train, val and test: deterministic, stratified, groups kept together."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foveal.data.cache import Scan
from foveal.data.hashing import near_pairs
from foveal.data.source import Sample
from foveal.errors import DataError
from foveal.types import SPLIT_NAMES, Finding

UNUSED = -1


class SplitShares(Protocol):
    """What the split needs of the recipe's split section."""

    @property
    def val_share(self) -> float:
        """Return the share of validation samples."""

    @property
    def test_share(self) -> float:
        """Return the share of test samples."""


def assign_splits(
    samples: Sequence[Sample],
    scan: Scan,
    shares: SplitShares,
    *,
    seed: int,
    near_distance: int,
) -> tuple[NDArray[np.int8], list[Finding]]:
    """Return the side of every sample, and what is wrong with a split that the source gave.

    Samples of one group, byte-equal pictures and near-duplicates form a unit that stays on one
    side. Units are ordered by a hash of their content and the seed, so neither names nor the
    order of the files matter, and dealt out label by label.

    A side that the source names is kept. Where it names a test part but no validation part, the
    validation part is taken from the training part.

    Args:
        samples: Of the source.
        scan: Of the same samples.
        shares: How large the parts shall be.
        seed: Another seed, another split.
        near_distance: In bits of the perceptual hash.

    Returns:
        (N,) int8: 0 train, 1 val, 2 test, -1 unreadable or unlabelled; and findings.
    """
    usable = np.array([s.raw is not None for s in samples]) & scan.ok
    units = _units(samples, scan, usable, near_distance)
    side = np.full(len(samples), UNUSED, np.int8)
    given = np.array(
        [SPLIT_NAMES.index(s.split) if s.split is not None else UNUSED for s in samples], np.int8
    )
    findings = []
    named = usable & (given != UNUSED)
    if named.any():
        side[named] = given[named]
        findings += _leaks(samples, units, side)
    free = usable & (given == UNUSED)
    has_val, has_test = bool((side == 1).any()), bool((side == 2).any())
    if not has_val:
        # From everything that would be trained on, named or not.
        free |= usable & (side <= 0)
    val_share = 0.0 if has_val else shares.val_share
    test_share = 0.0 if has_test or named.any() else shares.test_share
    fixed = _sides_of_units(units, side, free)
    _deal(samples, scan, units, free, fixed, side, (val_share, test_share), seed)
    return side, findings


def write_split_csv(path: Path, samples: Sequence[Sample], split: NDArray[np.int8]) -> None:
    """Write `image,label,split`, a row for each sample; the split is empty where unused."""
    temporary = path.with_name(f".tmp-{path.name}")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "label", "split"])
        for sample, side in zip(samples, split, strict=True):
            name = SPLIT_NAMES[side] if side != UNUSED else ""
            writer.writerow([sample.id, "|".join(sample.raw or ()), name])
    temporary.replace(path)


def read_split_csv(path: Path, samples: Sequence[Sample]) -> NDArray[np.int8]:
    """Read what `write_split_csv` wrote, for the same samples.

    Raises:
        DataError: When the samples are no longer those of the file.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    if [row[0] for row in rows] != [sample.id for sample in samples]:
        raise DataError(
            f"The data has changed since {path} was written: it had {len(rows)} pictures and has "
            f"{len(samples)} now, or their names differ.",
            hint="foveal train DATA starts anew",
        )
    return np.array([SPLIT_NAMES.index(r[2]) if r[2] else UNUSED for r in rows], np.int8)


def _units(
    samples: Sequence[Sample], scan: Scan, usable: NDArray[np.bool_], distance: int
) -> NDArray[np.int64]:
    """Return (N,) the unit of each sample: the smallest position of those that belong together."""
    parent = np.arange(len(samples))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    def join(i: int, j: int) -> None:
        first, second = sorted((root(i), root(j)))
        parent[second] = first

    first_of: dict[tuple[str, str | bytes], int] = {}
    for i in np.flatnonzero(usable).tolist():
        keys: list[tuple[str, str | bytes]] = [("digest", scan.digest[i].tobytes())]
        group = samples[i].group
        if group is not None:
            keys.append(("group", group))
        for key in keys:
            join(first_of.setdefault(key, i), i)
    positions = np.flatnonzero(usable)
    for a, b in near_pairs(scan.phash[positions], scan.thumb[positions], distance).tolist():
        join(int(positions[a]), int(positions[b]))
    return np.array([root(i) for i in range(len(samples))], np.int64)


def _leaks(
    samples: Sequence[Sample], units: NDArray[np.int64], side: NDArray[np.int8]
) -> list[Finding]:
    members: dict[int, list[int]] = defaultdict(list)
    for i in np.flatnonzero(side != UNUSED).tolist():
        members[int(units[i])].append(i)
    torn = [group for group in members.values() if len({int(side[i]) for i in group}) > 1]
    if not torn:
        return []
    count = sum(len(group) for group in torn)
    return [
        Finding(
            id="split.leak",
            severity="warning",
            message=(
                f"The given split leaks: {len(torn)} pictures or groups stand on more than one "
                f"side ({count} files), so the measured figures will be too good."
            ),
            samples=tuple(samples[i].id for group in torn[:5] for i in group[:4]),
            count=count,
            hint="remove the copies, or let foveal split: leave out the split column or folders",
        )
    ]


def _sides_of_units(
    units: NDArray[np.int64], side: NDArray[np.int8], free: NDArray[np.bool_]
) -> dict[int, int]:
    """Return the side of units that a named split holds already, where it is held out."""
    fixed: dict[int, int] = {}
    for i in np.flatnonzero((side > 0) & ~free).tolist():
        unit = int(units[i])
        fixed[unit] = max(fixed.get(unit, 0), int(side[i]))
    return fixed


def _deal(
    samples: Sequence[Sample],
    scan: Scan,
    units: NDArray[np.int64],
    free: NDArray[np.bool_],
    fixed: dict[int, int],
    side: NDArray[np.int8],
    shares: tuple[float, float],
    seed: int,
) -> None:
    members: dict[int, list[int]] = defaultdict(list)
    for i in np.flatnonzero(free).tolist():
        members[int(units[i])].append(i)
    strata: dict[tuple[str, ...], list[tuple[bytes, list[int]]]] = defaultdict(list)
    for unit, group in members.items():
        if unit in fixed:
            # A copy of a held-out picture: with it, or the measured figures would be too good.
            for i in group:
                side[i] = fixed[unit] if samples[i].split is None else side[i]
            if any(samples[i].split is None for i in group):
                continue
        content = b"".join(sorted(scan.digest[i].tobytes() for i in group))
        key = hashlib.blake2b(content, key=str(seed).encode(), digest_size=16).digest()
        label = min((tuple(sorted(samples[i].raw or ())) for i in group))
        strata[label].append((key, group))
    for stratum in strata.values():
        stratum.sort(key=lambda entry: entry[0])
        _deal_stratum(stratum, side, shares)


def _deal_stratum(
    stratum: list[tuple[bytes, list[int]]], side: NDArray[np.int8], shares: tuple[float, float]
) -> None:
    total = sum(len(group) for _, group in stratum)
    val_share, test_share = shares
    # Each part gets its share to the nearest picture; one of two or more is always trained on.
    wanted = {1: round(total * val_share), 2: round(total * test_share)}
    if val_share and not wanted[1] and len(stratum) > 2:
        wanted[1] = 1
    given = {1: 0, 2: 0}
    trained = 0
    for position, (_, group) in enumerate(stratum):
        is_last = position == len(stratum) - 1
        choice = 0
        for part in (1, 2):
            room = wanted[part] - given[part]
            # A unit that overshoots by more than half of itself goes elsewhere.
            if room > 0 and len(group) <= 2 * room and not (is_last and trained == 0):
                choice = part
                break
        if choice:
            given[choice] += len(group)
        else:
            trained += len(group)
        side[group] = choice
