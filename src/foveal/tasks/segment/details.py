"""Details of the evaluation of a segmenter: classes, pictures, empty masks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.tasks.segment.analysis import RIGHT_DICE, Counts, picture_dice, take_apart
from foveal.types import JsonObject

_SCORES = ("dice", "iou", "precision", "recall")
# Of confidence against Dice, and of the pictures' Dice: more points are not told apart.
_POINTS = 2000
_FEW_PICTURES = 10


def analyse(
    rows: NDArray[np.float64], labels: tuple[str, ...], counted: tuple[int, ...]
) -> JsonObject:
    """Return the details of an evaluation as JSON values (NaN is null).

    Args:
        rows: (N, K), see `analysis.ROW_LAYOUT`.
        labels: The C names.
        counted: Positions of the labels that count.

    Returns:
        `classes` (a table), `confusion` (pixels), `pictures` (Dice of each, sorted, with its
        confidence), `empty` (what pictures without anything to find got), `objects` (a table, where
        they are told apart) and `highlights` (sentences for people).
    """
    counts = take_apart(rows, len(labels))
    details: JsonObject = {
        "classes": _class_table(counts, labels, counted),
        "confusion": {
            "labels": list(labels),
            "counts": counts.confusion.sum(axis=0).astype(np.int64).tolist(),
        },
        "pictures": _pictures(counts, counted),
        "empty": _empty(counts, counted),
        "right_dice": RIGHT_DICE,
    }
    if counts.objects is not None:
        details["objects"] = _object_table(counts.objects, labels)
    details["highlights"] = _highlights(details)
    return details


def _class_table(
    counts: Counts, labels: tuple[str, ...], counted: tuple[int, ...]
) -> list[JsonObject]:
    """Return for each label the means over pictures, the scores over all pixels, and sizes."""
    each = metrics.overlap_scores(counts.confusion)
    total = metrics.overlap_scores(counts.confusion.sum(axis=0))
    boundary = metrics.boundary_scores(counts.boundary)
    true = counts.confusion.sum(axis=2)
    said = counts.confusion.sum(axis=1)
    table = []
    for i, name in enumerate(labels):
        entry: JsonObject = {"label": name, "counted": i in counted}
        for score in _SCORES:
            entry[score] = _plain(metrics.mean_known(getattr(each, score)[:, i]))
            entry[f"{score}_global"] = _plain(getattr(total, score)[i])
        entry["f1"], entry["f1_global"] = entry["dice"], entry["dice_global"]
        entry["boundary_f1"] = _plain(metrics.mean_known(boundary[:, i]))
        entry["pixels"] = int(true[:, i].sum())
        entry["answered_pixels"] = int(said[:, i].sum())
        entry["pictures"] = int((true[:, i] > 0).sum())
        entry["dices"] = _spread(each.dice[:, i])
        table.append(entry)
    return table


def _object_table(counts: NDArray[np.float64], labels: tuple[str, ...]) -> list[JsonObject]:
    """Return for each label with objects how many there are, and its scores.

    Args:
        counts: (N, C, 6), see `matching.OBJECT_COUNTS`.
        labels: The C names.
    """
    each = metrics.instance_scores(counts)
    total = metrics.instance_scores(counts.sum(axis=0))
    _, matched, false, missed, *_ = counts.sum(axis=0).T
    table = []
    for i, name in enumerate(labels):
        if matched[i] + false[i] + missed[i] == 0:
            continue
        entry: JsonObject = {
            "label": name,
            "true": int(matched[i] + missed[i]),
            "answered": int(matched[i] + false[i]),
            "matched": int(matched[i]),
        }
        for score in each:
            entry[score] = _plain(metrics.mean_known(each[score][:, i]))
            entry[f"{score}_global"] = _plain(total[score][i])
        table.append(entry)
    return table


def _spread(values: NDArray[np.float64]) -> JsonObject:
    """Return the known values in order, with the five numbers of a box plot."""
    known = np.sort(values[np.isfinite(values)])
    shares = (0, 0.25, 0.5, 0.75, 1)
    quartiles = np.quantile(known, shares).tolist() if known.size else [math.nan] * len(shares)
    picks = np.unique(np.linspace(0, known.size - 1, min(known.size, _POINTS)).round().astype(int))
    names = ("least", "lower_quartile", "median", "upper_quartile", "largest")
    return {
        "count": int(known.size),
        **{name: _plain(value) for name, value in zip(names, quartiles, strict=True)},
        "values": [_plain(value) for value in known[picks]],
    }


def _pictures(counts: Counts, counted: tuple[int, ...]) -> JsonObject:
    dice = picture_dice(counts.confusion, counted)
    known = np.flatnonzero(np.isfinite(dice))
    order = known[np.argsort(dice[known], kind="stable")]
    step = max(1, -(-len(order) // _POINTS))
    return {
        "dice": _spread(dice),
        "without": int(len(dice) - len(known)),
        "confidence": [
            {"confidence": _plain(counts.confidence[i]), "dice": _plain(dice[i])}
            for i in order[::step]
        ],
    }


def _empty(counts: Counts, counted: tuple[int, ...]) -> JsonObject:
    """Return how pictures were answered in which nothing, or something, is to be found."""
    chosen = np.array(counted)
    true = counts.confusion.sum(axis=2)[:, chosen].sum(axis=1)
    said = counts.confusion.sum(axis=1)[:, chosen].sum(axis=1)
    is_empty, says_empty = true == 0, said == 0
    return {
        "pictures": len(true),
        "empty": int(is_empty.sum()),
        "empty_answered_empty": int((is_empty & says_empty).sum()),
        "false_alarms": int((is_empty & ~says_empty).sum()),
        "overlooked": int((~is_empty & says_empty).sum()),
    }


def _highlights(details: JsonObject) -> list[str]:
    """Return what a person would want to know first, as sentences."""
    sentences = []
    counted = [c for c in details["classes"] if c["counted"]]
    known = [c for c in counted if c["dice"] is not None]
    if len(known) > 1:
        worst = min(known, key=lambda c: c["dice"])
        sentences.append(
            f"{worst['label']} is segmented worst: Dice {100 * worst['dice']:.1f} % in "
            f"{_pictures_of(worst['pictures'])}."
        )
    for entry in counted:
        true, said = entry["pixels"], entry["answered_pixels"]
        if true and abs(said - true) > 0.25 * true:
            word = "larger" if said > true else "smaller"
            sentences.append(
                f"{entry['label']} is predicted {word} than it is: {said:,} pixels for {true:,}."
            )
    empty = details["empty"]
    if empty["false_alarms"]:
        sentences.append(
            f"In {empty['false_alarms']} of {_pictures_of(empty['empty'])} with nothing to find, "
            "something was found."
        )
    if empty["overlooked"]:
        sentences.append(
            f"In {_pictures_of(empty['overlooked'])} with something to find, nothing was found."
        )
    few = [c["label"] for c in counted if c["pictures"] < _FEW_PICTURES]
    if few:
        sentences.append(
            f"Under {_FEW_PICTURES} pictures hold {', '.join(few[:5])}{' …' * (len(few) > 5)}; "
            "the figures are unreliable."
        )
    return sentences


def _pictures_of(count: int) -> str:
    return f"{count} picture" if count == 1 else f"{count} pictures"


def _plain(value: float | NDArray[np.float64]) -> float | None:
    """Return a number as JSON has it: NaN is null."""
    number = float(value)
    return round(number, 6) if math.isfinite(number) else None
