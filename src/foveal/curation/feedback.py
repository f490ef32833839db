"""Feedback on the answers of a served model, in the log of a folder.

`feedback.jsonl` has a line for each thing that was said, `pictures/` the files as they were sent,
each once, and `masks/` the masks that were said to be right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, final, get_args

from foveal.curation.lines import Format, read_lines
from foveal.data.source import TargetKind
from foveal.types import JsonObject
from foveal.urls import is_url, local_path

LOG_NAME = "feedback.jsonl"
PICTURES, MASKS = "pictures", "masks"

Origin: TypeAlias = Literal["person", "unsure"]
"""Why it is kept: a person said something about it, or the model was unsure."""


@final
@dataclass(frozen=True, slots=True)
class Said:
    """An answer of a model to a picture, with the feedback on it.

    Attributes:
        model: Name of the model.
        version: The model's version, as in its answers.
        target: What the model answers with.
        answer: What it answered: class names, or one text; empty for a mask.
        confidence: How confident the answer was.
        unsure: Whether the answer was marked as unsure.
        truth: What the picture is, or says; None where nobody said it, and for masks.
        right: Whether the answer is right; None where nobody said anything.
        note: Words of the person; "" for none.
        by: Id of the API key that sent it; None without keys.
        origin: Why it is kept.
        classes: What the values of a mask that is kept mean, by position; else empty.
    """

    model: str
    version: str
    target: TargetKind
    answer: tuple[str, ...]
    confidence: float
    unsure: bool
    truth: tuple[str, ...] | None
    right: bool | None
    note: str
    by: str | None
    origin: Origin
    classes: tuple[str, ...] = ()

    def judged(self, truth: tuple[str, ...]) -> Self:
        """Return the same, with what the picture is and whether that was answered."""
        return replace(self, truth=truth, right=set(truth) == set(self.answer))


@final
@dataclass(frozen=True, slots=True)
class Feedback:
    """One line of the log.

    Attributes:
        id: From 1 on; unique in the folder.
        at: When it was kept, in UTC.
        sha256: sha256 of the picture's file.
        image: Path of the picture in the folder.
        mask: Path of the mask that was said to be right; None for none.
        stored: Bytes of the files that were new.
        said: The answer, and what was said about it.
    """

    id: int
    at: datetime
    sha256: str
    image: str
    mask: str | None
    stored: int
    said: Said

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        said = self.said
        return {
            "id": self.id,
            "at": self.at.isoformat(timespec="seconds"),
            "image": self.image,
            "mask": self.mask,
            "sha256": self.sha256,
            "stored": self.stored,
            "model": said.model,
            "version": said.version,
            "target": said.target,
            "answer": list(said.answer),
            "confidence": said.confidence,
            "unsure": said.unsure,
            "truth": None if said.truth is None else list(said.truth),
            "right": said.right,
            "note": said.note,
            "by": said.by,
            "origin": said.origin,
            "classes": list(said.classes),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return what `to_json` wrote.

        Raises:
            KeyError: If a key is missing.
            ValueError: If a value is not allowed.
        """
        for name, allowed in (("target", get_args(TargetKind)), ("origin", get_args(Origin))):
            if value[name] not in allowed:
                raise ValueError(f"{name} is {value[name]!r}")
        truth = value["truth"]
        said = Said(
            str(value["model"]),
            str(value["version"]),
            value["target"],
            tuple(value["answer"]),
            float(value["confidence"]),
            bool(value["unsure"]),
            None if truth is None else tuple(truth),
            value["right"],
            str(value["note"]),
            value["by"],
            value["origin"],
            tuple(value["classes"]),
        )
        at = datetime.fromisoformat(value["at"])
        # The folder may come from elsewhere: what it names must lie in it.
        for name in ("image", "mask"):
            path = value[name]
            if path is not None and (Path(path).is_absolute() or ".." in Path(path).parts):
                raise ValueError(f"{name} is {path!r}")
        stored = int(value["stored"])
        sha256, image, mask = str(value["sha256"]), str(value["image"]), value["mask"]
        return cls(int(value["id"]), at, sha256, image, mask, stored, said)


FORMAT = Format("feedback", Feedback.from_json, "correct the line, or move the folder away")


def read_feedback(path: Path) -> Iterator[Feedback]:
    """Yield the feedback in a folder, in the order in which it came.

    Raises:
        DataError: If a whole line is not feedback.
    """
    return read_lines(path / LOG_NAME, FORMAT)


def is_collected(location: str | Path) -> bool:
    """Return whether a location is a folder of `foveal serve --collect`."""
    if is_url(location):
        return False
    folder = local_path(location)
    return (folder / LOG_NAME).is_file() and (folder / PICTURES).is_dir()
