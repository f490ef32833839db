"""Score masks of two programs by the same code: rows of counts, metrics, intervals, differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.metrics import Interval, bootstrap, overlap_scores, paired_difference
from foveal.tasks.segment import analysis
from foveal.tasks.segment.options import SegmentOptions, counted_labels
from mask_sets import Pictures

Rows = NDArray[np.float64]
OURS, PLAIN = "foveal", "plain"


def gain_of(better: NDArray[np.float64], worse: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean paired difference with its bootstrap interval over the pictures.

    Args:
        better: (N,) score of each picture, NaN where it is undefined.
        worse: (N,) the other score of the same pictures.
    """
    known = ~np.isnan(better - worse)
    gain = paired_difference(worse[known], better[known])
    return {"mean": float(gain), "low": gain.low, "high": gain.high}


def score(pictures: Pictures, masks: Mapping[str, NDArray[np.uint8]], test: Sequence[Path]) -> Rows:
    """Return a row of counts for each test picture, see `analysis.ROW_LAYOUT`.

    Args:
        pictures: The set.
        masks: Stem of a picture → (H, W) positions in the labels.
        test: The pictures; their masks lie beside them.
    """
    rows = []
    for path in test:
        with PILImage.open(path.parents[1] / "masks" / f"{path.stem}.png") as mask:
            truth = pictures.table()[np.asarray(mask)]
        answer = masks[path.stem]
        if answer.shape != truth.shape:
            raise SystemExit(f"{path.name}: answered {answer.shape}, the mask has {truth.shape}")
        # Neither is asked how sure it is.
        rows.append(
            analysis.row(
                answer,
                truth,
                1.0,
                classes=len(pictures.labels),
                boundary_px=SegmentOptions().boundary_px,
            )
        )
    return np.stack(rows)


def compare(plain: Rows, ours: Rows, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the metrics of both and their paired difference, ours minus plain.

    Each with a bootstrap interval over the pictures; for the difference both programs' rows of a
    picture are drawn together.

    Args:
        plain: (N, K) rows of the plain U-Net.
        ours: (N, K) rows of foveal on the same pictures.
        labels: Of both.
    """
    counted = counted_labels(labels, with_background=False)
    summarise = partial(analysis.summarise, classes=len(labels), counted=counted)
    width = plain.shape[1]

    def difference(rows: Rows) -> dict[str, float]:
        theirs, own = summarise(rows[:, :width]), summarise(rows[:, width:])
        return {name: own[name] - theirs[name] for name in own}

    per_picture = [[summarise(row[None])["dice"] for row in rows] for rows in (plain, ours)]
    return {
        PLAIN: with_intervals(plain, summarise),
        OURS: with_intervals(ours, summarise),
        "difference": with_intervals(np.hstack([plain, ours]), difference),
        "dice_of_pictures": dict(zip((PLAIN, OURS), per_picture, strict=True)),
        "classes": {name: by_class(rows, labels) for name, rows in ((PLAIN, plain), (OURS, ours))},
    }


def with_intervals(
    rows: Rows, summarise: Callable[[Rows], Mapping[str, float]]
) -> dict[str, dict[str, float | None]]:
    """Return each metric as {"value", "low", "high"}."""
    values, limits = summarise(rows), bootstrap(rows, summarise)
    return {name: Interval(value, *limits[name]).to_json() for name, value in values.items()}


def by_class(rows: Rows, labels: tuple[str, ...]) -> dict[str, float]:
    """Return the Dice of each label, over all pixels together."""
    confusion = analysis.take_apart(rows, len(labels)).confusion.sum(axis=0)
    return dict(zip(labels, overlap_scores(confusion).dice.tolist(), strict=True))
