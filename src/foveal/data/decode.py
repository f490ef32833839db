"""From the bytes of a picture file to upright RGB pixels, within limits read from the header.

The one decoder of training, evaluation, the command line and the server. Whatever the bytes, it
returns a `Picture` or raises an `ImageError`.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageCms, ImageFile

from foveal.errors import ImageError, ImageFormatError, ImageTooLargeError
from foveal.types import Image, Picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

# What Pillow and simplejpeg raise on damaged files, found by truncating and flipping bytes.
_DECODER_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, AttributeError,
    OverflowError, MemoryError, NotImplementedError, RuntimeError, struct.error, zlib.error,
    ImageCms.PyCMSError, PILImage.DecompressionBombError,
)
_ORIENTATION = 0x0112
# Reduced decoding stays at least this many times larger than what the pipeline needs.
_OVERSAMPLE = 2


@final
@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """The largest picture that is decoded.

    Attributes:
        max_bytes: Of the file.
        max_pixels: Width times height, from the header, before anything is decoded.
    """

    max_bytes: int
    max_pixels: int


@final
@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a file's header says.

    Attributes:
        format: One of `FORMATS`.
        height: In pixels, before the EXIF orientation.
        width: In pixels, before the EXIF orientation.
    """

    format: str
    height: int
    width: int


def read_file(path: Path, limits: DecodeLimits) -> bytes:
    """Return the bytes of a picture file.

    Raises:
        ImageError: When it cannot be read.
        ImageTooLargeError: When it is over the limit; it is not read.
    """
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise _too_many_bytes(size, limits)
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(f"Cannot read {path}: {reason}.", code="file_unreadable") from error


def probe(data: bytes, limits: DecodeLimits) -> ImageHeader:
    """Return what the header says, without decoding.

    Raises:
        ImageFormatError: When it is not a picture of a supported format.
        ImageTooLargeError: When it is over the limits.
        ImageError: When the header is damaged.
    """
    with _open(data, limits) as image:
        return ImageHeader(str(image.format), image.height, image.width)


def decode(
    data: bytes, limits: DecodeLimits, *, min_size: tuple[int, int] | None = None
) -> Picture:
    """Decode a picture file to upright RGB; of an animation the first frame.

    Args:
        data: The bytes of the file.
        limits: Checked against the header before anything is decoded.
        min_size: (height, width) that the caller will shrink the picture to. JPEGs are then
            decoded at 1/2, 1/4 or 1/8 where that leaves at least twice this size.

    Raises:
        ImageFormatError: When it is not a picture of a supported format.
        ImageTooLargeError: When it is over the limits.
        ImageError: When it is damaged.
    """
    with _open(data, limits) as image:
        orientation = _orientation(image)
        height, width = image.height, image.width
        pixels = _jpeg(data, image, orientation, min_size) if image.format == "JPEG" else None
        if pixels is None:
            pixels = _pillow(image)
    pixels = _upright(pixels, orientation)
    if orientation >= 5:
        height, width = width, height
    return Picture(np.ascontiguousarray(pixels), height, width)


def to_rgb(image: PILImage.Image) -> PILImage.Image:
    """Return a picture of any mode as RGB.

    16-bit values are divided by 257 rather than cut, transparent places become white, CMYK is
    converted as Pillow does (Adobe's inverted files included), grey is repeated.
    """
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return PILImage.fromarray(_sixteen_bit(image)).convert("RGB")
    has_alpha = mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    if has_alpha:
        rgba = image.convert("RGBA")
        white = PILImage.new("RGBA", rgba.size, (255, 255, 255, 255))
        return PILImage.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _sixteen_bit(image: PILImage.Image) -> NDArray[np.uint8]:
    values = np.asarray(image)
    if image.mode == "F":
        # Floating-point TIFFs hold either shares or 8-bit values.
        peak = float(np.nanmax(values)) if values.size else 0.0
        scaled = values * 255.0 if peak <= 1.0 else values
        return np.nan_to_num(np.clip(scaled, 0, 255)).round().astype(np.uint8)
    wide = values.astype(np.int64)
    if image.mode == "I" and wide.size and wide.max() <= 255:
        return np.clip(wide, 0, 255).astype(np.uint8)
    return (np.clip(wide, 0, 65535) // 257).astype(np.uint8)


def _too_many_bytes(size: int, limits: DecodeLimits) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"The file has {size} bytes. Expected at most {limits.max_bytes}.",
        hint=f"--set data.max_bytes={size}",
    )


def _open(data: bytes, limits: DecodeLimits) -> PILImage.Image:
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(len(data), limits)
    if not data:
        raise ImageFormatError("The file is empty.")
    try:
        with warnings.catch_warnings():
            # Our own limit on pixels decides, below; other warnings are about metadata.
            warnings.simplefilter("ignore")
            image = PILImage.open(io.BytesIO(data), formats=FORMATS)
    except PILImage.UnidentifiedImageError as error:
        raise ImageFormatError(
            "This is not a picture that can be read. Expected JPEG, PNG, WebP, GIF, BMP or TIFF."
        ) from error
    except PILImage.DecompressionBombError as error:
        raise ImageTooLargeError(f"The picture is too large: {error}") from error
    except _DECODER_ERRORS as error:
        raise ImageError(f"The picture is damaged: {error}") from error
    pixels = image.width * image.height
    if pixels > limits.max_pixels:
        raise ImageTooLargeError(
            f"The picture has {image.width} x {image.height} = {pixels} pixels. "
            f"Expected at most {limits.max_pixels}.",
            hint=f"--set data.max_pixels={pixels}",
        )
    if pixels == 0:
        raise ImageError("The picture has no pixels.")
    return image


def _orientation(image: PILImage.Image) -> int:
    """Return the EXIF orientation, 1 to 8; from the EXIF block only, 1 where that is bad."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif = image.info.get("exif")
            if image.format == "TIFF":
                value = image.getexif().get(_ORIENTATION, 1)
            elif exif:
                block = PILImage.Exif()
                block.load(exif)
                value = block.get(_ORIENTATION, 1)
            else:
                return 1
    except _DECODER_ERRORS:
        return 1  # A bad EXIF block does not make a good picture bad.
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1


def _jpeg(
    data: bytes, image: PILImage.Image, orientation: int, min_size: tuple[int, int] | None
) -> Image | None:
    """Decode a grey or colour JPEG fast; None leaves it to Pillow."""
    if image.mode not in ("RGB", "L"):
        return None  # CMYK and YCCK
    factor = 1
    if min_size is not None:
        need_h, need_w = min_size if orientation < 5 else (min_size[1], min_size[0])
        # The axis that is shrunk least must not lose detail: `stretch` and `crop` show it.
        reduction = min(image.height / need_h, image.width / need_w)
        while factor < 8 and reduction / (2 * factor) >= _OVERSAMPLE:
            factor *= 2
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if factor == 1:
                return simplejpeg.decode_jpeg(data, "RGB")
            return simplejpeg.decode_jpeg(
                data, "RGB",
                min_height=-(-image.height // factor), min_width=-(-image.width // factor),
                min_factor=1,
            )
    except _DECODER_ERRORS:
        return None  # A strict decoder; Pillow reads some files that it refuses.


def _pillow(image: PILImage.Image) -> Image:
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ImageError("Pillow was told to accept truncated pictures; foveal was not.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
            return np.asarray(to_rgb(image))
    except _DECODER_ERRORS as error:
        raise ImageError(f"The picture is damaged: {error}") from error


def _upright(pixels: Image, orientation: int) -> Image:
    # 2, 4, 5, 7 mirror; 5 to 8 swap the axes. EXIF 2.32, tag 0x0112.
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
