"""The interface of predictions, which all tasks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias, TypedDict, final, get_args

import numpy as np
from numpy.typing import NDArray

from foveal.types import Image, JsonObject, Mask, Numbers, Picture

Reason: TypeAlias = Literal["confidence", "unfamiliar"]
"""Why an answer is unsure: its confidence is under the limit (or its text is not allowed), or the
picture is unlike all that the model was trained on."""

REASONS: tuple[Reason, ...] = get_args(Reason)

# A picture is unfamiliar above this: the network's output is scaled so.
_LIMIT = 1.0


@dataclass(frozen=True, repr=False)
class Prediction(ABC):
    """The prediction for one picture. Each task has one subclass, a final frozen dataclass.

    Attributes:
        confidence: Calibrated confidence, in [0, 1].
        unsure: Whether the answer should not be relied on, for one of the `reasons`. A task decides
            by the confidence; `judged` adds the familiarity of the picture.
        mask: (H, W) uint8 positions in the labels of the task, in original pixels; None for an
            answer that is not a mask, and after `without_maps`.
        numbers: (H, W) int32 number of the object at each pixel, from 1, and 0 for none, original
            pixels; None where objects are not told apart, and after `without_maps`.
        reasons: Why the answer is unsure; empty if and only if it is not.
        unfamiliarity: Distance of the picture from the training pictures, at least 0; up to 1, the
            picture is familiar. None if the bundle does not measure it.
    """

    confidence: float
    unsure: bool
    mask: Mask | None = field(default=None, kw_only=True)
    numbers: Numbers | None = field(default=None, kw_only=True)
    reasons: tuple[Reason, ...] = field(default=(), kw_only=True)
    unfamiliarity: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Set `reasons` if the task only sets `unsure`."""
        if self.unsure and not self.reasons:
            object.__setattr__(self, "reasons", ("confidence",))

    @final
    def judged(self, unfamiliarity: float) -> Self:
        """Return the same answer, marked unsure if the picture is unfamiliar.

        Args:
            unfamiliarity: See the attribute.
        """
        # Not-a-number is not familiar either.
        if unfamiliarity <= _LIMIT:
            return replace(self, unfamiliarity=unfamiliarity)
        reasons = (*self.reasons, "unfamiliar")
        return replace(self, unsure=True, reasons=reasons, unfamiliarity=unfamiliarity)

    @final
    def __repr__(self) -> str:
        """Return a summary in one line."""
        return f"{type(self).__name__}({self.headline!r})"

    @property
    @abstractmethod
    def text(self) -> str:
        """The answer as text: classes joined by `|`, text, or the labels of a mask; may be ""."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """The answer with its confidence, such as `cat 98.1 %`."""

    @property
    @final
    def headline(self) -> str:
        """The summary, preceded by `unsure:` or `unsure (unfamiliar):` if the answer is."""
        return f"{self.doubt}: {self.summary}" if self.unsure else self.summary

    @property
    @final
    def doubt(self) -> str:
        """`unsure`, `unsure (unfamiliar)`, or "" for an answer that is not unsure."""
        if not self.unsure:
            return ""
        return "unsure (unfamiliar)" if "unfamiliar" in self.reasons else "unsure"

    @property
    @abstractmethod
    def scores(self) -> Mapping[str, float]:
        """Label → probability, most likely first; empty for texts and masks."""

    @property
    @abstractmethod
    def main_label(self) -> str | None:
        """The label that is explained by default; None for an empty answer."""

    @abstractmethod
    def says(self, text: str) -> bool:
        """Return whether the answer is this text or contains this label."""

    @abstractmethod
    def support(self, label: str) -> float:
        """Return the evidence for a label as one number, in [0, 1].

        Raises:
            TargetError: If the name is not a label.
        """

    @abstractmethod
    def heat(self, label: str | None = None) -> NDArray[np.float32]:
        """Return the evidence for a label, (H, W) float32 in [0, 1], in original pixels.

        Args:
            label: Label to explain; None takes `main_label`.

        Raises:
            TargetError: If the name is not a label, there is nothing to explain, or the answer was
                computed without `explain=True`.
        """

    @abstractmethod
    def draw(self, picture: Picture) -> Image:
        """Return the picture with the answer drawn on it, (H, W, 3) uint8 RGB.

        Args:
            picture: The answered picture, or the copy whose frame was answered.
        """

    @abstractmethod
    def to_json(self) -> JsonObject:
        """Return the answer as the task's `json_schema` describes it, without the mask."""

    @abstractmethod
    def to_html(self) -> str:
        """Return the confidence of each part of the answer as HTML; "" if it has no parts."""

    @abstractmethod
    def without_maps(self) -> Self:
        """Return the same answer without its maps. Text, summary, scores and JSON do not change."""


class Doubts(TypedDict):
    """The fields of a prediction that describe its reliability."""

    unsure: bool
    reasons: tuple[Reason, ...]
    unfamiliarity: float | None


def joint_doubts(predictions: Sequence[Prediction]) -> Doubts:
    """Return the joint reliability of several bundles' answers to one picture, by majority.

    Args:
        predictions: At least one.
    """
    unsure = 2 * sum(p.unsure for p in predictions) > len(predictions)
    # Imported late: it brings fractions and decimals, and few models vote.
    from statistics import median

    named = {reason for p in predictions for reason in p.reasons} if unsure else set()
    known = [p.unfamiliarity for p in predictions if p.unfamiliarity is not None]
    return {
        "unsure": unsure,
        "reasons": tuple(reason for reason in REASONS if reason in named),
        "unfamiliarity": median(known) if known else None,
    }


def doubts_json(prediction: Prediction) -> JsonObject:
    """Return the reliability as JSON values; `DOUBTS_SCHEMA` describes them."""
    said: JsonObject = {}
    if prediction.reasons:
        said["reasons"] = list(prediction.reasons)
    if prediction.unfamiliarity is not None:
        said["unfamiliarity"] = round(prediction.unfamiliarity, 4)
    return said


DOUBTS_SCHEMA: JsonObject = {
    "reasons": {
        "description": "Why it is unsure; missing when it is not",
        "type": "array",
        "items": {"enum": list(REASONS)},
        "minItems": 1,
        "uniqueItems": True,
    },
    "unfamiliarity": {
        "description": "How unlike the training pictures it is: up to 1 it is familiar",
        "type": "number",
        "minimum": 0,
    },
}
