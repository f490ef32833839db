"""Checks of the pictures themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from foveal.checks.base import CheckInput, check
from foveal.data.findings import about, finding, plural
from foveal.data.near import MAX_DIFFERENCE, MIN_SPREAD, together
from foveal.data.resemblance import (
    ALIKE_FEATURES,
    DIFFERENCE,
    DIFFERENCE_OF_PRINT,
    MOST,
    MOST_FEATURES,
    alike,
    copies_suspected,
    find_copies,
    is_print,
)
from foveal.data.texts import kinds_of
from foveal.extras import install_extra
from foveal.types import Finding, Suspect

_BLANK = MIN_SPREAD / 4
_LAID_OVER = (
    f"; and, of at most {MOST:,} pictures, whole or cropped by 5 or 10 % on each side, upright or "
    f"mirrored (under one label), those that differ in at most {DIFFERENCE} "
    f"({DIFFERENCE_OF_PRINT} for print) when laid over each other"
)


@check("images.unreadable")
def unreadable(given: CheckInput) -> Iterator[Finding]:
    """Files that look like pictures but cannot be decoded; they are left out."""
    # Those without a label are a finding of their own.
    errors = {i: e for i, e in given.scan.errors.items() if e[0] != "unlabelled"}
    if not errors:
        return
    kinds = Counter(code for code, _ in errors.values())
    words = ", ".join(f"{code} {count:,}" for code, count in kinds.most_common())
    order = sorted(errors)
    total = len(given.samples)
    yield finding(
        "images.unreadable",
        "error" if len(errors) == total else "warning",
        f"Unreadable and left out: {len(errors):,} of {plural(total, 'picture')} ({words}); "
        f"the first is {given.samples[order[0]].id}: {errors[order[0]][1]}",
        [given.samples[i].id for i in order],
        # HEIC alone is decoded by a package of an extra.
        hint=install_extra("heic")
        if "extra_missing" in kinds
        else "replace them, or move them away: foveal clean DATA --auto --only images.unreadable",
        suspects=[Suspect(given.samples[i].id, 1.0) for i in order],
    )


@check("images.near_duplicate")
def near_duplicate(given: CheckInput) -> Iterator[Finding]:
    """Pictures that are identical or look the same.

    They are kept in one part of the split. If their labels differ, one of them is wrong, or the
    picture is a placeholder.
    """
    sets = [positions for positions in _sets_of_copies(given) if len(positions) > 1]
    if not sets:
        return
    members = [given.samples[i].id for positions in sets for i in positions]
    method = (
        f"Equal files; perceptual hashes that differ in at most {given.near_distance} of 64 bits "
        f"and thumbnails in at most {MAX_DIFFERENCE}{_LAID_OVER if given.near_distance else ''}."
    )
    yield finding(
        "images.near_duplicate",
        "info",
        f"Duplicates or near-duplicates: {len(members):,} pictures in {plural(len(sets), 'set')}. "
        "Each set stays on one side of the split.",
        members,
        method=method,
        suspects=copies_suspected(given.samples, given.scan, sets),
    )
    torn = [positions for positions in sets if len({given.samples[i].raw for i in positions}) > 1]
    if torn:
        contrary = [given.samples[i].id for positions in torn for i in positions]
        first = torn[0]
        other = next(i for i in first if given.samples[i].raw != given.samples[first[0]].raw)
        nothing_else = given.target == "labels" and _all_contradict(given)
        yield finding(
            "images.two_labels",
            "error" if nothing_else else "warning",
            f"{'Every picture has' if nothing_else else f'{len(contrary):,} pictures have'} a copy "
            f"under another label: for example {given.samples[first[0]].id} and "
            f"{given.samples[other].id} look the same.",
            contrary,
            hint="keep each under the right label only: foveal review DATA",
            method=method,
            suspects=copies_suspected(given.samples, given.scan, torn),
        )


def _sets_of_copies(given: CheckInput) -> list[list[int]]:
    usable = given.usable()
    known = given.copies
    if known is None:
        known = find_copies(given.samples, given.scan, usable, given.target, given.near_distance)
    kinds = kinds_of(given.samples) if given.target == "text" else None
    pairs = known.pairs.tolist()
    return together(given.scan, usable, given.near_distance, pairs, kinds).sets(usable)


@check("images.similar")
def similar(given: CheckInput) -> Iterator[Finding]:
    """Pictures with nearly the same features: copies that were turned or cut at one side, or not.

    Found with `foveal check --features`. Pictures of one kind of thing, such as two laptops on
    white, are among them, so it is for a person to say which are copies. Print is left out: to the
    network, letters of two fonts are the same.
    """
    if given.features is None or given.target == "text" or not given.near_distance:
        return
    # Of copies one stands for all.
    firsts = np.array([positions[0] for positions in _sets_of_copies(given)], np.int64)
    judged = firsts[~is_print(given.scan.small[firsts])]
    pairs = alike(given.features, judged).tolist()
    joined = together(given.scan, judged, given.near_distance, pairs).sets(judged)
    sets = [positions for positions in joined if len(positions) > 1]
    if not sets:
        return
    members = [given.samples[i].id for positions in sets for i in positions]
    yield finding(
        "images.similar",
        "info",
        f"{len(members):,} pictures look nearly like another one: they may be copies.",
        members,
        hint="foveal review DATA shows them side by side",
        method=(
            f"of at most {MOST_FEATURES:,} pictures, features of a pretrained network whose "
            f"differences from the mean have a cosine of {ALIKE_FEATURES} or more; print is left "
            "out"
        ),
        suspects=copies_suspected(given.samples, given.scan, sets),
    )


def _all_contradict(given: CheckInput) -> bool:
    """Return whether every picture has an identical file under another label."""
    labels: defaultdict[bytes, set[tuple[str, ...] | None]] = defaultdict(set)
    for i in given.usable().tolist():
        labels[given.scan.digest[i].tobytes()].add(given.samples[i].raw)
    return all(len(different) > 1 for different in labels.values())


@check("images.blank")
def blank(given: CheckInput) -> Iterator[Finding]:
    """Pictures of nearly one colour, from which nothing can be learnt."""
    usable = given.usable().tolist()
    empty = [given.samples[i].id for i in usable if given.scan.spread[i] < _BLANK]
    yield from about(
        empty,
        "images.blank",
        "info",
        "picture",
        "of one colour.",
        method=f"The grey levels of the picture at 16 x 16 deviate by less than {_BLANK}.",
        suspects=[Suspect(id, 1.0) for id in empty],
    )
