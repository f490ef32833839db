"""Write and read `predictions.csv`, with one row per picture."""

from __future__ import annotations

import csv
from pathlib import Path

from foveal.atomic import atomic_path
from foveal.data.source import Sample
from foveal.errors import DataError
from foveal.evaluate.results import Results

_COLUMNS = ("image", "target", "prediction", "confidence", "unsure", "correct", "trained_on")
# Before a label, so that a class called `image` makes no second column of that name.
_SCORE = "score:"


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
