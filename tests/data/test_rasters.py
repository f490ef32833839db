"""TIFF files read in windows equal the whole, whatever the layout; damage is named."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits, decode
from foveal.data.exif import turn_upright
from foveal.data.tiff.raster import is_tiff_name, open_tiff, read_tiff_array
from foveal.errors import (
    ImageError,
    ImageFormatError,
    ImageTooLargeError,
    MissingExtraError,
)
from foveal.extras import install_extra
from foveal.types import Raster

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

LIMITS = DecodeLimits(max_bytes=100_000_000, max_pixels=100_000_000)
HEIGHT, WIDTH = 2000, 3000


def waves(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.float64]:
    """Return a smooth drawing, (height, width, 3) in [0, 1], in which every place differs."""
    y, x = np.mgrid[0:height, 0:width]
    parts = (y / height, x / width, (np.sin(y / 37) * np.cos(x / 53) + 1) / 2)
    return np.stack(parts, axis=2)


def as_eight(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return (values * 255).astype(np.uint8)


def as_sixteen(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    return (values * 65535).astype(np.uint16)


def write(pixels: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    order = options.pop("byteorder", None)
    big = options.pop("bigtiff", False)
    with tifffile.TiffWriter(file, byteorder=order, bigtiff=big) as writer:
        writer.write(pixels, **options)
    return file.getvalue()


def planes(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@pytest.fixture(scope="module")
def drawing() -> NDArray[np.float64]:
    return waves()


LAYOUTS: dict[str, dict[str, Any]] = {
    "one plain strip, cut into pieces": {},
    "plain strips of 7 rows": {"rowsperstrip": 7},
    "plain strips longer than a piece, by a prime number of rows": {"rowsperstrip": 997},
    "plain tiles of 256": {"tile": (256, 256)},
    "deflate tiles of 256": {"tile": (256, 256), "compression": "deflate"},
    "tiles that are not square": {"tile": (64, 512), "compression": "lzw", "predictor": True},
    "LZW strips of 7 rows with a predictor": {
        "rowsperstrip": 7,
        "compression": "lzw",
        "predictor": True,
    },
    "deflate, big endian, BigTIFF": {
        "byteorder": ">",
        "bigtiff": True,
        "tile": (256, 256),
        "compression": "deflate",
    },
    "packbits": {"rowsperstrip": 50, "compression": "packbits"},
    "zstd": {"tile": (512, 512), "compression": "zstd"},
}


@pytest.fixture(scope="module", params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest, drawing: NDArray[np.float64]) -> Raster:
    return open_tiff(write(as_eight(drawing), photometric="rgb", **LAYOUTS[request.param]))


@pytest.fixture(scope="module")
def expected(drawing: NDArray[np.float64]) -> NDArray[np.uint8]:
    return as_eight(drawing)


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int, int]:
    top = draw(st.integers(0, HEIGHT - 1))
    left = draw(st.integers(0, WIDTH - 1))
    height = draw(st.integers(1, min(600, HEIGHT - top)))
    width = draw(st.integers(1, min(600, WIDTH - left)))
    return top, left, height, width


@settings(deadline=None, max_examples=15)
@given(window=windows())
def test_any_window_equals_that_part_of_the_whole(
    layout: Raster, expected: NDArray[np.uint8], window: tuple[int, int, int, int]
) -> None:
    top, left, height, width = window
    assert (layout.height, layout.width) == (HEIGHT, WIDTH)
    part = layout.read(top, left, height, width)
    assert part.dtype == np.uint8
    assert np.array_equal(part, expected[top : top + height, left : left + width])


def test_the_whole_is_a_window_too(layout: Raster, expected: NDArray[np.uint8]) -> None:
    assert np.array_equal(layout.read(0, 0, HEIGHT, WIDTH), expected)


def test_jpeg_tiles_come_out_as_rgb(expected: NDArray[np.uint8]) -> None:
    data = write(expected, photometric="rgb", tile=(256, 256), compression="jpeg")
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.pages[0].photometric.name == "YCBCR"
    part = open_tiff(data).read(700, 1100, 300, 300)
    difference = np.abs(part.astype(int) - expected[700:1000, 1100:1400])
    assert difference.mean() < 2
    assert difference.max() < 40


def small(channels: int) -> NDArray[np.float64]:
    return waves(90, 70)[:, :, :1].repeat(channels, 2) if channels < 3 else waves(90, 70)


def rgba(dtype: str, largest: int) -> NDArray[Any]:
    ramp = np.linspace(0, largest, 90 * 70).reshape(90, 70, 1)
    return np.concatenate([small(3) * largest, ramp], axis=2).astype(dtype)


GREY8, GREY16 = as_eight(small(1))[:, :, 0], as_sixteen(small(1))[:, :, 0]
COLORMAP = (np.random.default_rng(0).integers(0, 256, (3, 256)) * 257).astype(np.uint16)


# What Pillow reads must look the same from both decoders.
@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        pytest.param(GREY8, {"photometric": "minisblack"}, id="8-bit grey"),
        pytest.param(GREY8, {"photometric": "miniswhite"}, id="white is zero"),
        pytest.param(GREY16, {"photometric": "minisblack"}, id="16-bit grey"),
        pytest.param(GREY16, {"photometric": "minisblack", "byteorder": ">"}, id="big endian"),
        pytest.param(GREY8 > 100, {"photometric": "minisblack"}, id="1 bit"),
        pytest.param(GREY8, {"photometric": "palette", "colormap": COLORMAP}, id="palette"),
        pytest.param(as_eight(small(3)), {"photometric": "rgb"}, id="RGB"),
        pytest.param(
            rgba("u1", 255), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, id="RGBA"
        ),
        pytest.param(
            rgba("u1", 255), {"photometric": "rgb", "extrasamples": ["unspecified"]}, id="RGBX"
        ),
        pytest.param(
            np.stack([GREY8, GREY8.T.reshape(GREY8.shape)], axis=2),
            {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]},
            id="grey with alpha",
        ),
    ],
)
def test_colours_are_those_of_the_other_decoder(
    pixels: NDArray[Any], options: dict[str, Any]
) -> None:
    data = write(pixels, **options)
    raster = open_tiff(data)
    expected = decode(data, LIMITS).pixels
    assert np.array_equal(raster.read(0, 0, raster.height, raster.width), expected)


def test_sixteen_bit_colours_are_scaled_like_grey() -> None:
    pixels = np.array([[[0, 128, 129], [65535, 257, 32768]]], np.uint16)
    raster = open_tiff(write(pixels, photometric="rgb"))
    # 128 / 257 rounds to 0, 129 / 257 to 1, 32768 / 257 = 127.502 to 128.
    assert raster.read(0, 0, 1, 2).tolist() == [[[0, 0, 1], [255, 1, 128]]]


def test_straight_and_premultiplied_transparency_lie_over_white() -> None:
    pixels = np.array([[[200, 100, 0, 0], [200, 100, 0, 255], [100, 50, 0, 127]]], np.uint8)
    straight = open_tiff(write(pixels, photometric="rgb", extrasamples=["unassalpha"]))
    # 100 * 127 / 255 + 128 = 177.8, 50 * 127 / 255 + 128 = 152.9.
    assert straight.read(0, 0, 1, 3).tolist() == [[[255] * 3, [200, 100, 0], [178, 153, 128]]]
    scaled = open_tiff(write(pixels, photometric="rgb", extrasamples=["assocalpha"]))
    assert scaled.read(0, 0, 1, 3).tolist() == [[[255] * 3, [200, 100, 0], [228, 178, 128]]]


def test_sixteen_bit_transparency_lies_over_white() -> None:
    pixels = np.array([[[65535, 0, 0, 65535], [65535, 0, 0, 0]]], np.uint16)
    raster = open_tiff(write(pixels, photometric="rgb", extrasamples=["unassalpha"]))
    assert raster.read(0, 0, 1, 2).tolist() == [[[255, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 7}, {"tile": (32, 32)}])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_planes_stored_apart_come_together(
    options: dict[str, Any], compression: str | None
) -> None:
    pixels = as_eight(small(3))
    data = write(
        planes(pixels),
        photometric="rgb",
        planarconfig="separate",
        compression=compression,
        **options,
    )
    assert np.array_equal(open_tiff(data).read(11, 5, 60, 50), pixels[11:71, 5:55])
    assert np.array_equal(read_tiff_array(data), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"tile": (32, 32), "compression": "deflate"}])
def test_windows_are_upright(orientation: int, options: dict[str, Any]) -> None:
    pixels = as_eight(small(3))
    tag = (274, 3, 1, orientation, False)
    data = write(pixels, photometric="rgb", extratags=[tag], **options)
    raster = open_tiff(data)
    upright = turn_upright(pixels, orientation)
    assert (raster.height, raster.width) == upright.shape[:2]
    assert np.array_equal(raster.read(8, 40, 50, 30), upright[8:58, 40:70])
    assert np.array_equal(read_tiff_array(data), upright)
    assert np.array_equal(decode(data, LIMITS).pixels, upright)


def test_the_largest_level_of_a_pyramid_is_read(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    pixels = as_eight(small(3))
    with tifffile.TiffWriter(path) as writer:
        writer.write(pixels, subifds=1, tile=(32, 32), photometric="rgb")
        writer.write(pixels[::2, ::2], subfiletype=1, tile=(32, 32), photometric="rgb")
    assert np.array_equal(open_tiff(path).read(0, 0, 90, 70), pixels)


def test_stored_values_are_returned_as_they_are() -> None:
    palette = write(GREY8, photometric="palette", colormap=COLORMAP)
    assert np.array_equal(read_tiff_array(palette), GREY8)
    assert np.array_equal(read_tiff_array(write(GREY16, photometric="miniswhite")), GREY16)
    bits = read_tiff_array(write(GREY8 > 100, photometric="minisblack"))
    assert bits.dtype == np.uint8
    assert np.array_equal(bits, GREY8 > 100)
    ids = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert read_tiff_array(write(ids, photometric="minisblack")).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_array_over_the_limit_is_not_read() -> None:
    with pytest.raises(ImageTooLargeError, match="70 x 90 pixels"):
        read_tiff_array(write(GREY8), DecodeLimits(max_bytes=1, max_pixels=100))


def test_a_tile_that_was_never_written_is_empty() -> None:
    data = bytearray(write(np.full((32, 64), 200, np.uint8), tile=(32, 32), byteorder="<"))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        tags = tiff.pages[0].tags
        assert tags["TileOffsets"].dtype.name == "LONG"
        assert tags["TileByteCounts"].dtype.name == "SHORT"
        struct.pack_into("<I", data, tags["TileOffsets"].valueoffset, 0)
        struct.pack_into("<H", data, tags["TileByteCounts"].valueoffset, 0)
    pixels = open_tiff(bytes(data)).read(0, 0, 32, 64)
    assert (pixels[:, :32] == 0).all()
    assert (pixels[:, 32:] == 200).all()


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what is decoded from now on, by number of the tile."""
    from foveal.data.tiff import segments

    seen: list[int] = []
    make = segments._decoder

    def counted(page: Any, size: tuple[int, int]) -> Callable[[bytes, int], Any]:
        decoder = make(page, size)

        def decoded(data: bytes, index: int) -> Any:
            seen.append(index)
            return decoder(data, index)

        return decoded

    monkeypatch.setattr(segments, "_decoder", counted)
    return seen


def test_only_touched_tiles_are_decoded_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counting(monkeypatch)
    pixels = as_eight(waves(96, 128))
    raster = open_tiff(write(pixels, photometric="rgb", tile=(32, 32), compression="deflate"))
    raster.read(32, 32, 32, 64)
    assert seen == [5, 6]
    raster.read(20, 40, 30, 40)
    assert seen == [5, 6, 1, 2]


def test_the_cache_keeps_what_was_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counting(monkeypatch)
    pixels = as_eight(waves(32, 128))
    data = write(pixels, photometric="rgb", tile=(32, 32), compression="deflate")
    raster = open_tiff(data, cache_bytes=2 * 32 * 32 * 3)
    for column in (0, 1, 0, 2, 0, 1):
        raster.read(0, 32 * column, 32, 32)
    # Tile 1 went when tile 2 came, because tile 0 had been used after it.
    assert seen == [0, 1, 2, 1]


def test_a_strip_larger_than_the_cache_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counting(monkeypatch)
    raster = open_tiff(write(GREY8, compression="deflate", rowsperstrip=90), cache_bytes=1)
    for row in range(0, 90, 10):
        raster.read(row, 0, 10, 70)
    assert seen == [0]


def test_threads_share_what_is_decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = counting(monkeypatch)
    pixels = as_eight(waves(256, 256))
    path = tmp_path / "a.tif"
    path.write_bytes(write(pixels, photometric="rgb", tile=(32, 32), compression="deflate"))
    raster = open_tiff(path)
    corners = [(y, x) for y in range(0, 200, 20) for x in range(0, 200, 20)]
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda at: raster.read(at[0], at[1], 56, 56), corners))
    for (y, x), part in zip(corners, parts, strict=True):
        assert np.array_equal(part, pixels[y : y + 56, x : x + 56])
    assert sorted(seen) == list(range(64))


def test_a_window_outside_the_picture_is_a_mistake_of_the_caller() -> None:
    raster = open_tiff(write(GREY8))
    with pytest.raises(ValueError, match="extends outside the picture of 70 x 90"):
        raster.read(80, 0, 20, 10)


@pytest.mark.parametrize("name", ["a.tif", "b/c.TIFF", "slide.svs"])
def test_names_of_tiff_files_are_known(name: str) -> None:
    assert is_tiff_name(name)


@pytest.mark.parametrize("name", ["a.png", "tif", "a.tif.png", ""])
def test_other_names_are_not(name: str) -> None:
    assert not is_tiff_name(name)


def test_a_damaged_tile_is_named_and_the_others_are_read() -> None:
    pixels = as_eight(waves(64, 96))
    data = bytearray(write(pixels, photometric="rgb", tile=(32, 32), compression="deflate"))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        at = tiff.pages[0].dataoffsets[4]
    data[at : at + 40] = bytes(40)
    raster = open_tiff(bytes(data))
    assert np.array_equal(raster.read(0, 0, 64, 32), pixels[:64, :32])
    with pytest.raises(ImageError, match="damaged at row 32, column 32"):
        raster.read(0, 0, 64, 96)
    # And a second time: a failure is not kept as an answer.
    with pytest.raises(ImageError, match="damaged at row 32, column 32"):
        raster.read(40, 40, 8, 8)


@pytest.mark.parametrize(
    ("compression", "marker", "skipped"),
    # Where the size stands behind the marker of the frame: of JPEG height and width, 2 bytes each.
    [("jpeg2000", b"\xff\x4f\xff\x51", 8), ("jpeg", b"\xff\xc0", 5)],
)
def test_a_tile_that_states_a_larger_size_is_not_decoded(
    compression: str, marker: bytes, skipped: int
) -> None:
    pixels = np.zeros((256, 256, 3), np.uint8)
    data = write(pixels, tile=(256, 256), compression=compression, photometric="rgb")
    assert open_tiff(data).read(0, 0, 9, 9).shape == (9, 9, 3)
    at = data.index(marker) + skipped
    size = (
        struct.pack(">II", 60_000, 60_000) if skipped == 8 else struct.pack(">HH", 60_000, 60_000)
    )
    bomb = data[:at] + size + data[at + len(size) :]
    with pytest.raises(ImageError, match="its size is 60000 x 60000 pixels"):
        open_tiff(bomb).read(0, 0, 9, 9)


def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    data = write(as_eight(waves(64, 64)), photometric="rgb", tile=(32, 32))
    path.write_bytes(data[:-100])
    raster = open_tiff(path)
    raster.read(0, 0, 32, 64)
    with pytest.raises(
        ImageError, match=r"cut\.tif is damaged at row 32, column 32.*truncated within"
    ):
        raster.read(0, 0, 64, 64)


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(0, 3000), flips=st.lists(st.integers(0, 3000), max_size=6))
def test_whatever_the_bytes_only_an_image_error_comes_out(cut: int, flips: list[int]) -> None:
    data = bytearray(write(GREY8, tile=(32, 32), compression="deflate"))
    for at in flips:
        data[at % len(data)] ^= 0xFF
    hostile = bytes(data[: len(data) - cut % len(data)])
    try:
        raster = open_tiff(hostile)
        if raster.height * raster.width < 1_000_000:
            raster.read(0, 0, raster.height, raster.width)
    except ImageError as error:
        assert error.message.endswith(".")


def test_what_is_no_tiff_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImageFormatError, match="the file is empty"):
        open_tiff(b"")
    with pytest.raises(ImageFormatError, match="looks like PDF"):
        open_tiff(b"%PDF-1.7 and so on")
    png = io.BytesIO()
    PILImage.new("RGB", (4, 4)).save(png, "PNG")
    with pytest.raises(ImageFormatError, match="contains PNG"):
        open_tiff(png.getvalue())
    with pytest.raises(ImageError, match="is a folder"):
        open_tiff(tmp_path)
    (tmp_path / "slide.tif").write_bytes(b"")
    with pytest.raises(ImageFormatError, match="the file is empty"):
        open_tiff(tmp_path / "slide.tif")
    with pytest.raises(ImageError, match="does not exist") as caught:
        open_tiff(tmp_path / "slides.tif")
    assert caught.value.hint == f"did you mean {tmp_path / 'slide.tif'}?"
    with pytest.raises(ImageError, match="cannot be opened"):
        open_tiff(write(GREY8)[:12])


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((8, 8), np.float32), {}, "float32 pixels, which have no defined white level"),
        (np.zeros((8, 8), np.int16), {}, "int16 pixels"),
        (np.zeros((8, 8), np.uint32), {}, "uint32 pixels"),
        (np.zeros((8, 8, 4), np.uint8), {"photometric": "separated"}, "is in CMYK"),
        (np.zeros((8, 8, 3), np.uint8), {"photometric": "cielab"}, r"is in CIE L\*a\*b"),
        (
            np.zeros((8, 8, 5), np.uint8),
            {"photometric": "minisblack", "planarconfig": "contig"},
            "has 5 channels",
        ),
        (np.zeros((4, 8, 8), np.uint8), {"volumetric": True, "tile": (16, 16, 16)}, "is a volume"),
    ],
)
def test_pixels_without_agreed_colours_are_refused(
    pixels: NDArray[Any], options: dict[str, Any], message: str
) -> None:
    options = {"photometric": "minisblack", **options}
    with pytest.raises(ImageFormatError, match=message):
        open_tiff(write(pixels, **options))


def test_a_compressed_strip_that_would_fill_the_memory_is_refused() -> None:
    data = bytearray(write(np.zeros((8, 8), np.uint8), compression="deflate", byteorder="<"))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        tags = tiff.pages[0].tags
        sizes = [tags[code].valueoffset for code in (256, 257, 278)]
    for at in sizes:
        struct.pack_into("<H", data, at, 60_000)
    with pytest.raises(ImageTooLargeError, match="pieces of 60000 x 60000 pixels") as caught:
        open_tiff(bytes(data))
    assert caught.value.hint is not None and "tiffcp -t" in caught.value.hint


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(MissingExtraError) as caught:
        open_tiff(b"II*\0")
    assert caught.value.hint == install_extra("segment")


READ_IN_BANDS = """
import resource, sys
from pathlib import Path
from foveal.data.tiff.raster import open_tiff
import imagecodecs, tifffile  # Their code is no part of the growth.
raster = open_tiff(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
total = 0
for top in range(0, raster.height, 512):
    rows = min(512, raster.height - top)
    total += int(raster.read(top, 0, rows, raster.width)[::64, ::64].sum())
print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_picture_is_read_in_bands_in_little_memory(tmp_path: Path) -> None:
    side, tile = 12_000, 256
    path = tmp_path / "large.tif"
    count = -(-side // tile)

    def tiles() -> Any:
        for row in range(count):
            for column in range(count):
                yield np.full((tile, tile, 3), (row, column, 7), np.uint8)

    tifffile.imwrite(
        path,
        tiles(),
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(tile, tile),
        photometric="rgb",
        compression="deflate",
    )
    done = subprocess.run(
        [sys.executable, "-c", READ_IN_BANDS, str(path)], capture_output=True, text=True, check=True
    )
    total, growth = (int(word) for word in done.stdout.split())
    sampled = np.arange(0, side, 64) // tile
    expected = 2 * int(sampled.sum()) * len(sampled) + 7 * len(sampled) ** 2
    assert total == expected
    # The whole would be 412 MiB. Linux counts in KiB.
    unit = 1024 if sys.platform != "darwin" else 1
    assert growth * unit < 250_000_000
