"""The answer to one picture: a mask, how sure it is, and its PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.errors import TargetError
from foveal.tasks.segment.options import BACKGROUND
from foveal.types import JsonObject, Mask

Maps: TypeAlias = NDArray[np.floating[Any]]
"""(C, h, w) probabilities, float32 or float16."""

# Okabe and Ito's colours, told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/):
# first those that stand out from stained tissue and from grey.
_COLORS = (
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (230, 159, 0),
    (86, 180, 233),
    (213, 94, 0),
    (204, 121, 167),
)
_GOLDEN_TURN = 0.61803398875
# Over this many pixels, smaller files are not worth the wait.
_LARGE = 10_000_000
_NAMED = 3


@final
@dataclass(frozen=True)
class Segmentation:
    """The answer to one picture.

    Attributes:
        mask: (H, W) uint8 positions in `labels`, original pixels; None once it was dropped.
        pixels: How many pixels each label has.
        size: (height, width) of the mask.
        confidence: Mean over the pixels of the largest probability, in [0, 1].
        unsure: Whether the confidence is under the bundle's limit.
        probabilities: (C, H, W) calibrated, original pixels; None unless asked for.
        labels: The C names.
    """

    mask: Mask | None
    pixels: tuple[int, ...]
    size: tuple[int, int]
    confidence: float
    unsure: bool
    probabilities: Maps | None
    labels: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        """Compare the masks, not the probabilities."""
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
        return self.labels, self.size, self.pixels

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the share of all pixels that each label has."""
        total = max(1, self.size[0] * self.size[1])
        return tuple(count / total for count in self.pixels)

    @cached_property
    def png(self) -> bytes:
        """Return `mask_png` of this answer; a file and a record take the same bytes."""
        return mask_png(self)

    def known_mask(self) -> Mask:
        """Return the mask.

        Raises:
            TargetError: When an evaluation has dropped it.
        """
        if self.mask is None:
            raise TargetError("The answer holds no mask any more.", hint="predict the picture")
        return self.mask

    def found(self) -> list[tuple[str, float]]:
        """Return (label, share) of what occurs beside the background, largest first."""
        pairs = zip(self.labels, self.shares, strict=True)
        there = [(name, share) for name, share in pairs if share and name != BACKGROUND]
        return sorted(there, key=lambda pair: -pair[1])

    def headline(self) -> str:
        """Return `nuclei 25.9 %; 98.3 % sure`."""
        found = self.found()
        words = ", ".join(f"{name} {100 * share:.1f} %" for name, share in found[:_NAMED])
        if len(found) > _NAMED:
            words += f" and {len(found) - _NAMED} more"
        text = f"{words or f'only {BACKGROUND}'}; {100 * self.confidence:.1f} % sure"
        return f"unsure: {text}" if self.unsure else text

    def to_json(self) -> JsonObject:
        """Return the prediction as the contract has it; `mask` is null once it was dropped."""
        mask = None
        if self.mask is not None:
            mask = {"png_b64": base64.b64encode(self.png).decode("ascii")}
        return {
            "classes": [
                {"name": name, "share": round(share, 6), "pixels": count}
                for name, share, count in zip(self.labels, self.shares, self.pixels, strict=True)
            ],
            "confidence": round(self.confidence, 6),
            "unsure": self.unsure,
            "size": list(self.size),
            "mask": mask,
        }


def palette(labels: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return an RGB colour for each label: black for the background, the others well apart.

    The first seven are told apart by colour-blind eyes; more have hues a golden turn apart and
    alternate in lightness.
    """
    colors: list[tuple[int, int, int]] = []
    number = 0
    for name in labels:
        if name == BACKGROUND:
            colors.append((0, 0, 0))
            continue
        colors.append(_COLORS[number] if number < len(_COLORS) else _further(number))
        number += 1
    return colors


def _further(number: int) -> tuple[int, int, int]:
    hue = 360 * (number * _GOLDEN_TURN % 1)
    lightness = (0.35, 0.6, 0.8)[number % 3]
    # The formula of HSL with a saturation of 0.75, written for one channel at a time.
    spread = 0.75 * min(lightness, 1 - lightness)

    def channel(offset: int) -> int:
        place = (offset + hue / 30) % 12
        return round(255 * (lightness - spread * max(-1.0, min(place - 3, 9 - place, 1.0))))

    return channel(0), channel(8), channel(4)


def mask_png(prediction: Segmentation) -> bytes:
    """Return the mask as a palette PNG of the original's size; values are label positions.

    Raises:
        TargetError: When an evaluation has dropped the mask.
    """
    mask = np.ascontiguousarray(prediction.known_mask())
    # A view of the mask, not a copy: it may have hundreds of megapixels.
    image = PILImage.frombuffer("P", (mask.shape[1], mask.shape[0]), mask, "raw", "P", 0, 1)
    image.putpalette([value for color in palette(prediction.labels) for value in color])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1 if mask.size > _LARGE else 6)
    return buffer.getvalue()
