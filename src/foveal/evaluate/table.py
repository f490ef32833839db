"""`predictions.csv`: a row a picture; written for people and read again by `compare`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from foveal.atomic import atomic_path
from foveal.data.source import Sample
from foveal.errors import DataError
from foveal.tasks.base import Task

if TYPE_CHECKING:
    from foveal.evaluate.evaluate import Evaluation

_COLUMNS = ("image", "target", "prediction", "confidence", "unsure", "correct")
# Before a label, so that a class called `image` makes no second column of that name.
_SCORE = "score:"


@final
@dataclass(frozen=True, slots=True)
class AnswerText:
    """An answer as a table has it: its text, and whether it is unsure."""

    text: str
    unsure: bool


def answer_text(task: Task[Any, Any], prediction: Any) -> AnswerText:
    """Return the answer as text: the first string of the task's JSON, or its headline."""
    values = task.to_json(prediction)
    texts = [value for value in values.values() if isinstance(value, str)]
    return AnswerText(texts[0] if texts else task.headline(prediction), bool(values["unsure"]))


def target_text(sample: Sample) -> str:
    """Return the sample's labels joined by `|`, as `labels.csv` writes them."""
    return "|".join(sample.raw or ())


def write_predictions(evaluation: Evaluation, path: Path) -> None:
    """Write the table: image, target, prediction, confidence, unsure, correct, scores.

    Scores, for tasks that give them, are one column a label, in the bundle's order.
    """
    task, measured = evaluation.task, evaluation.measured
    names = task.labels.names
    has_scores = "scores" in task.to_json(measured.predictions[0])
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_COLUMNS, *(_SCORE + name for name in names if has_scores)])
        for i, prediction in enumerate(measured.predictions):
            answer = answer_text(task, prediction)
            scores = task.to_json(prediction)["scores"] if has_scores else {}
            writer.writerow(
                [
                    measured.samples[i].id,
                    target_text(measured.samples[i]),
                    answer.text,
                    f"{evaluation.confidence[i]:.6f}",
                    int(answer.unsure),
                    int(evaluation.correct[i]),
                    *(f"{scores[name]:.5g}" for name in names if has_scores),
                ]
            )


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
