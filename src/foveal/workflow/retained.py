"""Keep the training pictures of the starting model out of validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.trained_on import looks_of
from foveal.data.findings import about, finding
from foveal.data.scan import Scan
from foveal.data.source import Sample
from foveal.errors import DataError
from foveal.recipe import Recipe
from foveal.types import Finding
from foveal.workflow.sources import target_kind_of
from foveal.workflow.start import Start

_TRAIN, _VAL = 0, 1


def keep_trained_on(
    start: Start,
    samples: Sequence[Sample],
    scan: Scan,
    split: NDArray[np.int8],
    recipe: Recipe,
) -> tuple[NDArray[np.int8], tuple[Finding, ...]]:
    """Return a split in which what a model was trained on is trained on again, and what was found.

    A validation picture that the model has learnt says nothing about it. Those are moved to the
    training side, with their groups; where the data state the sides themselves, they stay, and the
    finding is a warning.

    Args:
        start: The model that the training starts from.
        samples: All samples.
        scan: Scan of all samples.
        split: (N,) int8: 0 train, 1 val, 2 test, -1 unused.
        recipe: Resolved.

    Raises:
        DataError: If nothing is left to validate on.
    """
    known, name = start.trained_on, start.bundle.name
    if known is None:
        return split, (
            finding(
                "split.start_unknown",
                "info",
                f"The model {name!r} has no record of its training pictures, so some validation "
                "pictures may be among them.",
                (),
            ),
        )
    held_out = np.flatnonzero(split > _TRAIN).astype(np.int64)
    target = target_kind_of(recipe)
    raws = [samples[i].raw for i in held_out.tolist()]
    digests = [scan.digest[i].tobytes() for i in held_out]
    found = known.recognise(digests, looks_of(scan, held_out, raws, target))
    learnt = held_out[found].tolist()
    names = [samples[i].id for i in learnt]
    if not names:
        return split, ()
    if any(sample.split is not None for sample in samples):
        words = (
            f"held out here, but trained on by {name!r}, which the training starts from: the "
            "metrics are too optimistic."
        )
        hint = "hold out other pictures, or train without --from"
        return split, about(names, "split.start_leak", "warning", "picture", words, hint=hint)
    groups = {samples[i].group for i in learnt} - {None}
    moved = split.copy()
    moved[learnt] = _TRAIN
    for i in held_out.tolist():
        if samples[i].group in groups:
            moved[i] = _TRAIN
    if not (moved == _VAL).any():
        hint = f"add pictures, or split them as before: --seed {start.recipe.seed}"
        if start.bundle.manifest.folds is not None:
            hint = "add new pictures: with --folds, the model was trained on all that there were"
        raise DataError(
            f"The model {name!r}, which the training starts from, was trained on every validation "
            "picture, so none is left to validate on.",
            hint=hint,
        )
    words = f"moved to the training side: {name!r}, which it starts from, was trained on them."
    return moved, about(names, "split.start_kept", "info", "picture", words)
