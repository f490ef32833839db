"""Say why Pillow has no pixels for a TIFF that is not damaged.

Pillow knows the layouts of a table: of others it says "unknown pixel mode", or the mere number of
the compression.
"""

from __future__ import annotations

from typing import NamedTuple

from foveal.data.tiff.directory import Directory
from foveal.errors import ImageFormatError

__all__ = ["FLOATING_POINT", "MORE_THAN_16_BITS", "SIGNED", "refuse_misread", "why_unsupported"]


class Unsupported(NamedTuple):
    """Why pixels cannot be read, and what to do about it."""

    message: str
    hint: str

    def error(self) -> ImageFormatError:
        """Return the error to raise."""
        return ImageFormatError(self.message, hint=self.hint)


FLOATING_POINT = Unsupported(
    "Floating-point pixels have no defined white level. Expected 8- or 16-bit integers.",
    "scale the values to 0-255 and save as PNG",
)
MORE_THAN_16_BITS = Unsupported(
    "Integers of more than 16 bits have no defined white level. Expected 8- or 16-bit pixels.",
    "scale the values to 0-65535 and save as 16-bit PNG",
)
SIGNED = Unsupported(
    "Signed pixels have no defined black level. Expected unsigned 8- or 16-bit integers.",
    "shift the values so that black is 0, and save as unsigned",
)

_UNSIGNED_FORMAT, _SIGNED_FORMAT = 1, 2
_DEPTHS = (1, 2, 4, 8, 16)
_MAX_CHANNELS = 4
_BYTE = 8
# Those that Pillow and libtiff have, by the names of tiff.h: none, the faxes' three, LZW, both of
# JPEG, deflate twice, packbits, LZMA and Zstandard. Pillow names WebP too, but is built with a
# libtiff that has none.
_COMPRESSIONS = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 32_946, 32_773, 34_925, 50_000))


def refuse_misread(found: Directory) -> None:
    """Raise for signed bytes, of which Pillow reads the negative ones as the brightest.

    Raises:
        ImageFormatError: If the pixels are such.
    """
    if found.sample_format == _SIGNED_FORMAT and found.bits == _BYTE:
        raise SIGNED.error()


def why_unsupported(found: Directory) -> ImageFormatError | None:
    """Return the error for a TIFF that Pillow refused, or None if its layout is a common one."""
    if found.sample_format not in (_UNSIGNED_FORMAT, _SIGNED_FORMAT):
        return FLOATING_POINT.error()
    if found.bits > max(_DEPTHS):
        return MORE_THAN_16_BITS.error()
    if found.sample_format == _SIGNED_FORMAT:
        return SIGNED.error()
    if found.compression not in _COMPRESSIONS:
        return ImageFormatError(
            f"The TIFF picture is compressed by method {found.compression}, which is not "
            "supported.",
            hint="save it as PNG, or as TIFF with LZW or without compression",
        )
    if found.samples > _MAX_CHANNELS:
        return ImageFormatError(
            f"The TIFF picture has {found.samples} channels. "
            "Expected grey, RGB, or either with transparency.",
            hint="save the channels that matter as RGB",
        )
    if found.bits not in _DEPTHS:
        return ImageFormatError(
            f"The TIFF picture has pixels of {found.bits} bits. Expected 8 or 16.",
            hint="save it as 8- or 16-bit PNG",
        )
    return None
