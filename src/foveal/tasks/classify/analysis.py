"""Details of the evaluation of a classifier: confusion, classes, curves.

Works on rows and probabilities; opens no picture and draws nothing (see `report`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.tasks.classify.curves import binary_curves, mean_average_precision, plain
from foveal.tasks.classify.prediction import Classification
from foveal.types import JsonObject

ROW_LAYOUT = """One label: [target index, answered index, confidence, correct].
Several: [target 0/1 for each label, answer 0/1 for each label, confidence, correct]."""

# More classes than this, and the full matrix would be most of metrics.json; the confused pairs
# are listed all the same.
_MATRIX_CLASSES = 100
_PAIRS = 30


def row(
    decisions: NDArray[np.float32],
    target: NDArray[np.float32],
    confidence: float,
    *,
    multi_label: bool,
) -> NDArray[np.float64]:
    """Return one sample's row; see `ROW_LAYOUT`.

    Args:
        decisions: (C,) 1 where the class was answered.
        target: (C,) 1 where the class applies.
        confidence: Confidence of the answer, in [0, 1].
        multi_label: Several classes may apply.
    """
    correct = float(np.array_equal(decisions > 0.5, target > 0.5))
    if multi_label:
        return np.concatenate([target, decisions, [confidence, correct]]).astype(np.float64)
    return np.array([target.argmax(), decisions.argmax(), confidence, correct], np.float64)


def summarise(rows: NDArray[np.float64], *, classes: int, multi_label: bool) -> dict[str, float]:
    """Return the metrics of many rows, all in [0, 1]; NaN for no rows.

    accuracy: share of samples all of whose labels are right. precision, recall, macro_f1: means
    over the classes (see `foveal.metrics.averages`). weighted_f1: weighted by support. ece:
    expected calibration error (smaller is better). Several labels only: micro_f1, over all
    decisions together, and label_accuracy, the share of right decisions.

    Args:
        rows: (N, K), see `ROW_LAYOUT`.
        classes: C.
        multi_label: Several classes may apply.
    """
    scores = _scores(rows, classes, multi_label)
    means = metrics.averages(scores)
    count = len(rows)
    result = {
        "accuracy": float(rows[:, -1].mean()) if count else math.nan,
        "macro_f1": means["macro_f1"],
        "precision": means["macro_precision"],
        "recall": means["macro_recall"],
        "weighted_f1": means["weighted_f1"],
        "ece": metrics.expected_calibration_error(rows[:, -2], rows[:, -1]),
    }
    if multi_label:
        hits = int(scores.true_positives.sum())
        said_or_there = int(scores.support.sum() + scores.predicted.sum())
        wrong = said_or_there - 2 * hits
        result["micro_f1"] = 2 * hits / said_or_there if said_or_there else math.nan
        result["label_accuracy"] = 1 - wrong / (count * classes) if count else math.nan
    return result


def baseline(
    rows: NDArray[np.float64], *, classes: int, multi_label: bool
) -> tuple[list[int], NDArray[np.float64]]:
    """Return the most frequent target, as positions of its classes, and the rows of saying it.

    Args:
        rows: (N, K), see `ROW_LAYOUT`.
        classes: C.
        multi_label: Several classes may apply.
    """
    truth = rows[:, : classes if multi_label else 1]
    found, counts = np.unique(truth, axis=0, return_counts=True)
    constant = found[int(counts.argmax())]
    share = counts.max() / len(rows)
    right = (truth == constant).all(axis=1)
    said = np.broadcast_to(constant, truth.shape)
    # As sure as it is right: a constant answer is perfectly calibrated.
    tail = np.column_stack([np.full(len(rows), share), right])
    chosen = np.flatnonzero(constant) if multi_label else constant.astype(int)
    return [int(i) for i in chosen], np.column_stack([truth, said, tail])


def analyse(
    predictions: Sequence[Classification],
    targets: Sequence[NDArray[np.float32]],
    labels: Sequence[str],
    *,
    multi_label: bool,
) -> JsonObject:
    """Return the details of an evaluation as JSON values (NaN is null).

    Args:
        predictions: One answer for each sample.
        targets: (C,) 0/1 for each sample.
        labels: The C class names.
        multi_label: Several classes may apply.

    Returns:
        `classes` (a table, with Wilson intervals of precision and recall), `averages`,
        `confused` (pairs, most frequent first), `highlights` (sentences for people), and where
        they apply `confusion`, `binary` (curves and threshold sweep of the second class),
        `top5_accuracy`, `mean_average_precision`.
    """
    count, names = len(targets), list(labels)
    index = {name: i for i, name in enumerate(names)}
    truth = np.zeros((count, len(names)), bool)
    probabilities = np.zeros((count, len(names)), np.float32)
    answered = np.zeros((count, len(names)), bool)
    for i, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        truth[i] = target > 0.5
        probabilities[i] = prediction.probabilities
        answered[i, [index[name] for name in prediction.labels]] = True
    scores = metrics.count_scores(
        (truth & answered).sum(axis=0), truth.sum(axis=0), answered.sum(axis=0)
    )
    details: JsonObject = {
        "multi_label": multi_label,
        "classes": _class_table(scores, names, truth, probabilities, curves=multi_label),
        "averages": plain(metrics.averages(scores)),
        "confused": _confused(truth, answered, names, multi_label),
    }
    if multi_label:
        details["mean_average_precision"] = mean_average_precision(probabilities, truth)
    else:
        details |= _single_label(truth, answered, probabilities, names)
    details["highlights"] = _highlights(details)
    return details


def _scores(rows: NDArray[np.float64], classes: int, multi_label: bool) -> metrics.ClassScores:
    if not multi_label:
        return metrics.count_scores(*metrics.label_counts(rows[:, 0], rows[:, 1], classes))
    truth, answered = rows[:, :classes], rows[:, classes : 2 * classes]
    # One matrix product's diagonal: einsum needs no (N, C) intermediate.
    hits = np.einsum("nc,nc->c", truth, answered)
    return metrics.count_scores(hits, truth.sum(axis=0), answered.sum(axis=0))


def _class_table(
    scores: metrics.ClassScores,
    names: list[str],
    truth: NDArray[np.bool_],
    probabilities: NDArray[np.float32],
    *,
    curves: bool,
) -> list[JsonObject]:
    table = []
    for i, name in enumerate(names):
        hits = int(scores.true_positives[i])
        support, predicted = int(scores.support[i]), int(scores.predicted[i])
        entry = {
            "label": name,
            "support": support,
            "predicted": predicted,
            "precision": float(scores.precision[i]),
            "precision_interval": list(metrics.wilson(hits, predicted)),
            "recall": float(scores.recall[i]),
            "recall_interval": list(metrics.wilson(hits, support)),
            "f1": float(scores.f1[i]),
        }
        if curves:
            curve = metrics.precision_recall_curve(probabilities[:, i], truth[:, i])
            entry["average_precision"] = curve.average_precision
        table.append(plain(entry))
    return table


def _confused(
    truth: NDArray[np.bool_], answered: NDArray[np.bool_], names: list[str], multi_label: bool
) -> list[JsonObject]:
    """Return pairs (a label that applies and was missed, one answered that does not apply)."""
    missed, wrong = truth & ~answered, answered & ~truth
    touched = np.flatnonzero(missed.any(axis=1) & wrong.any(axis=1))
    pairs: dict[tuple[int, int], int] = {}
    for i in touched:
        for a in np.flatnonzero(missed[i]):
            for b in np.flatnonzero(wrong[i]):
                pairs[int(a), int(b)] = pairs.get((int(a), int(b)), 0) + 1
    support = truth.sum(axis=0)
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return [
        {
            "target": names[a],
            "prediction": names[b],
            "count": count,
            "share": count / int(support[a]),
        }
        for (a, b), count in ranked[:_PAIRS]
    ]


def _single_label(
    truth: NDArray[np.bool_],
    answered: NDArray[np.bool_],
    probabilities: NDArray[np.float32],
    names: list[str],
) -> JsonObject:
    details: JsonObject = {}
    indices = truth.argmax(axis=1)
    matrix = metrics.confusion(indices, answered.argmax(axis=1), len(names))
    if len(names) <= _MATRIX_CLASSES:
        details["confusion"] = {"labels": names, "counts": matrix.tolist()}
    else:
        errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diagonal(matrix)
        kept = np.sort(np.argsort(-errors, kind="stable")[:_MATRIX_CLASSES])
        details["confusion"] = {
            "labels": [names[i] for i in kept],
            "counts": matrix[np.ix_(kept, kept)].tolist(),
            "left_out": len(names) - len(kept),
        }
    if len(names) > 10 and len(truth):
        top = np.argpartition(-probabilities, 4, axis=1)[:, :5]
        hits = int((top == indices[:, None]).any(axis=1).sum())
        low, high = metrics.wilson(hits, len(truth))
        details["top5_accuracy"] = {"value": hits / len(truth), "low": low, "high": high}
    if len(names) == 2 and len(truth):
        details["binary"] = binary_curves(probabilities[:, 1], indices == 1, names[1])
    return details


def _highlights(details: JsonObject) -> list[str]:
    """Return what a person would want to know first, as sentences."""
    sentences = []
    confused, table = details["confused"], details["classes"]
    if confused and confused[0]["count"] >= 2:
        worst = confused[0]
        sentences.append(
            f"{worst['target']} is mistaken for {worst['prediction']} {worst['count']} times "
            f"({100 * worst['share']:.0f} % of {worst['target']})."
        )
    weak = [c for c in table if c["recall"] is not None and c["support"] >= 5]
    if len(weak) > 1:
        lowest = min(weak, key=lambda c: c["recall"])
        low, high = lowest["recall_interval"]
        if lowest["recall"] < 1:
            sentences.append(
                f"{lowest['label']} is found least often: {100 * lowest['recall']:.1f} % of "
                f"{lowest['support']} (95 % interval {100 * low:.0f} to {100 * high:.0f} %)."
            )
    absent = [c["label"] for c in table if c["support"] == 0]
    if absent:
        shown = ", ".join(absent[:5]) + (" …" if len(absent) > 5 else "")
        sentences.append(f"No picture of {len(absent)} of {len(table)} classes: {shown}.")
    few = [c["label"] for c in table if 0 < c["support"] < 10]
    if few:
        shown = ", ".join(few[:5]) + (" …" if len(few) > 5 else "")
        sentences.append(
            f"{len(few)} of {len(table)} classes have under 10 pictures ({shown}); their figures "
            "are unreliable."
        )
    return sentences
