"""Decode picture files to upright RGB, after checking the limits.

Training, evaluation, the command line and the server all decode here. Whatever the bytes are,
only an `ImageError` comes out.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data.boundary import refusing
from foveal.data.bounds import check_cost, essential
from foveal.data.exif import swaps_sides, turn_upright
from foveal.data.headers import Format, ImageHeader, read_header
from foveal.data.limits import DEFAULT_LIMITS, DecodeLimits
from foveal.data.rgb import to_pixels, to_rgb
from foveal.data.tiff.directory import read_directory
from foveal.data.tiff.unsupported import refuse_misread, why_unsupported
from foveal.errors import (
    ImageError,
    ImageFormatError,
    ImageTooLargeError,
    MissingExtraError,
)
from foveal.extras import import_extra
from foveal.types import Picture

if TYPE_CHECKING:
    from PIL import ImageFile

__all__ = [
    "DEFAULT_LIMITS",
    "PLUGINS",
    "DecodeLimits",
    "Decoder",
    "decode",
    "decode_array",
    "open_with_pillow",
    "plugin",
]

Opener: TypeAlias = "Callable[[BinaryIO], ImageFile.ImageFile]"
"""Opens a picture file of one format; nothing is decoded yet."""


def _opener(name: str) -> Opener:
    def open_file(file: BinaryIO) -> ImageFile.ImageFile:
        # Imported when the first picture of the format comes: a prediction sees one format, and
        # most JPEGs are decoded without Pillow.
        module = import_module(f"PIL.{name}ImagePlugin")
        opened: ImageFile.ImageFile = getattr(module, f"{name}ImageFile")(file)
        return opened

    return open_file


# The classes themselves, not Image.open: only these formats can ever be parsed, and no limit
# but our own holds. The class for HEIC is optional: see `plugin`.
PLUGINS: dict[Format, Opener] = {
    "JPEG": _opener("Jpeg"),
    "PNG": _opener("Png"),
    "WEBP": _opener("WebP"),
    "AVIF": _opener("Avif"),
    "GIF": _opener("Gif"),
    "BMP": _opener("Bmp"),
    "TIFF": _opener("Tiff"),
}


class Decoder(Protocol):
    """Decodes pictures: `decode`, here, or `foveal.data.isolation.decoder` in other processes."""

    def __call__(
        self, data: bytes, limits: DecodeLimits, *, min_size: tuple[int, int] | None = None
    ) -> Picture:
        """Decode the first frame of a picture to upright RGB; see `decode`."""


def decode(
    data: bytes, limits: DecodeLimits, *, min_size: tuple[int, int] | None = None
) -> Picture:
    """Decode the first frame of a picture to upright RGB.

    Args:
        data: The file.
        limits: Checked against the header before decoding.
        min_size: (height, width) that the caller will scale the picture to, upright. A JPEG may
            then be decoded at 1/2, 1/4 or 1/8, but never below twice that size.

    Raises:
        ImageTooLargeError: If the limits forbid decoding.
        ImageFormatError: If it is no picture of a supported format or depth.
        ImageMemoryError: If the memory does not suffice.
        ImageError: If it is damaged.
    """
    limits.check_bytes(len(data))
    header = read_header(data)
    with refusing(f"The {header.format} picture cannot be decoded"):
        return _decode(data, header, limits, min_size)


def _decode(
    data: bytes, header: ImageHeader, limits: DecodeLimits, min_size: tuple[int, int] | None
) -> Picture:
    check_cost(data, header, limits)
    pixels = _decode_jpeg(data, header, min_size) if header.format == "JPEG" else None
    if pixels is not None:
        return Picture(turn_upright(pixels, header.orientation), header.height, header.width)
    # In a TIFF and a HEIC the orientation is part of the image itself: the decoder has turned it.
    orientation = 1 if header.format in ("TIFF", "HEIC") else header.orientation
    read = _decode_tiff if header.format == "TIFF" else _decode_with_pillow
    pixels = read(data, header, limits)
    return Picture.from_array(turn_upright(pixels, orientation))


def _decode_jpeg(
    data: bytes, header: ImageHeader, min_size: tuple[int, int] | None
) -> NDArray[np.uint8] | None:
    """Return the stored pixels, or None to try the tolerant decoder."""
    if header.channels not in (1, 3):
        return None
    height, width = header.height, header.width
    if swaps_sides(header.orientation):
        height, width = width, height
        min_size = (min_size[1], min_size[0]) if min_size else None
    factor = _jpeg_factor(height, width, min_size)
    try:
        # The decoder allocates by its own reading of the header: it must be ours.
        if simplejpeg.decode_jpeg_header(data)[:2] != (height, width):
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", min_height=-(-height // factor), min_width=-(-width // factor)
        )
    except ValueError:
        # It refuses even harmless flaws, such as stray bytes between two markers.
        return None
    return pixels


def _jpeg_factor(height: int, width: int, min_size: tuple[int, int] | None) -> int:
    if min_size is not None:
        for factor in (8, 4, 2):
            if height // factor >= 2 * min_size[0] and width // factor >= 2 * min_size[1]:
                return factor
    return 1


def _decode_tiff(data: bytes, header: ImageHeader, limits: DecodeLimits) -> NDArray[np.uint8]:
    found = read_directory(data)
    refuse_misread(found)
    try:
        return _decode_with_pillow(data, header, limits)
    except (SyntaxError, KeyError, OSError) as error:
        refusal = why_unsupported(found)
        if refusal is None:
            raise
        raise refusal from error


def _decode_with_pillow(
    data: bytes, header: ImageHeader, limits: DecodeLimits
) -> NDArray[np.uint8]:
    try:
        with open_with_pillow(data, header, limits) as image:
            # XMP may state an orientation too; browsers and cameras go by EXIF alone.
            image.info.pop("xmp", None)
            image.load()
            return to_pixels(image)
    except PILImage.DecompressionBombError as error:
        raise ImageTooLargeError(f"The {header.format} picture is too large: {error}") from error


def open_with_pillow(data: bytes, header: ImageHeader, limits: DecodeLimits) -> ImageFile.ImageFile:
    """Open a picture after checking its size and cost; nothing is decoded yet.

    Raises:
        ImageTooLargeError: If its first frame is larger than its header says.
        ImageFormatError: If the package for its format is not installed.
    """
    image = plugin(header.format)(io.BytesIO(essential(data, header)))
    # A GIF's frame may be larger than the canvas that its header states.
    limits.check_size(image.height, image.width)
    return image


def plugin(kind: Format) -> Opener:
    """Return the function that opens a format.

    Raises:
        ImageFormatError: If its package is not installed.
    """
    if kind != "HEIC":
        return PLUGINS[kind]
    try:
        found: Opener = import_extra(
            "pi_heif.as_plugin", "heic", "Decoding HEIC needs pi-heif"
        ).HeifImageFile
    except MissingExtraError as error:
        # An error of the picture: one in a folder of others must not end the work.
        raise ImageFormatError(error.message, hint=error.hint, code=error.error_code) from error
    return found


def decode_array(values: NDArray[np.uint8], limits: DecodeLimits) -> Picture:
    """Return an array of pixels as a picture; a fourth channel is alpha, over white.

    Args:
        values: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8.
        limits: Checked first.

    Raises:
        ImageTooLargeError: If the limits forbid it.
        ImageFormatError: For another shape.
    """
    limits.check_bytes(values.nbytes)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise ImageFormatError(
            f"Invalid picture. Expected (H, W), (H, W, 3) or (H, W, 4). Received: {values.shape}."
        )
    if 0 in values.shape:
        raise ImageError(f"The picture has no pixels: {values.shape}.")
    limits.check_size(int(values.shape[0]), int(values.shape[1]))
    if values.ndim == 3 and values.shape[2] == 3:
        # Of a page, the way through Pillow would take a third of the time of drawing it.
        return Picture.from_array(np.array(values, order="C"))
    image = to_rgb(PILImage.fromarray(np.ascontiguousarray(values)))
    return Picture.from_array(np.array(image))
