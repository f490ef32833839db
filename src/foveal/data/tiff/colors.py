"""Convert stored values of a TIFF (grey, palette, colours) to 8-bit RGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import ImageFormatError
from foveal.types import Image

# PhotometricInterpretation
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
# These come out of their decoder as RGB; other files in YCbCr do not.
_JPEG = frozenset((6, 7, 33007, 34892))
# ExtraSamples
_PREMULTIPLIED, _STRAIGHT = 1, 2
_MAX_BITS = 16
_NAMES = {4: "a transparency mask", 5: "CMYK", 6: "YCbCr", 8: "CIE L*a*b*", 9: "CIE L*a*b*"}


@final
@dataclass(frozen=True, eq=False)
class TiffColors:
    """Conversion of stored values to RGB.

    Attributes:
        table: (2**bits,) uint8 brightness or (2**bits, 3) uint8 colour of each stored value; None
            where the values are 8-bit brightness themselves.
        channels: Number of a pixel's values that are its colour: 1 or 3.
        alpha: `ExtraSamples` of the value after them: 1 premultiplied, 2 straight; 0 for none.
    """

    table: NDArray[np.uint8] | None
    channels: int
    alpha: int

    def to_rgb(self, values: NDArray[Any]) -> Image:
        """Return (H, W, C) stored values as (H, W, 3) uint8, transparent parts white."""
        colors = values[:, :, : self.channels]
        if self.table is not None and self.table.ndim == 2:
            return self.table[colors[:, :, 0].astype(np.uint16)]
        brightness = self._to_eight(colors)
        if self.alpha:
            alpha = self._to_eight(values[:, :, self.channels : self.channels + 1])
            brightness = _over_white(brightness, alpha, is_scaled=self.alpha == _PREMULTIPLIED)
        if self.channels == 1:
            return np.repeat(brightness, 3, axis=2)
        return np.ascontiguousarray(brightness)

    def _to_eight(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if self.table is None:
            return values
        return self.table[values.astype(np.uint16, copy=False)]


def _over_white(
    colors: NDArray[np.uint8], alpha: NDArray[np.uint8], *, is_scaled: bool
) -> NDArray[np.uint8]:
    opaque = alpha.astype(np.uint16)
    # A colour that was multiplied by its alpha cannot be larger; a file may say otherwise.
    scaled = (
        np.minimum(colors, alpha).astype(np.uint16)
        if is_scaled
        else (colors.astype(np.uint16) * opaque + 127) // 255
    )
    return (scaled + (255 - opaque)).astype(np.uint8)


def find_colors(page: Any, name: str) -> TiffColors:
    """Return how the values of a page of tifffile become RGB.

    Args:
        page: A `tifffile.TiffPage`.
        name: Name of the picture in errors.

    Raises:
        ImageFormatError: If its values have no agreed colours.
    """
    bits, samples, kind = page.bitspersample, page.samplesperpixel, int(page.photometric)
    if not isinstance(bits, int) or bits > _MAX_BITS or page.dtype.kind not in "bu":
        raise ImageFormatError(
            f"{name} has {page.dtype} pixels, which have no defined white level. "
            "Expected unsigned 8- or 16-bit integers.",
            hint="scale the values to 0-255 and save again",
        )
    if kind not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE) and not (
        kind == _YCBCR and page.compression in _JPEG
    ):
        raise ImageFormatError(
            f"{name} is in {_NAMES.get(kind, f'colours of kind {kind}')}. "
            "Expected grey, RGB or a palette.",
            hint="convert it to RGB",
        )
    channels = 3 if kind in (_RGB, _YCBCR) else 1
    if not channels <= samples <= channels + 1:
        raise ImageFormatError(
            f"{name} has {samples} channels. Expected grey, RGB, or either with transparency.",
            hint="save the channels that matter as RGB",
        )
    if kind == _PALETTE:
        return TiffColors(_palette(page, name), 1, 0)
    table = None if bits == 8 else _scale(bits)
    if kind == _WHITE_IS_ZERO:
        table = 255 - _scale(bits)
        return TiffColors(table, 1, 0)
    return TiffColors(table, channels, _alpha(page) if samples > channels else 0)


def _scale(bits: int) -> NDArray[np.uint8]:
    """Return the brightness of each value, so that the largest is white."""
    largest = (1 << bits) - 1
    values = np.arange(largest + 1, dtype=np.uint32)
    return ((values * 255 + largest // 2) // largest).astype(np.uint8)


def _palette(page: Any, name: str) -> NDArray[np.uint8]:
    colors = page.colormap
    if colors is None or colors.shape != (3, 1 << page.bitspersample):
        raise ImageFormatError(f"{name} has an incomplete palette.")
    # Some programs write 8-bit colours where 16-bit ones belong; libtiff takes them so, too.
    shift = 8 if colors.max() > 255 else 0
    return np.ascontiguousarray((colors >> shift).astype(np.uint8).T)


def _alpha(page: Any) -> int:
    extra = tuple(int(value) for value in page.extrasamples)
    # A fourth channel that nobody explains is transparency by custom, and Pillow takes it so.
    alpha = extra[0] if extra else _STRAIGHT
    return alpha if alpha in (_PREMULTIPLIED, _STRAIGHT) else 0
