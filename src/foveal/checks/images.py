"""Checks of the pictures themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from foveal.checks.base import SHOWN, Facts, check
from foveal.data.hashing import near_pairs
from foveal.types import Finding


@check("images.unreadable")
def unreadable(facts: Facts) -> Iterator[Finding]:
    """Files that look like pictures but cannot be decoded; they are left out."""
    errors = facts.scan.errors
    if not errors:
        return
    kinds = Counter(code for code, _ in errors.values())
    words = ", ".join(f"{count} {code}" for code, count in kinds.most_common())
    first = min(errors)
    yield Finding(
        id="images.unreadable",
        severity="error" if len(errors) == len(facts.samples) else "warning",
        message=(
            f"{len(errors)} of {len(facts.samples)} pictures cannot be read ({words}) and are "
            f"left out; the first is {facts.samples[first].id}: {errors[first][1]}"
        ),
        samples=tuple(facts.samples[i].id for i in sorted(errors)[:SHOWN]),
        count=len(errors),
        hint="replace or delete them",
    )


@check("images.near_duplicate")
def near_duplicate(facts: Facts) -> Iterator[Finding]:
    """Pictures that look the same: kept on one side of the split, and listed when labels differ."""
    positions = np.array(facts.usable(), np.int64)
    if not len(positions):
        return
    pairs = positions[
        near_pairs(facts.scan.phash[positions], facts.scan.thumb[positions], facts.near_distance)
    ]
    if not len(pairs):
        return
    differing = [
        (a, b) for a, b in pairs.tolist() if facts.samples[a].raw != facts.samples[b].raw
    ]
    count = len(np.unique(pairs))
    yield Finding(
        id="images.near_duplicate",
        severity="info",
        message=f"{count} pictures look like another one; copies stay on one side of the split.",
        samples=tuple(facts.samples[i].id for i in np.unique(pairs)[:SHOWN]),
        count=count,
    )
    if differing:
        a, b = differing[0]
        yield Finding(
            id="images.contradiction",
            severity="warning",
            message=(
                f"{len(differing)} pairs of pictures look the same but have different labels; "
                f"for example {facts.samples[a].id} and {facts.samples[b].id}."
            ),
            samples=tuple(facts.samples[i].id for pair in differing[:10] for i in pair),
            count=len(differing),
            hint="one label of each pair is wrong, or the picture is a placeholder",
        )
