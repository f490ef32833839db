"""The classes of one picture, and the evidence map that their scores are the mean of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import TargetError
from foveal.pipeline import resample_to_original
from foveal.tasks.prediction import Prediction
from foveal.types import Frame, Image, JsonObject, Labels, Picture

# More bars than this are noise below the answer.
_BARS = 5


@final
@dataclass(frozen=True, repr=False)
class Classification(Prediction):
    """The classes of one picture; the confidence is that of the least certain decision.

    Attributes:
        labels: Predicted classes: one, or any number with `multi_label`.
        probabilities: (C,) float32, calibrated, in [0, 1].
        evidence: (C, h, w) float32 map whose mean over the positions is the logits; None unless
            requested.
        frame: Position of the picture in the model input.
        classes: All C classes.
        multi_label: Whether several classes may apply.
    """

    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]
    evidence: NDArray[np.float32] | None
    frame: Frame
    classes: Labels
    multi_label: bool

    def __eq__(self, other: object) -> bool:
        """Compare the answers without their maps."""
        return isinstance(other, Classification) and self.labels == other.labels

    def __hash__(self) -> int:
        """Hash the answer."""
        return hash(self.labels)

    @property
    def label(self) -> str:
        """The class; with `multi_label` the classes joined by `|`, or "" for none."""
        return "|".join(self.labels)

    @property
    def text(self) -> str:
        """The classes joined by `|`."""
        return self.label

    @property
    def summary(self) -> str:
        """The answer with its confidence, such as `cat 98.1 %`."""
        return f"{self.label or 'none'} {100 * self.confidence:.1f} %"

    @cached_property
    def scores(self) -> dict[str, float]:
        """Class → probability, most likely first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return {self.classes.names[i]: float(self.probabilities[i]) for i in order}

    @property
    def main_label(self) -> str:
        """The most likely class."""
        return self.classes.names[int(self.probabilities.argmax())]

    def says(self, text: str) -> bool:
        """Return whether a class was predicted."""
        return text in self.labels

    def support(self, label: str) -> float:
        """Return the class's probability."""
        return float(self.probabilities[self.classes.position(label)])

    def heat(self, label: str | None = None) -> NDArray[np.float32]:
        """Return the evidence for a class, in [0, 1]; 0 is no evidence or evidence against it."""
        if self.evidence is None:
            raise TargetError(
                "The answer has no evidence map, because it was not asked for.",
                hint="predict(…, explain=True)",
            )
        own = self.evidence[self.classes.position(self.main_label if label is None else label)]
        if not self.multi_label and len(self.evidence) > 1:
            # What speaks for this class rather than for the average one: softmax sees differences.
            own = own - self.evidence.mean(axis=0)
        whole = resample_to_original(np.maximum(own, 0.0).astype(np.float32), self.frame)
        peak = float(whole.max())
        return whole / np.float32(peak) if peak > 0 else whole

    def draw(self, picture: Picture) -> Image:
        """Return the picture under its evidence map."""
        from foveal.render import heat_overlay

        return heat_overlay(picture, self.heat())

    def to_json(self) -> JsonObject:
        """Return label, confidence, unsure and the scores, most likely first."""
        answer: JsonObject = {
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "unsure": self.unsure,
            "scores": {name: round(score, 6) for name, score in self.scores.items()},
        }
        if self.multi_label:
            answer["labels"] = list(self.labels)
        return answer

    def to_html(self) -> str:
        """Return bars of the most likely classes."""
        from foveal.render.charts import bar_chart

        best = list(self.scores.items())[:_BARS]
        return bar_chart([(name, p, f"{100 * p:.1f} %") for name, p in best], high=1.0)

    def without_maps(self) -> Classification:
        """Drop the evidence map."""
        return replace(self, evidence=None)
