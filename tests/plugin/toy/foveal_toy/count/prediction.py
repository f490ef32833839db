"""A number of dots, with the density that adds up to it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from foveal.errors import TargetError
from foveal.pipeline import resample_to_original
from foveal.render import heat_overlay
from foveal.tasks.prediction import Prediction
from foveal.types import Frame, Image, JsonObject, Labels, Picture


@dataclass(frozen=True)
class Count(Prediction):
    """The answer to one picture.

    Attributes:
        labels: The numbers that occur.
        probabilities: (C,) float32, of each.
        density: (h, w) float32 whose sum is the number; None unless asked for.
        frame: Where the picture lies in the model input.
    """

    labels: Labels
    probabilities: NDArray[np.float32]
    density: NDArray[np.float32] | None
    frame: Frame

    @property
    def text(self) -> str:
        return self.main_label

    @property
    def summary(self) -> str:
        return f"{self.main_label} dots {100 * self.confidence:.1f} %"

    @property
    def scores(self) -> Mapping[str, float]:
        order = np.argsort(-self.probabilities, kind="stable")
        return {self.labels.names[i]: float(self.probabilities[i]) for i in order}

    @property
    def main_label(self) -> str:
        return self.labels.names[int(self.probabilities.argmax())]

    def says(self, text: str) -> bool:
        return text == self.main_label

    def support(self, label: str) -> float:
        return float(self.probabilities[self.labels.position(label)])

    def heat(self, label: str | None = None) -> NDArray[np.float32]:
        if label is not None:
            self.labels.position(label)
        if self.density is None:
            raise TargetError("The answer holds no density.", hint="predict(…, explain=True)")
        whole = resample_to_original(self.density, self.frame)
        return (whole / max(float(whole.max()), 1e-6)).astype(np.float32)

    def draw(self, picture: Picture) -> Image:
        return heat_overlay(picture, self.heat())

    def to_json(self) -> JsonObject:
        return {
            "count": int(self.main_label),
            "confidence": round(self.confidence, 6),
            "unsure": self.unsure,
        }

    def to_html(self) -> str:
        return ""

    def without_maps(self) -> Self:
        return replace(self, density=None)
