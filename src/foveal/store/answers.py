"""The answers of a version to labelled pictures, on which versions are compared."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from foveal.errors import DataError

_COLUMNS = ("image", "target", "prediction", "correct", "value", "trained_on")


@final
@dataclass(frozen=True, slots=True)
class Answered:
    """One picture.

    Attributes:
        target: What is true of it, as `labels.csv` writes it.
        prediction: What the version answered.
        value: The primary metric on this picture, in [0, 1]; 1 or 0 where answers are right or
            wrong.
        is_right: Whether it counts as right.
        trained_on: Whether the version was trained on it, or on a near-duplicate.
    """

    target: str
    prediction: str
    value: float
    is_right: bool
    trained_on: bool = False


@final
@dataclass(frozen=True, slots=True)
class AnswerTable:
    """The answers of a version.

    Attributes:
        pictures: Name of the picture → how it was answered.
    """

    pictures: Mapping[str, Answered]

    @property
    def seen(self) -> int:
        """Number of pictures that the version was trained on."""
        return sum(answer.trained_on for answer in self.pictures.values())

    @classmethod
    def from_predictions(cls, content: bytes, metric: str) -> AnswerTable:
        """Read a `predictions.csv`.

        Args:
            content: The file.
            metric: The primary metric: its column is read where there is one.

        Raises:
            DataError: If it is not as an evaluation writes it.
        """
        return cls(
            {
                row["image"]: Answered(
                    row["target"],
                    row["prediction"],
                    float(row.get(metric) or row["correct"]),
                    row["correct"] == "1",
                    row.get("trained_on") == "1",
                )
                for row in _rows(content)
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> AnswerTable:
        """Read what `to_bytes` gave.

        Raises:
            DataError: If it is not that.
        """
        return cls.from_predictions(content, "value")

    def to_bytes(self) -> bytes:
        """Return a CSV table with one row for each picture."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for image, row in self.pictures.items():
            writer.writerow(
                (
                    image,
                    row.target,
                    row.prediction,
                    int(row.is_right),
                    f"{row.value:.6g}",
                    int(row.trained_on),
                )
            )
        return text.getvalue().encode()


def _rows(content: bytes) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        for row in rows:
            row["image"], row["target"], row["prediction"], row["correct"]
            float(row.get("value") or row["correct"])
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(f"Cannot read the answers of a model: {error!r}.") from error
    return rows
