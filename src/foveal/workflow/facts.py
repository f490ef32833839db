"""Collect statistics of a sample of the pictures: sizes, colours, ink or photograph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.data.decode import DecodeLimits
from foveal.data.source import Sample, Source
from foveal.errors import DataError, FovealError
from foveal.synth import SynthSource
from foveal.tasks.facts import DataFacts
from foveal.types import BACKGROUND, IGNORED, Picture, Raster, RawTarget

# Enough that the median is within a few percent, and under a second to decode.
_LOOK_AT = 256
# Side of the part that is looked at of pictures with masks.
_MIDDLE_SIDE = 512
# Masks that are counted, and pixels after which no further one is read: a slide alone has more.
_MASKS, _MASK_PIXELS = 32, 1 << 26
# Chroma (largest minus smallest channel, of 255) under which a picture counts as grey.
_GREY_CHROMA = 24
# Side at which the width of strokes is measured: strokes of a pixel are still seen.
_STROKE_SIDE = 400
# A pixel this close to the border's colour is ground, not ink.
_GROUND_DISTANCE = 40


def look(source: Source, limits: DecodeLimits, raws: Iterable[RawTarget]) -> DataFacts:
    """Decode a few pictures, evenly spread over the source, and return the facts.

    Raises:
        DataError: If none of them can be decoded.
    """
    samples = source.samples
    step = max(1, len(samples) // _LOOK_AT)
    chosen = samples[::step][:_LOOK_AT]

    def see(sample: Sample) -> _Seen | None:
        try:
            if source.classes:
                return _Seen.of(_middle(source.open(sample, limits).raster))
            return _Seen.of(source.load(sample, limits, min_size=(96, 96)).picture)
        except FovealError:
            return None  # Counted and reported when the cache is built.

    with ThreadPoolExecutor() as pool:
        seen = [one for one in pool.map(see, chosen) if one is not None]
    if not seen:
        raise DataError(
            f"None of the first {len(chosen)} pictures in {source.location} can be read.",
            hint=f"foveal check {source.location}",
        )
    borders = np.stack([one.border for one in seen])
    longest = max((len(name) for raw in raws for name in raw), default=0)
    red, green, blue = (int(v) for v in np.median(borders, axis=0).round())
    return DataFacts(
        samples=len(samples),
        median_side=int(np.median([max(one.height, one.width) for one in seen])),
        median_height=int(np.median([one.height for one in seen])),
        widest=max(one.width / one.height for one in seen),
        pad_color=(red, green, blue),
        ink_share=float(np.mean([one.is_ink for one in seen])),
        single_characters=longest == 1,
        longest_target=longest,
        characters=frozenset(sign for raw in raws for name in raw for sign in name),
        is_drawn=isinstance(source, SynthSource),
        background_share=_background_share(source, chosen),
        **_facts_of_ink([one.ink for one in seen if one.ink is not None]),
    )


def _background_share(source: Source, samples: Sequence[Sample]) -> float | None:
    """Return the share of the background in the masks of some samples, evenly spread."""
    if BACKGROUND not in source.classes:
        return None
    place = source.classes.index(BACKGROUND)
    step = max(1, len(samples) // _MASKS)
    known = background = seen = 0
    for sample in samples[::step]:
        if seen >= _MASK_PIXELS:
            break
        try:
            mask = source.mask(sample)
        except FovealError:
            continue  # Counted and reported when the cache is built.
        seen += mask.size
        known += int(np.count_nonzero(mask != IGNORED))
        background += int(np.count_nonzero(mask == place))
    return background / known if known else None


@final
@dataclass(frozen=True, slots=True)
class _Seen:
    """Statistics of a sampled picture."""

    height: int
    width: int
    border: NDArray[np.float64]
    is_ink: bool
    ink: _Ink | None

    @classmethod
    def of(cls, picture: Picture) -> _Seen:
        pixels = picture.pixels
        is_ink, ink = _look_for_ink(pixels)
        return cls(picture.height, picture.width, _border(pixels), is_ink, ink)


@final
@dataclass(frozen=True, slots=True)
class _Ink:
    """The ink of a picture.

    Attributes:
        is_dark: Whether it is darker than its ground.
        extent: The longer of the sides that it covers, each as a share of the picture's.
        stroke: Width of its strokes, as a share of the longer side.
        is_grey: Whether it is black, grey or white.
    """

    is_dark: bool
    extent: float
    stroke: float
    is_grey: bool


def _facts_of_ink(inks: list[_Ink]) -> dict[str, float]:
    if not inks:
        return {}
    return {
        "dark_share": float(np.mean([ink.is_dark for ink in inks])),
        "ink_extent": float(np.median([ink.extent for ink in inks])),
        "stroke": float(np.median([ink.stroke for ink in inks])),
        "grey_share": float(np.mean([ink.is_grey for ink in inks])),
    }


def _middle(raster: Raster) -> Picture:
    """Return the middle of a picture that may be too large to decode, with the whole's size."""
    height, width = min(_MIDDLE_SIDE, raster.height), min(_MIDDLE_SIDE, raster.width)
    top, left = (raster.height - height) // 2, (raster.width - width) // 2
    return Picture(raster.read(top, left, height, width), raster.height, raster.width)


def _border(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    ring = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    color: NDArray[np.float64] = np.median(np.concatenate(ring), axis=0)
    return color


def _look_for_ink(pixels: NDArray[np.uint8]) -> tuple[bool, _Ink | None]:
    """Return whether a picture is of ink on plain ground, and its ink where some stands out."""
    small = pixels[:: max(1, pixels.shape[0] // 64), :: max(1, pixels.shape[1] // 64)].astype(int)
    chroma = small.max(axis=2) - small.min(axis=2)
    grey = small.mean(axis=2)
    # Ground by its own most frequent tone, which a vignette or a cropped glyph does not move.
    tone = int(np.bincount((grey // 16).astype(int).ravel(), minlength=17).argmax()) * 16 + 8
    is_far = np.abs(grey - tone) >= _GROUND_DISTANCE
    if np.median(chroma) >= _GREY_CHROMA or is_far.mean() >= 0.5:
        return False, None
    if not is_far.any():
        return True, None
    extents = [
        (np.ptp(places) + 1) / side
        for places, side in zip(is_far.nonzero(), grey.shape, strict=True)
    ]
    # By the border: bold letters cover more than half of their frames.
    is_dark = bool(grey.mean() < _border(pixels).mean())
    is_grey = bool(np.median(chroma[is_far]) < _GREY_CHROMA)
    return True, _Ink(is_dark, float(max(extents)), _stroke(pixels, tone), is_grey)


def _stroke(pixels: NDArray[np.uint8], tone: int) -> float:
    """Return the width of strokes as a share of the longer side: twice the area by the edge."""
    step = max(1, max(pixels.shape[:2]) // _STROKE_SIDE)
    is_far = np.abs(pixels[::step, ::step].mean(axis=2) - tone) >= _GROUND_DISTANCE
    framed = np.pad(is_far, 1)
    is_inner = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:] & is_far
    edge = int(is_far.sum() - is_inner.sum())
    return 2 * float(is_far.sum()) / max(1, edge) / float(max(is_far.shape))
