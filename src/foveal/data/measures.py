"""Measures of pictures: sharpness, brightness, information, colour, border.

All of them are taken from 8-bit pixels at one scale, so that pictures of different sizes can be
compared: a large picture is made smaller by a whole factor until its shorter side is under twice
`SIDE`. A picture that was decoded smaller than that has no sharpness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.types import Image, Picture, Raster

SIDE = 256
"""Shorter side, in pixels, that decoding must keep of a larger picture for its sharpness."""

MEASURES = (
    "sharpness",
    "highlight",
    "shadow",
    "brightness",
    "information",
    "colorfulness",
    "border",
    "red",
    "green",
    "blue",
)
"""Columns of `Scan.measures`; see `measure`."""

Measures: TypeAlias = NDArray[np.float32]
"""(len(MEASURES),) float32, in the order of `MEASURES`; NaN where one cannot be taken."""

_BLOCK = 8
# A block in which grey levels differ by less than this, or by less than this share of what they
# differ by in the strongest block, holds noise rather than an edge.
_FLOOR, _SHARE = 16, 0.25
# The sharper quarter of the edges decides: a subject may stand before a blurred background.
_SHARPER = 0.75
_LEVELS = np.arange(256)
# Grey levels by which a row of one colour may differ after it was saved as JPEG.
_UNIFORM = 12
# Windows in which the sharpness of a picture that is read in parts is taken: three by three.
_WINDOWS, _WINDOW = 3, 256


def measure(picture: Picture, small: PILImage.Image) -> Measures:
    """Return the measures of a decoded picture.

    Args:
        picture: Upright RGB.
        small: The same, made small: see `foveal.data.hashing.shrunk`.

    - `sharpness`: see `sharpness`.
    - `highlight`, `shadow`, in [0, 1]: grey level under which the brightest pixels of 99 % of the
      blocks of 8 x 8 pixels are, and the darkest pixels of 1 %. Thin strokes count by the blocks
      that they run through, so that ink on paper and photographs can be judged alike.
    - `brightness`, in [0, 1]: mean grey level.
    - `information`, in bits: entropy of the grey levels, times `highlight` - `shadow`. By the
      entropy alone, a line drawing in two tones would hold less than a flat grey photograph.
    - `colorfulness`, from 0 to about 200: Hasler and Süsstrunk, "Measuring colourfulness in natural
      images" (2003), of the picture at 32 x 32 pixels.
    - `border`, in [0, 1]: share of height or width that frames of one colour take.
    - `red`, `green`, `blue`, in [0, 1]: median colour of the outermost pixels at 32 x 32.
    """
    pixels = picture.pixels
    factor = min(pixels.shape[:2]) // SIDE
    grey = PILImage.fromarray(pixels).convert("L")
    if factor > 1:
        grey = grey.reduce(factor)
    blocks = _Blocks.of(np.asarray(grey))
    needed = min(SIDE, picture.height, picture.width)
    is_large_enough = min(pixels.shape[:2]) >= needed
    return _measures(blocks, _sharpness(blocks) if is_large_enough else np.nan, small)


def measure_parts(raster: Raster, look: Image, small: PILImage.Image) -> Measures:
    """Return the measures of a picture that is read in parts.

    Its sharpness is taken at full scale, in nine windows spread over it.

    Args:
        raster: The picture.
        look: (H, W, 3) uint8 rows and columns of it.
        small: These, made small.
    """
    height, width = min(_WINDOW, raster.height), min(_WINDOW, raster.width)
    tops = np.linspace(0, raster.height - height, _WINDOWS).astype(int).tolist()
    lefts = np.linspace(0, raster.width - width, _WINDOWS).astype(int).tolist()
    high, wide = height // _BLOCK * _BLOCK, width // _BLOCK * _BLOCK
    rows = [
        np.hstack([_grey(raster.read(top, left, height, width))[:high, :wide] for left in lefts])
        for top in tops
    ]
    return _measures(_Blocks.of(_grey(look)), sharpness(np.vstack(rows)), small)


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Return how steep the edges of a picture are, in [0, 1]: 1 for ink of one tone on paper.

    In each block of 8 x 8 pixels that holds an edge: the largest step between two neighbouring
    pixels as a share of the range of the block. The blocks are those of JPEG, whose borders do not
    count, and neither contrast nor the number of edges matters. An edge blurred by a Gaussian of
    1 pixel has 0.4, of 2 pixels 0.25. Works for photographs and text alike.

    Args:
        grey: (H, W) uint8; text at the scale at which it was written.

    Returns:
        The upper quartile over the blocks; 0 without an edge, NaN without a whole block.
    """
    return _sharpness(_Blocks.of(grey))


@final
@dataclass(frozen=True, slots=True)
class _Blocks:
    """Grey levels, and the largest and smallest of each block; none where there is no whole one."""

    levels: NDArray[np.uint8]
    highest: NDArray[np.uint8]
    lowest: NDArray[np.uint8]

    @classmethod
    def of(cls, levels: NDArray[np.uint8]) -> Self:
        height, width = (side // _BLOCK * _BLOCK for side in levels.shape)
        whole = levels[:height, :width]
        if not height or not width:
            nothing = np.zeros((0, 0), np.uint8)
            return cls(levels, nothing, nothing)
        return cls(levels, _over_blocks(whole, np.maximum), _over_blocks(whole, np.minimum))


def _sharpness(blocks: _Blocks) -> float:
    span = blocks.highest - blocks.lowest
    if not span.size:
        return np.nan
    strongest = int(span.max())
    if strongest < _FLOOR:
        return 0.0
    height, width = (_BLOCK * count for count in span.shape)
    grey = blocks.levels[:height, :width]
    steps = np.zeros_like(grey)
    np.subtract(
        np.maximum(grey[:, :-1], grey[:, 1:]),
        np.minimum(grey[:, :-1], grey[:, 1:]),
        out=steps[:, :-1],
    )
    # From one block to the next.
    steps[:, _BLOCK - 1 :: _BLOCK] = 0
    down = np.maximum(grey[:-1], grey[1:]) - np.minimum(grey[:-1], grey[1:])
    down[_BLOCK - 1 :: _BLOCK] = 0
    np.maximum(steps[:-1], down, out=steps[:-1])
    has_edge = span >= max(_FLOOR, _SHARE * strongest)
    shares = _over_blocks(steps, np.maximum)[has_edge] / span[has_edge].astype(np.float32)
    return _quantile(shares, _SHARPER)


def _measures(blocks: _Blocks, sharp: float, small: PILImage.Image) -> Measures:
    levels = blocks.levels
    counts = np.bincount(levels.reshape(-1), minlength=256)
    shares = counts[counts > 0] / levels.size
    entropy = -float((shares * np.log2(shares)).sum())
    has_blocks = blocks.highest.size > 0
    high = _quantile(blocks.highest if has_blocks else levels, 0.99) / 255
    low = _quantile(blocks.lowest if has_blocks else levels, 0.01) / 255
    colors = np.asarray(small, np.float32)
    ring = np.concatenate([colors[0], colors[-1], colors[1:-1, 0], colors[1:-1, -1]])
    background = np.sort(ring, axis=0)[len(ring) // 2] / 255
    values = (
        sharp,
        high,
        low,
        float(counts @ _LEVELS) / levels.size / 255,
        entropy * (high - low),
        _colorfulness(colors),
        _border(levels),
        *background.tolist(),
    )
    return np.array(values, np.float32)


def _over_blocks(values: NDArray[np.uint8], reduce: np.ufunc) -> NDArray[np.uint8]:
    """Return the maximum or minimum of each block; there are whole blocks only."""
    height, width = values.shape
    # Along the rows first: that runs over contiguous memory.
    rows = reduce.reduce(values.reshape(height // _BLOCK, _BLOCK, width), axis=1)
    blocks: NDArray[np.uint8] = reduce.reduce(rows.reshape(len(rows), -1, _BLOCK), axis=2)
    return blocks


def _quantile(values: NDArray[Any], share: float) -> float:
    """Return a quantile, without interpolation; numpy.quantile takes ten times as long."""
    ordered = np.sort(values, axis=None)
    return float(ordered[round(share * (len(ordered) - 1))])


def _colorfulness(colors: NDArray[np.float32]) -> float:
    red, green, blue = colors[..., 0], colors[..., 1], colors[..., 2]
    one, other = red - green, (red + green) / 2 - blue
    spread = np.hypot(one.std(), other.std())
    return float(spread + 0.3 * np.hypot(one.mean(), other.mean()))


def _border(grey: NDArray[np.uint8]) -> float:
    """Return the larger share of height or width that rows or columns of one colour take."""
    shares = []
    for lines in (grey, grey.T):
        span = lines.max(axis=1) - lines.min(axis=1)
        is_plain = span <= _UNIFORM
        if is_plain.all():
            return 1.0
        first = int(np.argmin(is_plain))
        last = int(np.argmin(is_plain[::-1]))
        shares.append((first + last) / len(lines))
    return max(shares)


def _grey(pixels: Image) -> NDArray[np.uint8]:
    return np.asarray(PILImage.fromarray(np.ascontiguousarray(pixels)).convert("L"))
