"""Rows of counts and what follows from them: metrics, and the details of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.tasks.segment.boundary import boundary_counts
from foveal.tasks.segment.counting import confusion_counts
from foveal.tasks.segment.matching import OBJECT_COUNTS
from foveal.types import Mask

ROW_LAYOUT = """Sums over pixels: the C x C confusion (true labels by answered ones), then for each
label its boundary pixels (of the answer near a true one, of the answer, of the truth near an
answered one, of the truth), where objects are told apart 6 counts of objects for each label
(`matching.OBJECT_COUNTS`), then the sum of the confidence and the number of pixels."""

RIGHT_DICE = 0.7
"""Dice from which the answer to a picture is called right: "excellent agreement" in A. P. Zijdenbos
et al., "Morphometric Analysis of White Matter Lesions in MR Images: Method and Validation", 1994,
https://doi.org/10.1109/42.363096."""
RIGHT_RECALL = 0.6
"""Share of each label, the background too, that must be found. Where the background is thin lines
between large areas, the Dice of the areas is over 0.9 though half of the lines are missed. (At a
Dice of 0.7 without a false pixel 54 % of the label is found.)"""
# Of a picture's known pixels: what is smaller may be missed as a whole by a hair's breadth.
_LEAST_SHARE = 0.01


@final
@dataclass(frozen=True, slots=True)
class Counts:
    """Rows taken apart.

    Attributes:
        confusion: (N, C, C) pixels: true labels by answered ones.
        boundary: (N, C, 4) boundary pixels, see `ROW_LAYOUT`.
        objects: (N, C, 6) see `matching.OBJECT_COUNTS`; None where objects are not told apart.
        confidence: (N,) mean confidence of each picture.
        pixels: (N,) of each picture, those that are ignored among them.
    """

    confusion: NDArray[np.float64]
    boundary: NDArray[np.float64]
    objects: NDArray[np.float64] | None
    confidence: NDArray[np.float64]
    pixels: NDArray[np.float64]


def row(
    answer: Mask,
    truth: Mask,
    confidence: float,
    objects: NDArray[np.float64] | None = None,
    *,
    classes: int,
    boundary_px: int,
) -> NDArray[np.float64]:
    """Return one picture's row; see `ROW_LAYOUT`.

    Args:
        answer: (H, W) label positions.
        truth: (H, W) label positions, or `IGNORED`.
        confidence: Confidence of the answer, in [0, 1].
        objects: (C, 6) `matching.object_counts`, where objects are told apart.
        classes: C.
        boundary_px: Largest distance at which a boundary counts as met, in pixels.
    """
    confusion = confusion_counts(answer, truth, classes)
    boundary = boundary_counts(answer, truth, classes, boundary_px)
    matched = np.zeros(0) if objects is None else objects.ravel()
    tail = [confidence * truth.size, truth.size]
    return np.concatenate([confusion.ravel(), boundary.ravel(), matched, tail]).astype(np.float64)


def take_apart(rows: NDArray[np.float64], classes: int) -> Counts:
    """Return the parts of rows, (N, C * C + 4 * C + 2), or with 6 * C more for objects."""
    square = classes * classes
    pixels = rows[:, -1]
    rest = rows[:, square + 4 * classes : -2]
    return Counts(
        confusion=rows[:, :square].reshape(-1, classes, classes),
        boundary=rows[:, square : square + 4 * classes].reshape(-1, classes, 4),
        objects=rest.reshape(-1, classes, OBJECT_COUNTS) if rest.shape[1] else None,
        confidence=rows[:, -2] / np.maximum(pixels, 1),
        pixels=pixels,
    )


def picture_dice(confusion: NDArray[np.float64], counted: tuple[int, ...]) -> NDArray[np.float64]:
    """Return each picture's mean Dice over the counted labels; NaN where none occurs.

    Args:
        confusion: (..., C, C).
        counted: Positions of the labels that count.
    """
    return metrics.mean_known(metrics.overlap_scores(confusion).dice[..., counted])


def summarise(
    rows: NDArray[np.float64], classes: int, counted: tuple[int, ...]
) -> dict[str, float]:
    """Return the metrics of many rows, all in [0, 1]; NaN where undefined.

    dice, iou, precision, recall, f1, boundary_f1: the mean over the counted labels that a picture
    shows or is answered to show, then over the pictures that have any such label.
    pixel_accuracy: the mean over the pictures. pq, sq, rq, aji: of objects, where they are told
    apart; the mean over the labels but the background, then over the pictures. Those with
    `_global`: from the counts of all pictures together. f1 is that of pixels, which is the Dice
    coefficient under another name.

    Args:
        rows: (N, K), see `ROW_LAYOUT`.
        classes: C.
        counted: Positions of the labels that count.
    """
    counts = take_apart(rows, classes)
    each = _means(counts.confusion, counted)
    boundary = metrics.mean_known(metrics.boundary_scores(counts.boundary)[..., counted])
    total = _means(counts.confusion.sum(axis=0), counted)
    result = {name: float(metrics.mean_known(values)) for name, values in each.items()}
    result["boundary_f1"] = float(metrics.mean_known(boundary))
    if counts.objects is not None:
        scores = metrics.instance_scores(counts.objects)
        means = {name: metrics.mean_known(values) for name, values in scores.items()}
        result |= {name: float(metrics.mean_known(values)) for name, values in means.items()}
        together = metrics.instance_scores(counts.objects.sum(axis=0))
        total |= {name: metrics.mean_known(values) for name, values in together.items()}
    return result | {f"{name}_global": float(value) for name, value in total.items()}


def _means(
    confusion: NDArray[np.float64], counted: tuple[int, ...]
) -> dict[str, NDArray[np.float64]]:
    """Return name → (...,) of confusions (..., C, C)."""
    scores = metrics.overlap_scores(confusion)
    dice = metrics.mean_known(scores.dice[..., counted])
    return {
        "dice": dice,
        "iou": metrics.mean_known(scores.iou[..., counted]),
        "precision": metrics.mean_known(scores.precision[..., counted]),
        "recall": metrics.mean_known(scores.recall[..., counted]),
        "f1": dice,
        "pixel_accuracy": metrics.pixel_accuracy(confusion),
    }


def baseline(
    rows: NDArray[np.float64], classes: int, counted: tuple[int, ...]
) -> tuple[int, NDArray[np.float64]]:
    """Return the label that, answered everywhere, has the best mean Dice, and its rows.

    Args:
        rows: (N, K), see `ROW_LAYOUT`.
        classes: C.
        counted: Positions of the labels that count.
    """
    counts = take_apart(rows, classes)
    truth = counts.confusion.sum(axis=2)
    said = np.zeros((classes, *counts.confusion.shape))
    for label in range(classes):
        said[label, :, :, label] = truth
    dice = np.nan_to_num(picture_dice(said, counted), nan=1.0).mean(axis=1)
    best = int(dice.argmax())
    # One label everywhere has no boundary and no objects; those of the truth stay, and are not
    # found.
    boundary = counts.boundary * np.array([0, 0, 0, 1])
    tail = np.column_stack([counts.pixels, counts.pixels])
    count = len(rows)
    parts = [said[best].reshape(count, -1), boundary.reshape(count, -1), tail]
    if counts.objects is not None:
        missed = np.zeros(counts.objects.shape)
        missed[..., 3] = counts.objects[..., 1] + counts.objects[..., 3]
        parts.insert(2, missed.reshape(count, -1))
    return best, np.concatenate(parts, axis=1)


def is_right(confusion: NDArray[np.float64], counted: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pictures are right: by their Dice, and by what is found of every label.

    A picture with nothing to find is right when nothing is found.

    Args:
        confusion: (N, C, C).
        counted: Positions of the labels that count.
    """
    dice = picture_dice(confusion, counted)
    true = confusion.sum(axis=2)
    found = np.diagonal(confusion, axis1=1, axis2=2)
    is_large = true >= _LEAST_SHARE * true.sum(axis=1, keepdims=True)
    is_missed = is_large & (found < RIGHT_RECALL * true)
    right: NDArray[np.bool_] = np.isnan(dice) | ((dice >= RIGHT_DICE) & ~is_missed.any(axis=1))
    return right
