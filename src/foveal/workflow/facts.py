"""Look at a sample of the pictures before choosing: sizes, colours, ink on paper or photograph."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.data.decode import DecodeLimits
from foveal.data.source import Sample, Source
from foveal.errors import DataError, FovealError
from foveal.types import Picture

# Enough that the median is within a few percent, and under a second to decode.
_LOOK_AT = 256
# Chroma (largest minus smallest channel, of 255) under which a picture counts as grey.
_GREY_CHROMA = 24
# Printed letters and signatures here: 0.82 and 0.85; grey ads of phones: up to 0.53.
_INK_SHARE = 0.68
# A pixel this close to the border's colour is ground, not ink.
_GROUND_DISTANCE = 40


@final
@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a sample of the pictures says.

    Attributes:
        samples: Pictures in the source.
        median_side: Median of the longer side, in pixels.
        median_aspect: Median of longer side / shorter side.
        pad_color: Median RGB of the pictures' borders.
        ink_share: Share of pictures that look like ink on paper: grey, and mostly ground.
        single_characters: Whether every label is one character.
    """

    samples: int
    median_side: int
    median_aspect: float
    pad_color: tuple[int, int, int]
    ink_share: float
    single_characters: bool

    @property
    def is_ink(self) -> bool:
        """Whether the pictures are writing, print or line drawing rather than photographs."""
        return self.ink_share > _INK_SHARE


def look(source: Source, limits: DecodeLimits, label_names: Sequence[str]) -> DataFacts:
    """Decode a few pictures, evenly spread over the source, and return the facts.

    Raises:
        DataError: When none of them can be decoded.
    """
    samples = source.samples
    step = max(1, len(samples) // _LOOK_AT)
    chosen = samples[::step][:_LOOK_AT]

    def load(sample: Sample) -> Picture | None:
        try:
            return source.load(sample, limits, min_size=(96, 96)).picture
        except FovealError:
            return None  # Counted and reported when the cache is built.

    with ThreadPoolExecutor() as pool:
        pictures = [picture for picture in pool.map(load, chosen) if picture is not None]
    if not pictures:
        raise DataError(
            f"None of the first {len(chosen)} pictures in {source.location} can be read.",
            hint=f"foveal check {source.location}",
        )
    borders = np.stack([_border(picture.pixels) for picture in pictures])
    sides = [max(picture.height, picture.width) for picture in pictures]
    aspects = [
        max(picture.height, picture.width) / min(picture.height, picture.width)
        for picture in pictures
    ]
    red, green, blue = (int(v) for v in np.median(borders, axis=0).round())
    return DataFacts(
        samples=len(samples),
        median_side=int(np.median(sides)),
        median_aspect=float(np.median(aspects)),
        pad_color=(red, green, blue),
        ink_share=float(np.mean([_is_ink(picture.pixels) for picture in pictures])),
        single_characters=bool(label_names) and all(len(name) == 1 for name in label_names),
    )


def _border(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    ring = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    color: NDArray[np.float64] = np.median(np.concatenate(ring), axis=0)
    return color


def _is_ink(pixels: NDArray[np.uint8]) -> bool:
    small = pixels[:: max(1, pixels.shape[0] // 64), :: max(1, pixels.shape[1] // 64)].astype(int)
    chroma = small.max(axis=2) - small.min(axis=2)
    grey = small.mean(axis=2)
    # Ground by its own most frequent tone, which a vignette or a cropped glyph does not move.
    tone = int(np.bincount((grey // 16).astype(int).ravel(), minlength=17).argmax()) * 16 + 8
    ground = np.abs(grey - tone) < _GROUND_DISTANCE
    return bool(np.median(chroma) < _GREY_CHROMA and ground.mean() > 0.5)
