"""Write and read `predictions.csv`, with one row per picture."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.atomic import atomic_path
from foveal.data.source import Sample
from foveal.errors import DataError
from foveal.evaluate.results import Results

_COLUMNS = ("image", "target", "prediction", "confidence", "unsure", "correct", "trained_on")
# Before a label, so that a class called `image` makes no second column of that name.
_SCORE = "score:"
_FOLDS = "foveal train DATA --folds 5"


@final
@dataclass(frozen=True)
class Scores:
    """The scores of the pictures that the answering model was not trained on.

    Attributes:
        images: Ids of the pictures.
        labels: Label of each column.
        values: (N, K) float32 in [0, 1].
    """

    images: tuple[str, ...]
    labels: tuple[str, ...]
    values: NDArray[np.float32]


def target_text(sample: Sample) -> str:
    """Return the sample's labels joined by `|`, as `labels.csv` writes them."""
    return "|".join(sample.raw or ())


def write_predictions(evaluation: Results, path: Path) -> None:
    """Write the table: image, target, ..., correct, trained_on, degree, scores.

    For answers that are right to a degree, one column holds the primary metric. Scores, for tasks
    that have them, are one column per label, in the order of the bundle.
    """
    measured, names = evaluation.measured, evaluation.task.labels.names
    has_scores = bool(measured.predictions[0].scores)
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        degree = [evaluation.task.primary_metric] if evaluation.degree is not None else []
        writer.writerow([*_COLUMNS, *degree, *(_SCORE + name for name in names if has_scores)])
        for i, prediction in enumerate(measured.predictions):
            scores = prediction.scores
            writer.writerow(
                [
                    measured.samples[i].id,
                    target_text(measured.samples[i]),
                    prediction.text,
                    f"{evaluation.confidence[i]:.6f}",
                    int(prediction.unsure),
                    int(evaluation.correct[i]),
                    "" if evaluation.trained_on is None else int(evaluation.trained_on[i]),
                    *([] if evaluation.degree is None else [f"{evaluation.degree[i]:.6f}"]),
                    *(f"{round(scores[name], 6):.5g}" for name in names if has_scores),
                ]
            )


def read_answers(path: Path) -> dict[str, str]:
    """Return image → answer, as `write_predictions` wrote it.

    Raises:
        DataError: As for `read_correct`.
    """
    return {row["image"]: row["prediction"] for row in _rows(path, "prediction")}


def read_correct(path: Path) -> dict[str, bool]:
    """Return image → whether the answer was right.

    Raises:
        DataError: If the table is missing or malformed.
    """
    return {row["image"]: row["correct"] == "1" for row in _rows(path, "correct")}


def read_scores(path: Path) -> Scores:
    """Return the scores of the pictures that the model was not trained on.

    Raises:
        DataError: As for `read_correct`; also if the table has no scores, or if the model was
            trained on all its pictures.
    """
    rows = _rows(path, "trained_on")
    columns = [name for name in (rows[0] if rows else ()) if name and name.startswith(_SCORE)]
    if not columns:
        raise DataError(
            f"{path} has no scores of classes. Expected the predictions of a classification.",
            hint=_FOLDS,
        )
    held_out = [row for row in rows if row["trained_on"] == "0"]
    if not held_out:
        raise DataError(
            f"{path} has no picture that the model is known not to have learned, so it says "
            "nothing about their labels.",
            hint=_FOLDS,
        )
    try:
        values = np.array([[float(row[name]) for name in columns] for row in held_out], np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"Cannot read {path}: {error}.", hint=_FOLDS) from error
    labels = tuple(name.removeprefix(_SCORE) for name in columns)
    return Scores(tuple(row["image"] for row in held_out), labels, values)


def _rows(path: Path, column: str) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row["image"], row[column]
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"Cannot read {path}: {error!r}", hint="foveal evaluate MODEL DATA --out FOLDER"
        ) from error
    return rows
