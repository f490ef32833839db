"""Windows of a picture at the scale of the model input.

A picture is scaled as a whole by an antialiased bilinear filter, and only the window that is asked
for is computed. A pixel covers `step` pixels of the original a side, a multiple of 1/256, so that
every position is exact in the filter's arithmetic: a pixel has one value, to the bit, whatever
window it is read in. So the cache that a network is trained on and the tiles that it answers hold
the same pixels. The last row and column may reach beyond the edge, where the picture's last pixels
are repeated. `docs/bundle-format.md` states this as a contract.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.resample import Span, windowed
from foveal.types import Image, Mask, Raster

_STEPS_PER_PIXEL = 256
# Places are rounded to float32: multiples of 1/256 are exact below 2^16.
_MOST_PIXELS = 1 << 15


def step_of(scale: float) -> float:
    """Return how many original pixels a pixel of the scaled picture covers a side; at least 1."""
    return max(_STEPS_PER_PIXEL, round(_STEPS_PER_PIXEL / scale)) / _STEPS_PER_PIXEL


def scaled(raster: Raster, scale: float) -> Raster:
    """Return a picture at a scale in (0, 1], computed where it is read."""
    return raster if step_of(scale) == 1.0 else _Scaled.of(raster, step_of(scale))


def scaled_mask(mask: Mask, scale: float) -> Mask:
    """Return the mask of a scaled picture: each pixel takes the class at its centre."""
    step = step_of(scale)
    if step == 1.0:
        return np.ascontiguousarray(mask)
    rows, columns = (
        np.minimum((np.arange(math.ceil(side / step)) + 0.5) * step, side - 1).astype(np.int64)
        for side in mask.shape
    )
    return np.ascontiguousarray(mask[rows][:, columns])


def read_window(raster: Raster, top: int, left: int, height: int, width: int) -> Image:
    """Return a window that may reach beyond the picture, which is continued by its mirror image.

    Args:
        raster: The picture.
        top: First row; may be negative.
        left: First column; may be negative.
        height: Rows.
        width: Columns.

    Returns:
        (height, width, 3) uint8 RGB; may be a view and must not be changed.
    """
    ys = mirrored(np.arange(top, top + height), raster.height)
    xs = mirrored(np.arange(left, left + width), raster.width)
    y0, x0 = int(ys.min()), int(xs.min())
    part = raster.read(y0, x0, int(ys.max()) + 1 - y0, int(xs.max()) + 1 - x0)
    is_inside = (
        top >= 0 and left >= 0 and top + height <= raster.height and left + width <= raster.width
    )
    return part if is_inside else part[ys - y0][:, xs - x0]


def mirrored(positions: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return positions folded into [0, size), the edge pixel not repeated."""
    if size == 1:
        return np.zeros_like(positions)
    period = 2 * (size - 1)
    folded = positions % period
    return np.minimum(folded, period - folded)


@final
@dataclass(frozen=True, slots=True)
class _Scaled:
    """A `Raster` of fewer pixels than the one that it is computed from."""

    original: Raster
    step: float
    height: int
    width: int

    @classmethod
    def of(cls, original: Raster, step: float) -> _Scaled:
        size = (math.ceil(side / step) for side in (original.height, original.width))
        return cls(original, step, *size)

    def read(self, top: int, left: int, height: int, width: int) -> Image:
        """Return a part that lies wholly inside."""
        most = max(1, int(_MOST_PIXELS / self.step))
        if width <= most:
            return self._part(top, left, height, width)
        blocks = [
            self._part(top, start, height, min(most, left + width - start))
            for start in range(left, left + width, most)
        ]
        return np.concatenate(blocks, axis=1)

    def _part(self, top: int, left: int, height: int, width: int) -> Image:
        (y0, y1), (x0, x1) = (
            self._reach(top, height, self.height),
            self._reach(left, width, self.width),
        )
        inside = (min(y1, self.original.height) - y0, min(x1, self.original.width) - x0)
        part = self.original.read(y0, x0, *inside)
        below, right = y1 - y0 - inside[0], x1 - x0 - inside[1]
        if below or right:
            part = np.pad(part, ((0, below), (0, right), (0, 0)), mode="edge")
        rows = Span(top * self.step - y0, (top + height) * self.step - y0, height)
        columns = Span(left * self.step - x0, (left + width) * self.step - x0, width)
        return windowed(np.ascontiguousarray(part), rows, columns)

    def _reach(self, start: int, count: int, size: int) -> tuple[int, int]:
        """Return the first original pixel that the filter looks at, and the one after the last.

        The filter reaches a step beyond the centre of a pixel. At the edges it must find the same
        pixels whatever the window is.
        """
        first = max(0, math.floor((start - 0.5) * self.step) - 1)
        end = min(math.ceil(size * self.step), math.ceil((start + count + 0.5) * self.step) + 1)
        return first, end
