"""Find pictures of an evaluation that the bundle was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.bundle import Bundle
from foveal.evaluate.measure import MeasuredSamples
from foveal.types import Finding

_LISTED = 20


def recognised(bundles: Sequence[Bundle], measured: MeasuredSamples) -> NDArray[np.bool_] | None:
    """Return which samples (N,) were trained on by any bundle; None where no bundle says."""
    known = [bundle.trained_on for bundle in bundles if bundle.trained_on is not None]
    if not known:
        return None
    found = np.zeros(len(measured.samples), np.bool_)
    for pictures in known:
        found |= pictures.recognise(measured.digests, measured.looks)
    return found


def trained_on_finding(
    trained_on: NDArray[np.bool_] | None, measured: MeasuredSamples
) -> list[Finding]:
    """Return the finding that samples were trained on, if any were."""
    if trained_on is None or not trained_on.any():
        return []
    positions = np.flatnonzero(trained_on)
    return [
        Finding(
            "evaluate.trained_on",
            "warning",
            trained_on_sentence(len(positions), len(trained_on)),
            samples=tuple(measured.samples[i].id for i in positions[:_LISTED]),
            count=len(positions),
            hint="evaluate on pictures that the model has not seen",
        )
    ]


def trained_on_sentence(count: int, samples: int) -> str:
    """Return what a person should know first."""
    return (
        f"{count:,} of {samples:,} were trained on (or are near-duplicates of training pictures), "
        "so the model is likely to do worse on new pictures than these figures say."
    )
