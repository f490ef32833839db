"""The guarantee of a bundle on the answers that are not `unsure`, in words."""

from __future__ import annotations

import math

from foveal import metrics
from foveal.tasks.base import Task
from foveal.types import Calibration, JsonObject


def promise(calibration: Calibration, task: Task | type[Task], *, folds: int | None = None) -> str:
    """Return what holds for the answers that are not unsure, or why every answer is.

    A few sentences; "" for a calibration without a limit.

    Args:
        calibration: The bundle's.
        task: The bundle's; says what it means that an answer is right.
        folds: Number of folds where the pictures were answered in cross-validation.
    """
    if calibration.not_usable is not None:
        return f"Not usable yet: every answer is marked unsure. {calibration.not_usable}"
    if calibration.coverage is None or calibration.stated_accuracy is None:
        return ""
    if calibration.shown_accuracy is None:
        # Written before limits were tested.
        return (
            f"On validation, {share(calibration.stated_accuracy)} of the answers that are not "
            f"unsure were right; {share(calibration.coverage)} of the pictures got such an answer."
        )
    pictures = f"{calibration.pictures} validation pictures"
    if folds is not None:
        pictures = f"{calibration.pictures} pictures in cross-validation with {folds} folds"
    words = (
        f"At least {share(calibration.shown_accuracy)} of the answers that are not unsure are "
        f"right on pictures like these, shown with 95 % confidence on {pictures}; "
        f"{share(calibration.coverage)} of them got such an answer."
    )
    wanted = calibration.wanted_accuracy
    if wanted is not None and wanted > calibration.shown_accuracy:
        words += (
            f" The goal of {share(wanted)} could not be shown: {_missing(calibration, wanted)}."
        )
    return words + right_words(task)


def folds_words(folds: int, pictures: int) -> str:
    """Return what the figures of a model with cross-validation are, as a sentence.

    Args:
        folds: Number of folds.
        pictures: Number of pictures that the model was trained on.
    """
    return (
        f"The model was trained on all {pictures:,} pictures. The figures are estimates by "
        f"cross-validation: each picture was answered by one of {folds} other networks, which had "
        f"learned from the other {folds - 1} of {folds} folds."
    )


def right_words(task: Task | type[Task]) -> str:
    """Return when an answer counts as right, as a sentence to append; "" where that is plain."""
    return f" An answer is right if it has {task.right_when}." if task.right_when else ""


def _missing(calibration: Calibration, wanted: float) -> str:
    needed = metrics.pictures_needed(wanted)
    if calibration.pictures is not None and calibration.pictures < needed:
        return f"even with no mistake, this takes {needed} validation pictures"
    return "too many of the surest answers are wrong"


def baseline_words(baseline: JsonObject) -> str:
    """Return what the baseline is, and whether the model is shown to be better.

    Args:
        baseline: As `metrics.json` and `bundle.json` hold it.
    """
    verdict = "better" if baseline["is_beaten"] else "not shown to be better"
    return (
        f"The baseline is the best answer that is the same for every picture, here "
        f"“{baseline['answer']}”: the model is {verdict}."
    )


def share(value: float) -> str:
    """Return a share in percent, rounded down, without needless decimals: 99 %, 93.7 %."""
    return f"{math.floor(1000 * value + 1e-6) / 10:g} %"
