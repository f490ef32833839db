"""Read mask files: ids, palette positions or colours, without conversion.

A picture decoder scales 4-bit grey to 8 bits, looks palettes up and lays transparent pixels over
white. Each of these would turn one class into another.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, final

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data.boundary import refusing
from foveal.data.bounds import check_cost
from foveal.data.decode import DecodeLimits, open_with_pillow
from foveal.data.exif import turn_upright
from foveal.data.headers import ImageHeader, read_header, sniff
from foveal.data.names import is_picture_name
from foveal.data.storage import LocalStorage, Storage
from foveal.data.tiff.raster import is_tiff_name, read_tiff_array
from foveal.errors import ImageError, ImageFormatError, ImageTooLargeError

# A TIFF mask goes with a picture that is read in parts; this is 44,000 x 44,000, 2 GB as ids.
_TIFF_LIMITS = DecodeLimits(max_bytes=4_000_000_000, max_pixels=2_000_000_000)
_SNIFFED = 32
# Bit depth and colour type of a PNG stand at these bytes; 0 is grey, 2 RGB, 4 and 6 have alpha.
_PNG_DEPTH, _PNG_COLOR = 24, 25
# What 8-bit grey is divided by to get back the stored 2 or 4 bits.
_PNG_SCALES = {2: 85, 4: 17}


@final
@dataclass(frozen=True, slots=True, eq=False)
class MaskFile:
    """A decoded mask file, upright by its own EXIF.

    Attributes:
        values: (H, W) of any integer type, all >= 0: ids, grey values or palette positions; or
            (H, W, 3) uint8 RGB.
        palette: (N, 3) uint8 RGB that the values are positions in, or None.
        is_lossy: Whether the compression changes values (JPEG, lossy WebP).
    """

    values: NDArray[Any]
    palette: NDArray[np.uint8] | None = None
    is_lossy: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) in pixels."""
        return int(self.values.shape[0]), int(self.values.shape[1])


def is_mask_name(name: str) -> bool:
    """Return whether a name ends like a file that can hold a mask; its content may differ."""
    return is_picture_name(name) or PurePosixPath(name).suffix.lower() == ".npy"


def read_mask_file(storage: Storage, name: str, limits: DecodeLimits) -> MaskFile:
    """Read a mask as it is stored: PNG, BMP, TIFF, GIF, WebP, JPEG, or a 2-D integer `.npy`.

    Args:
        storage: Where it is.
        name: Name of the mask in the storage.
        limits: For all but TIFF, which may be as large as the pictures that are read in parts.

    Raises:
        ImageError: If it cannot be read or decoded, or has no unambiguous values; names the file.
        MissingExtraError: For a TIFF where the package that reads it is not installed.
    """
    try:
        if is_tiff_name(name) and isinstance(storage, LocalStorage):
            path = storage.path / name
            with path.open("rb") as file:
                is_tiff = sniff(file.read(_SNIFFED)) == "TIFF"
            if is_tiff:
                return MaskFile(_plain(read_tiff_array(path, _TIFF_LIMITS)))
        data = storage.read(name, _TIFF_LIMITS if is_tiff_name(name) else limits)
        if sniff(data) == "TIFF":
            return MaskFile(_plain(read_tiff_array(data, _TIFF_LIMITS)))
        return decode_mask(data, limits)
    except ImageTooLargeError as error:
        raise ImageTooLargeError(f"{name}: {error.message}", hint="save it as TIFF") from error
    except ImageError as error:
        raise ImageError(
            f"{name}: {error.message}", hint=error.hint, code=error.error_code
        ) from error
    except OSError as error:
        raise ImageError(f"Cannot read {name}: {error.strerror}.") from error


def decode_mask(data: bytes, limits: DecodeLimits) -> MaskFile:
    """Decode the bytes of a mask of any format but TIFF; see `read_mask_file`.

    Raises:
        ImageError: If they cannot be decoded or have no unambiguous values.
    """
    limits.check_bytes(len(data))
    if data.startswith(npy_format.MAGIC_PREFIX):
        return MaskFile(_plain(_read_array(data, limits)))
    header = read_header(data)
    with refusing(f"The {header.format} mask cannot be decoded"):
        check_cost(data, header, limits)
        with open_with_pillow(data, header, limits) as image:
            image.load()
            values, palette = _stored_values(image, data, header), _palette(image)
    is_lossy = header.format in ("JPEG", "AVIF", "HEIC")
    is_lossy = is_lossy or (header.format == "WEBP" and b"VP8 " in data[:64])
    # The decoder of HEIC has turned it.
    orientation = 1 if header.format == "HEIC" else header.orientation
    return MaskFile(_upright(_plain(values), orientation), palette, is_lossy)


def _read_array(data: bytes, limits: DecodeLimits) -> NDArray[Any]:
    file = io.BytesIO(data)
    with refusing("The array cannot be read"):
        is_first = npy_format.read_magic(file) == (1, 0)
        read = npy_format.read_array_header_1_0 if is_first else npy_format.read_array_header_2_0
        shape = read(file)[0]
        if len(shape) != 2:
            raise ImageFormatError(
                f"Invalid mask. Expected an array (H, W). Received: {shape}.",
                hint="save the ids of each picture in a file of its own",
            )
        # Before the array is read: numpy takes the memory that the header asks for.
        limits.check_size(*shape)
        file.seek(0)
        values: NDArray[Any] = npy_format.read_array(file, allow_pickle=False)
    return values


def _stored_values(image: PILImage.Image, data: bytes, header: ImageHeader) -> NDArray[Any]:
    is_png = header.format == "PNG"
    depth, color = (data[_PNG_DEPTH], data[_PNG_COLOR]) if is_png else (8, 0)
    if depth == 16 and color != 0:
        raise ImageFormatError(
            "Colours of 16 bits are not supported in masks.",
            hint="save it as 8-bit PNG, or the ids as 16-bit grey",
        )
    if image.mode in ("F", "CMYK", "YCbCr", "LAB", "HSV"):
        raise ImageFormatError(
            f"{image.mode} pixels are not a mask. Expected ids, a palette or RGB colours.",
            hint="save it as PNG",
        )
    values = np.asarray(image)
    return values // _PNG_SCALES[depth] if color == 0 and depth in _PNG_SCALES else values


def _palette(image: PILImage.Image) -> NDArray[np.uint8] | None:
    if image.mode not in ("P", "PA") or image.palette is None:
        return None
    colors = image.getpalette("RGB")
    return np.array(colors, np.uint8).reshape(-1, 3) if colors else None


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W) ids or (H, W, 3) colours: without alpha, bits as 0 and 1.

    Pixels that are wholly transparent are black: an annotation drawn on an empty layer.
    """
    if values.ndim == 3 and values.shape[2] in (2, 4):
        alpha, values = values[:, :, -1], values[:, :, :-1]
        opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 0
        if not (is_opaque := alpha == opaque).all():
            if (alpha[~is_opaque] != 0).any():
                raise ImageFormatError(
                    "The mask has half-transparent pixels, which belong to no class.",
                    hint="save it without alpha, drawn without smooth edges",
                )
            values = np.where(is_opaque[:, :, None], values, 0).astype(values.dtype)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
        raise ImageFormatError(f"The mask has the shape {values.shape}. Expected ids or RGB.")
    if 0 in values.shape:
        raise ImageError(f"The mask has no pixels: {values.shape}.")
    return _integers(values)


def _integers(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.dtype.kind not in "iu":
        raise ImageFormatError(
            f"The mask has values of type {values.dtype}. Expected integers.",
            hint="save it after .astype(numpy.uint8)",
        )
    if values.ndim == 3 and values.dtype != np.uint8:
        raise ImageFormatError(
            f"The mask has colours of type {values.dtype}. Expected 8 bits each."
        )
    if values.dtype.kind == "i" and (lowest := int(values.min())) < 0:
        raise ImageFormatError(
            f"The mask contains {lowest}. Expected ids from 0 on.",
            hint="write 255 for pixels of unknown class: they are ignored",
        )
    return values


def _upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    if values.ndim == 3:
        return turn_upright(values, orientation)
    return turn_upright(values[:, :, None], orientation)[:, :, 0]
