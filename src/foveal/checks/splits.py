"""Checks of the split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from foveal.checks.base import CheckInput, check
from foveal.data.findings import finding
from foveal.types import SPLIT_NAMES, Finding

_NEEDED = {"train": "training", "val": "validation"}


@check("split.empty_side")
def empty_side(given: CheckInput) -> Iterator[Finding]:
    """No pictures to train on, or none to validate on."""
    usable = given.usable()
    if not len(usable):
        # Why there are none is a finding of its own.
        return
    for side, name in _NEEDED.items():
        if not np.any(given.split[usable] == SPLIT_NAMES.index(side)):
            yield finding(
                "split.empty_side",
                "error",
                f"There are no {name} pictures: {len(given.samples):,} in all, "
                f"{len(given.scan.errors):,} unreadable.",
                count=0,
                hint="add pictures: every class needs at least two, better 50",
            )
