"""Whatever a reader of foreign bytes raises, an ImageError comes out."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.data import decode as decode_module
from foveal.data.boundary import refusing
from foveal.data.decode import DecodeLimits, decode
from foveal.data.headers import read_header
from foveal.data.masks.file import decode_mask, read_mask_file
from foveal.data.opening import open_picture, picture_size
from foveal.data.storage import LocalStorage
from foveal.data.tiff.raster import open_tiff, read_tiff_array
from foveal.errors import ImageError, ImageMemoryError, MissingExtraError

LIMITS = DecodeLimits(max_bytes=10_000_000, max_pixels=1_000_000)

# A BigTIFF whose directory begins at an offset that no file position and no C integer holds.
FAR_TIFF = b"II+\0" + struct.pack("<HH", 8, 0) + b"\xff" * 8

READERS: dict[str, Callable[[bytes], Any]] = {
    "header": read_header,
    "decode": lambda data: decode(data, LIMITS),
    "mask": lambda data: decode_mask(data, LIMITS),
    "TIFF in parts": open_tiff,
    "TIFF mask": lambda data: read_tiff_array(data, LIMITS),
}
NAMED: dict[str, Callable[[LocalStorage, str], Any]] = {
    "size": lambda storage, name: picture_size(storage, name, LIMITS),
    "picture": lambda storage, name: open_picture(storage, name, LIMITS).raster,
    "mask": lambda storage, name: read_mask_file(storage, name, LIMITS),
}
ERRORS: list[Exception] = [
    OverflowError("cannot fit 'int' into an offset-sized integer"),
    RecursionError("maximum recursion depth exceeded"),
    ZeroDivisionError(),
    AttributeError("'NoneType' object has no attribute 'size'"),
    SystemError("tile cannot extend outside image"),
    struct.error("unpack requires a buffer of 8 bytes"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    KeyError(273),
]


@pytest.mark.parametrize("read", READERS.values(), ids=list(READERS))
def test_an_offset_of_two_to_the_63_is_an_image_error(read: Callable[[bytes], Any]) -> None:
    pytest.importorskip("tifffile")
    with pytest.raises(ImageError, match="TIFF"):
        read(FAR_TIFF)


@pytest.mark.parametrize("read", NAMED.values(), ids=list(NAMED))
def test_a_file_with_such_an_offset_is_an_image_error(
    read: Callable[[LocalStorage, str], Any], tmp_path: Path
) -> None:
    pytest.importorskip("tifffile")
    (tmp_path / "far.tif").write_bytes(FAR_TIFF)
    with pytest.raises(ImageError):
        read(LocalStorage(tmp_path), "far.tif")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_of_a_decoder_is_an_image_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> NoReturn:
        raise error

    file = io.BytesIO()
    PILImage.new("RGB", (4, 4)).save(file, "PNG")
    monkeypatch.setitem(decode_module.PLUGINS, "PNG", fail)
    with pytest.raises(ImageError, match=r"The PNG picture cannot be decoded: .+\.$") as caught:
        decode(file.getvalue(), LIMITS)
    assert caught.value.error_code == "image_unreadable"
    assert caught.value.__cause__ is error


def test_an_error_in_a_window_of_a_tiff_is_an_image_error(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = np.zeros((64, 32), np.uint8)
    tifffile.imwrite(tmp_path / "far.tif", pixels, bigtiff=True, rowsperstrip=32)
    data = (tmp_path / "far.tif").read_bytes()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        second = file.pages[0].dataoffsets[1]
    # The second strip lies where no file reaches.
    far = data.replace(struct.pack("<Q", second), struct.pack("<Q", (1 << 64) - 1))
    (tmp_path / "far.tif").write_bytes(far)

    raster = open_tiff(tmp_path / "far.tif")
    with pytest.raises(ImageError):
        raster.read(32, 0, 32, 32)
    assert raster.read(0, 0, 32, 32).shape == (32, 32, 3)


def test_too_little_memory_is_not_called_damage() -> None:
    with pytest.raises(ImageMemoryError, match="needs more memory than is available") as caught:
        with refusing("The PNG picture cannot be decoded"):
            raise MemoryError
    assert caught.value.error_code == "image_memory"
    # Not 4xx: the picture is not at fault.
    assert caught.value.http_status == 503


def test_errors_on_purpose_stay_as_they_are() -> None:
    with pytest.raises(MissingExtraError, match="needs tifffile"):
        with refusing("Nothing"):
            raise MissingExtraError("It needs tifffile.")


def test_what_a_decoder_says_fits_into_one_line() -> None:
    with pytest.raises(ImageError) as caught:
        with refusing("No"):
            raise ValueError("first\nsecond \x1b[31m" + 500 * "x")
    assert caught.value.message.startswith("No: first second [31mxxx")
    assert len(caught.value.message) < 220
    assert caught.value.message.isprintable()


def test_a_false_size_of_an_array_is_refused_before_memory_is_taken() -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4000000, 1000000), }"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with pytest.raises(ImageError, match=r"pixels. Expected at most 1,000,000"):
        decode_mask(data, LIMITS)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_number_that_is_too_large_is_told_of_the_file(read: Callable[[bytes], Any]) -> None:
    with pytest.raises(ImageError) as caught:
        read(FAR_TIFF)
    assert "Python" not in str(caught.value)
