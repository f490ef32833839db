"""Open picture files for reading in parts, and read their headers."""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path
from typing import cast

from foveal.data.decode import DecodeLimits, decode
from foveal.data.headers import read_header, sniff
from foveal.data.picture_file import reading
from foveal.data.source import DIGEST_BYTES, Opened, digest_of
from foveal.data.storage import LocalStorage, Storage
from foveal.data.tiff.raster import is_tiff_name, open_tiff

_BLOCK_BYTES = 1 << 20
_SNIFFED = 32


def open_picture(storage: Storage, name: str, limits: DecodeLimits) -> Opened:
    """Open a picture for reading in parts: TIFF as it lies on disk, however large.

    Args:
        storage: Storage of the picture.
        name: Name of the picture in the storage.
        limits: Limits for what is decoded whole.

    Raises:
        ImageError: If it cannot be read or decoded.
    """
    if is_tiff_name(name) and isinstance(storage, LocalStorage):
        path = storage.path / name
        return Opened(open_tiff(path), _digest_of_file(path))
    data = storage.read(name, limits)
    return Opened(decode(data, limits), digest_of(data))


def picture_size(storage: Storage, name: str, limits: DecodeLimits) -> tuple[int, int]:
    """Return the upright (height, width) of a picture, from its header alone.

    Args:
        storage: Storage of the picture.
        name: Name of the picture in the storage.
        limits: Limits for a file that is not on this machine; it is read whole.

    Raises:
        ImageError: If it is missing or has no header.
    """
    if not isinstance(storage, LocalStorage):
        header = read_header(storage.read(name, limits))
        return header.height, header.width
    path = storage.path / name
    # An empty file cannot be mapped: a ValueError.
    with reading(path), path.open("rb") as file:
        if sniff(file.read(_SNIFFED)) != "TIFF":
            # Read as bytes are, but only the pages that the header and the EXIF are on.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
                header = read_header(cast(bytes, pages))
            return header.height, header.width
    raster = open_tiff(path)
    return raster.height, raster.width


def _digest_of_file(path: Path) -> bytes:
    """Return `digest_of` the bytes of a file that may be larger than the memory."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with reading(path), path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.digest()
