"""The answer to one picture, as everything beside its own task sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias, TypedDict, final, get_args

import numpy as np
from numpy.typing import NDArray

from foveal.types import Image, JsonObject, Mask, Picture

Reason: TypeAlias = Literal["confidence", "unfamiliar"]
"""Why an answer is unsure: its confidence is under the limit (or its text is not allowed), or the
picture is unlike all that the model was trained on."""

REASONS: tuple[Reason, ...] = get_args(Reason)

# A picture is unfamiliar above this: the network's output is scaled so.
_LIMIT = 1.0


@dataclass(frozen=True, repr=False)
class Prediction(ABC):
    """An answer. Each task has one subclass, a final frozen dataclass.

    Attributes:
        confidence: In [0, 1].
        unsure: Whether the answer should not be relied on, for one of the `reasons`. A task decides
            by the confidence; `judged` adds how familiar the picture is.
        mask: (H, W) uint8 positions in the task's labels, original pixels; None for an answer
            that is not a mask, and in `without_maps`.
        reasons: Why it is unsure; empty exactly when it is not.
        unfamiliarity: How unlike the training pictures the picture is, from 0 on: up to 1 it is
            familiar. None from a bundle that does not say.
    """

    confidence: float
    unsure: bool
    mask: Mask | None = field(default=None, kw_only=True)
    reasons: tuple[Reason, ...] = field(default=(), kw_only=True)
    unfamiliarity: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Say why, where a task says no more than that it is unsure."""
        if self.unsure and not self.reasons:
            object.__setattr__(self, "reasons", ("confidence",))

    @final
    def judged(self, unfamiliarity: float) -> Self:
        """Return the same answer, unsure if the picture is unfamiliar.

        Args:
            unfamiliarity: How unlike the training pictures it is; see the attribute.
        """
        # Not-a-number is not familiar either.
        if unfamiliarity <= _LIMIT:
            return replace(self, unfamiliarity=unfamiliarity)
        reasons = (*self.reasons, "unfamiliar")
        return replace(self, unsure=True, reasons=reasons, unfamiliarity=unfamiliarity)

    @final
    def __repr__(self) -> str:
        """Return one line, without the maps."""
        return f"{type(self).__name__}({self.headline!r})"

    @property
    @abstractmethod
    def text(self) -> str:
        """The answer as text: class names joined by `|`, what was read, a mask's labels and shares.

        "" when it says nothing.
        """

    @property
    @abstractmethod
    def summary(self) -> str:
        """The answer and how sure it is, in a few words for people: `cat 98.1 %`."""

    @property
    @final
    def headline(self) -> str:
        """The summary, preceded by `unsure:` or `unsure (unfamiliar):` if the answer is."""
        return f"{self.doubt}: {self.summary}" if self.unsure else self.summary

    @property
    @final
    def doubt(self) -> str:
        """`unsure`, `unsure (unfamiliar)`, or "" for an answer that is sure."""
        if not self.unsure:
            return ""
        return "unsure (unfamiliar)" if "unfamiliar" in self.reasons else "unsure"

    @property
    @abstractmethod
    def scores(self) -> Mapping[str, float]:
        """Label → probability, most likely first; empty when the answer is not one of the labels.

        Texts and masks consist of many labels: theirs is empty.
        """

    @property
    @abstractmethod
    def main_label(self) -> str | None:
        """The label that an explanation speaks for unless told otherwise; None for no answer."""

    @abstractmethod
    def says(self, text: str) -> bool:
        """Return whether the answer is this text, or this label is one of those it names."""

    @abstractmethod
    def support(self, label: str) -> float:
        """Return how much speaks for a label, in [0, 1].

        Raises:
            TargetError: For a name that is not a label.
        """

    @abstractmethod
    def heat(self, label: str | None = None) -> NDArray[np.float32]:
        """Return the evidence for a label over the original's pixels, (H, W) float32 in [0, 1].

        Args:
            label: None takes `main_label`.

        Raises:
            TargetError: For a name that is not a label, when there is nothing to explain, or when
                the answer was not asked for with `explain=True`.
        """

    @abstractmethod
    def draw(self, picture: Picture) -> Image:
        """Return the picture with the answer drawn on it, (H, W, 3) uint8 RGB.

        Args:
            picture: The one that was answered, or the copy whose frame was answered.
        """

    @abstractmethod
    def to_json(self) -> JsonObject:
        """Return what the task's `json_schema` describes; the mask is added by who sends it."""

    @abstractmethod
    def to_html(self) -> str:
        """Return how sure each part of the answer is, for a notebook; "" for no parts."""

    @abstractmethod
    def without_maps(self) -> Self:
        """Return the same answer without what only draws and explains it: an evaluation keeps it.

        Its text, summary, scores and JSON stay.
        """


class Doubts(TypedDict):
    """The fields of a prediction that say whether it can be relied on."""

    unsure: bool
    reasons: tuple[Reason, ...]
    unfamiliarity: float | None


def joint_doubts(predictions: Sequence[Prediction]) -> Doubts:
    """Return what several bundles' answers to one picture say together: unsure if most are.

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
    """Return what is said beside the task's own JSON; `DOUBTS_SCHEMA` describes it."""
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
