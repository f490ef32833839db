"""Split samples into train, val and test, or into folds: deterministic, stratified, grouped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foveal.data.deal import Unit, deal, deal_into_folds
from foveal.data.findings import finding, plural
from foveal.data.near import Together, together
from foveal.data.resemblance import Copies, copies_suspected, find_copies
from foveal.data.scan import Scan
from foveal.data.source import Sample, TargetKind
from foveal.data.texts import kinds_of, length_strata
from foveal.errors import DataError
from foveal.types import SPLIT_NAMES, Finding, RawTarget

UNUSED = -1
TRAIN, VAL, TEST = 0, 1, 2


class SplitShares(Protocol):
    """The sizes of the parts, from the recipe's split section."""

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
    target: TargetKind = "labels",
    copies: Copies | None = None,
) -> tuple[NDArray[np.int8], list[Finding]]:
    """Return the part of every sample, and findings about a split given by the source.

    Samples of one group, byte-equal pictures and near-duplicates form a unit that stays on one
    side. Units are ordered by a hash of their content and the seed, so neither names nor the
    order of the files matter.

    A side that the source states is kept, and its leaks are findings. Samples without a stated
    side go where their copies are, the others are dealt out. Where the source states no
    validation part, one is dealt out of the training part.

    Each label gets its share on every side. Texts are nearly all different, so it is their lengths
    that do; two pictures of one text are near-duplicates only where they look the same, and two of
    different texts never are.

    Args:
        samples: Samples of the source.
        scan: Scan of the same samples.
        shares: Sizes of the parts.
        seed: Another seed, another split.
        near_distance: Largest distance, in bits of the perceptual hash.
        target: Kind of label.
        copies: Result of `find_copies` for the usable samples, if it is known already.

    Returns:
        (N,) int8: 0 train, 1 val, 2 test, -1 unreadable or unlabelled; and findings.
    """
    usable = np.array([sample.raw is not None for sample in samples], np.bool_) & scan.ok
    stated = np.array(
        [UNUSED if s.split is None else SPLIT_NAMES.index(s.split) for s in samples], np.int8
    )
    stated[~usable] = UNUSED
    positions = np.flatnonzero(usable).astype(np.int64)
    if copies is None:
        copies = find_copies(samples, scan, positions, target, near_distance)
    found = find_units(samples, scan, positions, near_distance, target, copies)
    members = found.sets(positions)
    findings = [] if found.is_complete else [_cut_short(len(positions))]
    side = stated.copy()
    if (stated != UNUSED).any():
        findings += _leaks(samples, scan, members, stated)
        _follow(members, side)
    free_sides = (UNUSED,) if (side == VAL).any() else (UNUSED, TRAIN)
    strata = _strata(samples, usable, target)
    units = [
        _unit(strata, scan, positions)
        for positions in members
        # When part of a unit is held out, all of it is.
        if all(side[i] in free_sides for i in positions)
    ]
    has_stated = (stated != UNUSED).any()
    wanted = (
        0.0 if (side == VAL).any() else shares.val_share,
        0.0 if has_stated else shares.test_share,
    )
    if has_stated and wanted[0]:
        findings.append(_no_validation(wanted[0]))
    for unit, chosen in zip(units, deal(units, wanted, seed), strict=True):
        side[list(unit.positions)] = chosen
    side[usable & (side == UNUSED)] = TRAIN
    return side, findings


def assign_folds(
    samples: Sequence[Sample],
    scan: Scan,
    positions: NDArray[np.int64],
    folds: int,
    *,
    seed: int,
    near_distance: int,
    target: TargetKind = "labels",
    copies: Copies | None = None,
) -> NDArray[np.int8]:
    """Return the fold of some samples, and -1 for the others.

    Units are those of `assign_splits`, and so is what makes the folds the same again. Each fold has
    its share of each label, or of each length of text.

    Args:
        samples: Samples of the source.
        scan: Scan of the same samples.
        positions: (n,) positions of the samples to divide, which are usable.
        folds: Number of folds, at least 2.
        seed: Another seed, other folds.
        near_distance: Largest distance, in bits of the perceptual hash.
        target: Kind of label.
        copies: Result of `find_copies` for these samples, if it is known already.

    Returns:
        (N,) int8 in [-1, folds).

    Raises:
        DataError: If there are more folds than units of a label, or than units in all.
    """
    if copies is None:
        copies = find_copies(samples, scan, positions, target, near_distance)
    found = find_units(samples, scan, positions, near_distance, target, copies)
    chosen = np.zeros(len(samples), np.bool_)
    chosen[positions] = True
    strata = _strata(samples, chosen, target)
    units = [_unit(strata, scan, members) for members in found.sets(positions)]
    _check_folds(units, folds, target)
    fold = np.full(len(samples), UNUSED, np.int8)
    for unit, number in zip(units, deal_into_folds(units, folds, seed), strict=True):
        fold[list(unit.positions)] = number
    return fold


def _check_folds(units: Sequence[Unit], folds: int, target: TargetKind) -> None:
    """Raise where a fold could not have a unit of each label; texts have no labels."""
    count = Counter(label for unit in units for label in unit.labels)
    fewest = len(units)
    whose = "the data have"
    if target != "text" and count:
        label, fewest = min(count.items(), key=lambda item: (item[1], item[0]))
        whose = f"{label!r} has"
    if fewest >= folds:
        return
    raise DataError(
        f"Cannot divide the pictures into {folds} folds: {whose} only {fewest} that can be "
        "separated (copies and groups stay together).",
        hint=f"use --folds {fewest}" if fewest > 1 else "add pictures, or train without --folds",
        code="too_few_for_folds",
    )


def find_units(
    samples: Sequence[Sample],
    scan: Scan,
    positions: NDArray[np.int64],
    near_distance: int,
    target: TargetKind,
    copies: Copies,
) -> Together:
    """Return the units that are never separated: groups, duplicates and near-duplicates.

    Args:
        samples: Samples of the source.
        scan: Scan of the same samples.
        positions: (n,) positions of the usable samples.
        near_distance: Largest distance, in bits of the perceptual hash.
        target: Kind of label.
        copies: Result of `find_copies` for these samples.
    """
    known = chain(_group_pairs(samples, positions), copies.pairs.tolist())
    kinds = kinds_of(samples) if target == "text" else None
    return together(scan, positions, near_distance, known, kinds)


def _strata(
    samples: Sequence[Sample], usable: NDArray[np.bool_], target: TargetKind
) -> list[RawTarget]:
    """Return what each sample counts for when shares are dealt out; nothing where unusable."""
    raws = [(s.raw or ()) if ok else () for s, ok in zip(samples, usable.tolist(), strict=True)]
    if target != "text":
        return raws
    names = length_strata(raw[0] for raw in raws if raw)
    return [(names[len(raw[0])],) if raw else () for raw in raws]


def _cut_short(count: int) -> Finding:
    return finding(
        "split.search_cut_short",
        "warning",
        f"So many of the {count:,} pictures look alike that the search for near-duplicates was "
        "cut short: some may be on both sides of the split.",
        count=count,
        hint="group the pictures that belong together: --set 'data.group_regex=...'",
    )


def _group_pairs(
    samples: Sequence[Sample], positions: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Yield each sample of a group with the group's first."""
    first_of: dict[str, int] = {}
    for i in positions.tolist():
        group = samples[i].group
        if group is not None:
            yield first_of.setdefault(group, i), i


def _unit(strata: Sequence[RawTarget], scan: Scan, positions: Sequence[int]) -> Unit:
    counts: dict[str, int] = defaultdict(int)
    for i in positions:
        for label in strata[i]:
            counts[label] += 1
    content = b"".join(sorted(scan.digest[i].tobytes() for i in positions))
    return Unit(tuple(positions), content, dict(counts))


def _follow(members: Sequence[Sequence[int]], side: NDArray[np.int8]) -> None:
    """Put samples without a stated side where the rest of their unit is held out, or trained on."""
    for positions in members:
        stated = [int(side[i]) for i in positions if side[i] != UNUSED]
        if stated and len(stated) < len(positions):
            for i in positions:
                if side[i] == UNUSED:
                    side[i] = max(stated)


def _leaks(
    samples: Sequence[Sample],
    scan: Scan,
    members: Sequence[Sequence[int]],
    stated: NDArray[np.int8],
) -> list[Finding]:
    torn = []
    for positions in members:
        sides = {int(stated[i]) for i in positions} - {UNUSED}
        if len(sides) > 1:
            torn.append([i for i in positions if stated[i] != UNUSED])
    if not torn:
        return []
    equal, alike, grouped = 0, 0, 0
    for positions in torn:
        if _crosses(positions, stated, [scan.digest[i].tobytes() for i in positions]):
            equal += 1
        elif _crosses(positions, stated, [samples[i].group for i in positions]):
            grouped += 1
        else:
            alike += 1
    kinds = ((equal, "byte-equal pictures"), (alike, "near-duplicates"), (grouped, "one group"))
    words = ", ".join(f"{count:,} of {what}" for count, what in kinds if count)
    return [
        finding(
            "split.leak",
            "warning",
            f"The given split leaks: {plural(len(torn), 'set')} of pictures that belong together "
            f"({words}) are on more than one side, so metrics will be too optimistic.",
            [samples[i].id for positions in torn for i in positions[:4]],
            count=sum(len(positions) for positions in torn),
            hint="remove the copies, or leave the split to foveal",
            suspects=copies_suspected(samples, scan, torn),
        )
    ]


def _no_validation(share: float) -> Finding:
    return finding(
        "split.no_validation",
        "info",
        f"The given split has no validation part: {100 * share:.0f} % of the pictures outside the "
        "test set are held out for validation.",
    )


def _crosses(positions: Sequence[int], stated: NDArray[np.int8], keys: Sequence[object]) -> bool:
    """Return whether two samples of one key (None is no key) stand on different sides."""
    sides: dict[object, set[int]] = defaultdict(set)
    for i, key in zip(positions, keys, strict=True):
        if key is not None:
            sides[key].add(int(stated[i]))
    return any(len(found) > 1 for found in sides.values())
