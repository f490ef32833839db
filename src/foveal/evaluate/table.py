"""`predictions.csv`: a row a picture; written for people and read again by `compare`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def columns(evaluation: Results) -> list[str]:
    """Return the names of the columns: image, target, ..., correct, trained_on, degree, scores.

    Where answers are right to a degree, that is a column named after the primary metric. Scores,
    for tasks that give them, are one column a label, in the bundle's order.
    """
    degree = [evaluation.task.primary_metric] if evaluation.degree is not None else []
    return [*_COLUMNS, *degree, *(_SCORE + name for name in _scored(evaluation))]


def rows(evaluation: Results) -> Iterator[list[Any]]:
    """Yield the values of `columns` for each picture."""
    measured, names = evaluation.measured, _scored(evaluation)
    for i, prediction in enumerate(measured.predictions):
        yield [
            measured.samples[i].id,
            target_text(measured.samples[i]),
            prediction.text,
            float(evaluation.confidence[i]),
            bool(prediction.unsure),
            bool(evaluation.correct[i]),
            None if evaluation.trained_on is None else bool(evaluation.trained_on[i]),
            *([] if evaluation.degree is None else [float(evaluation.degree[i])]),
            *(prediction.scores[name] for name in names),
        ]


def write_predictions(evaluation: Results, path: Path) -> None:
    """Write `rows` under `columns` as CSV."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        names = columns(evaluation)
        writer.writerow(names)
        for row in rows(evaluation):
            writer.writerow(_cell(name, value) for name, value in zip(names, row, strict=True))


def read_correct(path: Path) -> dict[str, bool]:
    """Return image → whether the answer was right.

    Raises:
        DataError: When the table is missing or not as `write_predictions` writes it.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["image"]: row["correct"] == "1" for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"Cannot read {path}: {error!r}", hint="foveal evaluate MODEL DATA --out FOLDER"
        ) from error


def _scored(evaluation: Results) -> tuple[str, ...]:
    return evaluation.task.labels.names if evaluation.measured.predictions[0].scores else ()


def _cell(column: str, value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return f"{round(value, 6):.5g}" if column.startswith(_SCORE) else f"{value:.6f}"
    return "" if value is None else value
