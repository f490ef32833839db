"""Choose a bundle's `unsure` limit on its validation pictures, or say why none keeps a promise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.bundle.promise import right_words, share
from foveal.evaluate.baseline import BaselineComparison
from foveal.metrics import Limit
from foveal.tasks.base import Task
from foveal.tasks.prediction import Prediction
from foveal.types import NEVER_SURE, Calibration, RawTarget

# Four in five, unless less is wanted. 14 right answers without a mistake show it; a bundle whose
# sure answers may be wrong more often than that should call none of them sure.
LEAST_SHOWN = 0.8
# Thresholds of several labels are judged on a tenth of the pictures by those of the others.
_FOLDS = 10


def calibrate_limit(
    calibration: Calibration,
    task: Task,
    predictions: Sequence[Prediction],
    raws: Sequence[RawTarget],
    correct: NDArray[np.bool_],
    baseline: BaselineComparison,
    wanted: float,
) -> Calibration:
    """Return the calibration with the limit of `unsure`, and with what it promises.

    Args:
        calibration: Without a limit: what gave the predictions.
        task: The bound task.
        predictions: Answers to the validation pictures. Those that are unsure already, for
            another reason than their confidence, stay so and are not among those promised.
        raws: What is true of each picture, as readers found it.
        correct: (N,) whether each was right.
        baseline: The model beside the best constant answer.
        wanted: The accuracy that the answers which are not unsure shall have.
    """
    total = len(predictions)
    least = min(LEAST_SHOWN, wanted)
    answered = np.array([not p.unsure for p in predictions], bool)
    confidence = np.array([p.confidence for p in predictions], np.float64)
    if calibration.thresholds:
        confidence, correct = _cross_fitted(task.labels.names, predictions, raws)
    fitted = replace(calibration, wanted_accuracy=wanted, pictures=total)
    if not answered.any():
        return replace(
            fitted,
            unsure_below=NEVER_SURE,
            not_usable=f"None of the {total} validation answers is reliable.",
        )
    limit = metrics.choose_limit(confidence[answered], correct[answered], wanted, least=least)
    why = _not_usable(task, limit, least, int(answered.sum()), baseline)
    if why is not None:
        return replace(fitted, unsure_below=NEVER_SURE, not_usable=why)
    return replace(
        fitted,
        unsure_below=limit.threshold,
        shown_accuracy=limit.shown,
        stated_accuracy=limit.right / limit.kept,
        coverage=limit.kept / total,
    )


def _cross_fitted(
    names: tuple[str, ...], predictions: Sequence[Prediction], raws: Sequence[RawTarget]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidences and rightness under thresholds fitted without the picture itself.

    A threshold for each label, chosen on the pictures it is judged by, makes these look better
    than others: of ten labels on 48 pictures, 43 % of the promises were broken.
    """
    probabilities = np.array([[p.scores[name] for name in names] for p in predictions])
    truth = np.array([[name in raw for name in names] for raw in raws])
    folds = np.random.default_rng(0).permutation(len(raws)) % _FOLDS
    said = np.zeros_like(truth)
    for fold in range(_FOLDS):
        rest, own = folds != fold, folds == fold
        limits = metrics.best_f1_thresholds(probabilities[rest], truth[rest])
        said[own] = probabilities[own] >= limits
    confidence = np.where(said, probabilities, 1 - probabilities).min(axis=1)
    return confidence, (said == truth).all(axis=1)


def below(predictions: Sequence[Prediction], limit: float) -> tuple[Prediction, ...]:
    """Return the predictions, those with a confidence under the limit `unsure`."""
    return tuple(
        replace(p, unsure=True, reasons=("confidence", *p.reasons))
        if p.confidence < limit and "confidence" not in p.reasons
        else p
        for p in predictions
    )


def _not_usable(
    task: Task, limit: Limit, least: float, total: int, baseline: BaselineComparison
) -> str | None:
    """Return why no answer may be called sure, or None."""
    if not baseline.is_beaten:
        return not_better(task, baseline)
    if limit.shown >= least:
        return None
    needed = metrics.pictures_needed(least)
    if total < needed:
        return (
            f"{total} validation pictures are too few to show that {share(least)} of the answers "
            f"are right, even if all of them are; this takes {needed}.{right_words(task)}"
        )
    which = (
        f"of all {total} validation answers"
        if limit.kept == total
        else f"of the surest {limit.kept} of {total} validation answers"
    )
    return (
        f"At least {share(least)} of the answers that are not unsure must be right. At best, "
        f"{share(limit.shown)} can be shown: {which}, {limit.right} are right."
        f"{right_words(task)}"
    )


def not_better(task: Task, baseline: BaselineComparison) -> str:
    """Return the sentence for a model that is not shown to beat the constant answer."""
    title = task.metric_words[task.primary_metric].title
    constant = baseline.metrics[task.primary_metric]
    gain = baseline.difference
    # The Dice of pictures without anything to find is not defined.
    score = "" if math.isnan(constant) else f", which gets {title} {100 * constant:.1f} %"
    return (
        f"It is not shown to be better than answering “{baseline.answer}” to every "
        f"picture{score}; the model gets {100 * gain.value:+z.1f} points "
        f"({100 * gain.low:+z.1f} to {100 * gain.high:+z.1f})."
    )
