"""The answer to one picture, as everything beside its own task sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from foveal.types import Image, JsonObject, Mask, Picture


@dataclass(frozen=True, repr=False)
class Prediction(ABC):
    """An answer. Each task has one subclass, a final frozen dataclass.

    Attributes:
        confidence: In [0, 1].
        unsure: Whether the confidence is under the bundle's limit.
        mask: (H, W) uint8 positions in the task's labels, original pixels; None for an answer
            that is not a mask, and in `without_maps`.
    """

    confidence: float
    unsure: bool
    mask: Mask | None = field(default=None, kw_only=True)

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
        """The summary, preceded by `unsure:` if the answer is."""
        return f"unsure: {self.summary}" if self.unsure else self.summary

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
