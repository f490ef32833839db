"""The mask of one picture, with the area of each label and the confidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import TargetError
from foveal.tasks.prediction import Prediction
from foveal.tasks.segment.instances import Instances
from foveal.types import BACKGROUND, Image, JsonObject, Labels, Mask, Picture

Maps: TypeAlias = NDArray[np.floating[Any]]
"""(C, h, w) probabilities, float32 or float16."""

_NAMED = 3


@final
@dataclass(frozen=True, repr=False)
class Segmentation(Prediction):
    """The mask of one picture; the confidence is the mean probability of the pixels' labels.

    Attributes:
        pixels: (C,) number of pixels of each label.
        size: (height, width) of the mask.
        probabilities: (C, H, W) calibrated probabilities in original pixels; None unless requested.
        labels: The C label names.
        offsets: Log odds added to each label before one was chosen for each pixel; empty for none.
        instances: The objects of the labels but the background; None where the bundle does not tell
            them apart.
    """

    pixels: tuple[int, ...]
    size: tuple[int, int]
    probabilities: Maps | None
    labels: tuple[str, ...]
    offsets: tuple[float, ...] = ()
    instances: Instances | None = None

    def __eq__(self, other: object) -> bool:
        """Compare the masks without the probabilities."""
        if not isinstance(other, Segmentation) or self._found != other._found:
            return False
        if self.mask is None or other.mask is None:
            return self.mask is other.mask
        return bool(np.array_equal(self.mask, other.mask))

    def __hash__(self) -> int:
        """Hash what equal answers share."""
        return hash(self._found)

    @property
    def _found(self) -> tuple[object, ...]:
        return self.labels, self.size, self.pixels, len(self.instances or ())

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of all pixels of each label, in [0, 1]."""
        total = max(1, self.size[0] * self.size[1])
        return tuple(count / total for count in self.pixels)

    @property
    def text(self) -> str:
        """The labels and their shares: `background 74.1 %, nuclei 25.9 %`."""
        return _listed(list(zip(self.labels, self.shares, strict=True)))

    @property
    def summary(self) -> str:
        """The shares with the confidence, such as `nuclei 25.9 %; 98.3 % sure`."""
        found = self.found()
        words = _listed(found[:_NAMED])
        if len(found) > _NAMED:
            words += f" and {len(found) - _NAMED} more"
        if words and self.instances is not None:
            count = len(self.instances)
            words = f"{count:,} object{'' if count == 1 else 's'}: {words}"
        return f"{words or f'only {BACKGROUND}'}; {100 * self.confidence:.1f} % sure"

    @property
    def scores(self) -> dict[str, float]:
        """Empty: a mask is not a single label."""
        return {}

    @property
    def main_label(self) -> str:
        """The largest label except the background; the first one if none was found."""
        found = self.found()
        if found:
            return found[0][0]
        return next((name for name in self.labels if name != BACKGROUND), self.labels[0])

    def found(self) -> list[tuple[str, float]]:
        """Return (label, share) of the labels that occur except the background, largest first."""
        pairs = zip(self.labels, self.shares, strict=True)
        there = [(name, share) for name, share in pairs if share and name != BACKGROUND]
        return sorted(there, key=lambda pair: -pair[1])

    def known_mask(self) -> Mask:
        """Return the mask.

        Raises:
            TargetError: If the mask was dropped by `without_maps`.
        """
        if self.mask is None:
            raise TargetError(
                "The answer no longer has its mask.", hint=("predict the picture again")
            )
        return self.mask

    def says(self, text: str) -> bool:
        """Return whether a label occurs in the mask."""
        return any(n == text and count for n, count in zip(self.labels, self.pixels, strict=True))

    def support(self, label: str) -> float:
        """Return the mean probability of the label; without maps, its share of the pixels."""
        index = Labels(self.labels).position(label)
        if self.probabilities is None:
            return self.shares[index]
        return min(1.0, float(self.probabilities[index].mean(dtype=np.float64)))

    def heat(self, label: str | None = None) -> NDArray[np.float32]:
        """Return the probability of a label at each pixel."""
        index = Labels(self.labels).position(self.main_label if label is None else label)
        if self.probabilities is None:
            raise TargetError(
                "The answer has no probability maps.", hint="predict(…, explain=True)"
            )
        heat: NDArray[np.float32] = self.probabilities[index].astype(np.float32)
        return heat

    def draw(self, picture: Picture) -> Image:
        """Return the picture under the colours of the mask, with outlines."""
        # Imported late: drawing costs a tenth of the start of `foveal predict`, which needs none.
        from foveal.tasks.segment.draw import draw_mask, draw_objects

        if self.numbers is not None:
            return draw_objects(picture, self.numbers)
        return draw_mask(picture, self.known_mask(), self.labels)

    def to_json(self) -> JsonObject:
        """Return the labels with their shares and pixels, confidence, unsure and the size.

        Where objects are told apart, `instances` has the label, area, box and score of each.
        """
        objects = {}
        if self.instances is not None:
            objects = {"instances": self.instances.to_json(self.labels)}
        return {
            "classes": [
                {"name": name, "share": round(share, 6), "pixels": count}
                for name, share, count in zip(self.labels, self.shares, self.pixels, strict=True)
            ],
            "confidence": round(self.confidence, 6),
            "unsure": self.unsure,
            "size": list(self.size),
            **objects,
        }

    def to_html(self) -> str:
        """Return bars of the shares of the labels that were found."""
        from foveal.render.charts import bar_chart

        found = self.found()
        return bar_chart([(n, s, f"{100 * s:.1f} %") for n, s in found], high=1.0) if found else ""

    def without_maps(self) -> Segmentation:
        """Drop the mask, the probabilities, and which pixels the objects consist of."""
        found = None if self.instances is None else self.instances.without_maps()
        return replace(self, mask=None, numbers=None, probabilities=None, instances=found)


def _listed(shares: list[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares)
