"""What costs far more than its size says is refused before it is decoded; the rest comes out."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.data import decode as decode_module
from foveal.data import rgb
from foveal.data.bounds import count_scans
from foveal.data.decode import DecodeLimits, decode
from foveal.data.headers import read_header
from foveal.data.masks.file import decode_mask
from foveal.data.tiff.raster import open_tiff, read_tiff_array
from foveal.errors import ImageError, ImageFormatError, ImageTooLargeError

LIMITS = DecodeLimits(max_bytes=10_000_000, max_pixels=1_000_000, hint="--max-{} N")


def saved(image: PILImage.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(height: int = 40, width: int = 56) -> PILImage.Image:
    rng = np.random.default_rng(0)
    return PILImage.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def block(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_with(blocks: bytes, image: PILImage.Image | None = None) -> bytes:
    """Return a PNG with more blocks before its pixels."""
    data = saved(image or noise(), "PNG")
    at = data.index(b"IDAT") - 4
    return data[:at] + blocks + data[at:]


def scans_of(data: bytes) -> list[bytes]:
    """Return the scans of a progressive JPEG, each with the tables before it left out."""
    starts = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
    scans = []
    for start in starts:
        end = start + 2
        while data[end] != 0xFF or data[end + 1] == 0:
            end += 1
        scans.append(data[start:end])
    return scans


def with_scans(image: PILImage.Image, more: int) -> bytes:
    data = saved(image, "JPEG", progressive=True)
    return data[:-2] + min(scans_of(data), key=len) * more + data[-2:]


@pytest.fixture
def decoders_explode(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a decoder was called")

    monkeypatch.setattr(decode_module.simplejpeg, "decode_jpeg", explode)
    monkeypatch.setattr(decode_module, "PLUGINS", dict.fromkeys(decode_module.PLUGINS, explode))


def test_scans_of_a_jpeg_are_counted() -> None:
    progressive = saved(noise(), "JPEG", progressive=True)
    assert count_scans(progressive, 100) == len(scans_of(progressive)) == 10
    assert count_scans(with_scans(noise(), 30), 100) == 40
    # Counted no further than needed.
    assert count_scans(with_scans(noise(), 30), 20) == 21
    # All in one: what lies behind it is another picture, which no decoder looks at.
    assert count_scans(saved(noise(), "JPEG") + 20 * progressive, 100) == 1
    # A preview inside the header is none of the picture's scans.
    preview = saved(noise(), "JPEG", comment=progressive[:60_000])
    assert count_scans(preview, 100) == 1


def test_a_jpeg_with_too_many_scans_is_refused(decoders_explode: None) -> None:
    with pytest.raises(ImageError, match="over 500 scans"):
        decode(with_scans(PILImage.new("RGB", (16, 16)), 500), LIMITS)


def test_a_large_jpeg_may_have_few_scans(decoders_explode: None) -> None:
    data = with_scans(PILImage.new("RGB", (1000, 1000)), 30)
    with pytest.raises(ImageTooLargeError, match=r"1000 x 1000 pixels in over 32 scans") as caught:
        decode(data, LIMITS)
    assert caught.value.hint == "--max-pixels N"


def test_a_usual_progressive_jpeg_of_the_largest_size_is_decoded() -> None:
    data = saved(PILImage.new("RGB", (1000, 1000), (255, 0, 0)), "JPEG", progressive=True)
    assert decode(data, LIMITS).pixels.shape == (1000, 1000, 3)


@pytest.mark.parametrize("size", [(1, 65_536), (65_536, 1)])
def test_a_picture_that_is_one_long_line_is_refused(
    size: tuple[int, int], decoders_explode: None
) -> None:
    data = saved(PILImage.new("L", size), "PNG")
    with pytest.raises(ImageTooLargeError, match="at most 65,535 on a side"):
        decode(data, LIMITS)
    with pytest.raises(ImageTooLargeError, match="at most 65,535 on a side"):
        decode_mask(data, LIMITS)


def test_a_long_side_is_allowed_where_many_pixels_are() -> None:
    large = DecodeLimits(max_bytes=100, max_pixels=50_000_000)
    large.check_size(16, 195_312)
    with pytest.raises(ImageTooLargeError, match="at most 195,312 on a side"):
        large.check_size(16, 195_313)


def test_comments_and_profiles_of_a_png_cost_nothing() -> None:
    plain = decode(saved(noise(), "PNG"), LIMITS).pixels
    bomb = zlib.compress(bytes(1 << 26), 9)
    text = block(b"zTXt", b"comment\0\0" + bomb)
    profile = block(b"iCCP", b"profile\0\0" + bomb)
    animation = block(b"acTL", struct.pack(">II", 1_000_000, 0))
    # Its checksum is wrong, as some editors leave it.
    broken = block(b"tEXt", b"comment\0hello")[:-4] + bytes(4)
    for blocks in (100 * text, profile, animation, broken):
        np.testing.assert_array_equal(decode(png_with(blocks), LIMITS).pixels, plain)
        np.testing.assert_array_equal(decode_mask(png_with(blocks), LIMITS).values, plain)


def test_blocks_of_a_png_that_are_pixels_are_kept() -> None:
    palette = noise().quantize(8)
    palette.info["transparency"] = bytes([0, 255])
    data = saved(palette, "PNG")
    assert b"tRNS" in data
    pixels = decode(data, LIMITS).pixels
    np.testing.assert_array_equal(
        decode(png_with(block(b"tEXt", b"a\0b"), palette), LIMITS).pixels, pixels
    )
    assert (pixels[np.asarray(palette) == 0] == 255).all()


@pytest.mark.parametrize("kind", [b"teSt", b"IDAT"])
def test_a_png_of_a_million_empty_blocks_is_refused(kind: bytes, decoders_explode: None) -> None:
    data = png_with(70_000 * block(kind, b""))
    with pytest.raises(ImageError, match="PNG picture has over 65,536 blocks"):
        decode(data, LIMITS)


def gif_with(blocks: bytes) -> bytes:
    image = noise().quantize(8)
    data = saved(image, "GIF", transparency=3)
    at = 13 + 3 * 8
    assert data[at : at + 2] == b"!\xf9"
    return data[:at] + blocks + data[at:]


def test_comments_of_a_gif_cost_nothing() -> None:
    plain = decode(gif_with(b""), LIMITS).pixels
    assert (plain == 255).all(axis=2).any()
    comment = b"!\xfe" + 1000 * (b"\xff" + bytes(255)) + b"\0"
    stray = b"\0\0\0"
    for blocks in (comment, 20 * comment, stray):
        np.testing.assert_array_equal(decode(gif_with(blocks), LIMITS).pixels, plain)
    with pytest.raises(ImageError, match="GIF picture has over 262,144 blocks"):
        decode(gif_with(b"!\xfe" + 300_000 * b"\x01a" + b"\0"), LIMITS)


def test_the_notes_of_a_jpeg_that_only_the_tolerant_decoder_reads_cost_nothing() -> None:
    cmyk = saved(noise().convert("CMYK"), "JPEG", quality=95)
    plain = decode(cmyk, LIMITS).pixels
    note = b"\xff\xe1" + struct.pack(">H", 1002) + b"Exif\0\0" + bytes(994)
    np.testing.assert_array_equal(decode(cmyk[:2] + 50 * note + cmyk[2:], LIMITS).pixels, plain)
    with pytest.raises(ImageError, match="too many blocks"):
        decode(cmyk[:2] + 70_000 * b"\xff\xe1\0\x02" + cmyk[2:], LIMITS)


def run_length_bmp(width: int, height: int, body: bytes) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    at = 14 + len(head) + 1024
    palette = b"".join(bytes([i, i, i, 0]) for i in range(256))
    return b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at) + head + palette + body


def test_a_large_run_length_coded_bmp_is_refused(decoders_explode: None) -> None:
    with pytest.raises(ImageTooLargeError, match=r"run-length coded pixels. Expected at most"):
        decode(run_length_bmp(500, 500, b"\0\1"), LIMITS)


def test_a_run_length_coded_bmp_is_read_no_further_than_its_pixels_may_reach() -> None:
    # Two rows, from the bottom: 7 7 7, then 9 9 9; and runs that set no pixel.
    body = b"\x03\x07\0\0\x03\x09\0\1" + 1_000_000 * b"\x01\x05"
    pixels = decode(run_length_bmp(3, 2, body), LIMITS).pixels
    np.testing.assert_array_equal(pixels[:, :, 0], [[9, 9, 9], [7, 7, 7]])


def tiff(entries: dict[int, tuple[int, int, int]], rest: bytes = b"") -> bytes:
    """Return a TIFF of one directory: tag → (type, count, value or offset)."""
    data = struct.pack("<4sIH", b"II*\0", 8, len(entries))
    data += b"".join(struct.pack("<HHII", tag, *entries[tag]) for tag in sorted(entries))
    return data + bytes(4) + rest


GREY = {256: (4, 1, 4), 257: (4, 1, 4), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
GREY |= {273: (4, 1, 0), 277: (3, 1, 1), 278: (4, 1, 4), 279: (4, 1, 16)}


def test_entries_of_a_tiff_cannot_share_what_is_read(decoders_explode: None) -> None:
    # Each of 100 entries claims the same 1,000 bytes.
    shared = {40_000 + i: (7, 1000, 200) for i in range(100)}
    data = tiff({**GREY, **shared}, bytes(1000))
    for read in (read_header, open_tiff, lambda data: decode(data, LIMITS)):
        with pytest.raises(ImageError, match="entries declare 100,000 bytes"):
            read(data)


def test_a_tiff_with_too_many_entries_is_refused(decoders_explode: None) -> None:
    many = {10_000 + i: (3, 1, 0) for i in range(5000)}
    for read in (read_header, open_tiff):
        with pytest.raises(ImageError, match=r"has 5,000 entries in its directory"):
            read(tiff(many))


def test_a_tile_that_is_far_larger_than_its_picture_is_refused(decoders_explode: None) -> None:
    tiles = {322: (4, 1, 40_000), 323: (4, 1, 40_000), 324: (4, 1, 0), 325: (4, 1, 10)}
    with pytest.raises(ImageTooLargeError, match="40000 x 40000"):
        decode(tiff({**GREY, **tiles}), LIMITS)


def test_a_tiff_in_too_many_pieces_is_refused(decoders_explode: None) -> None:
    strips = {273: (4, 100_000, 200), 279: (4, 100_000, 200)}
    with pytest.raises(ImageTooLargeError, match=r"in 100,000 pieces. Expected at most 69,442"):
        decode(tiff({**GREY, **strips}, bytes(900_000)), LIMITS)
    strips = {273: (3, 2_000_000, 200)}
    with pytest.raises(ImageError, match=r"in 2,000,000 pieces. Expected at most 1,000,000"):
        open_tiff(tiff({**GREY, **strips}, bytes(4_000_000)))


def test_a_plain_tiff_that_claims_rows_without_end_is_refused() -> None:
    rows = 2**31 - 1
    data = tiff({**GREY, 257: (4, 1, rows), 278: (4, 1, rows)}, bytes(2000))
    with pytest.raises(ImageError, match=r"declares [0-9,]+ bytes of pixels, but the file has"):
        open_tiff(data)
    # What was cut off is read as far as it goes.
    half = tiff(
        {**GREY, 257: (4, 1, 400_000), 278: (4, 1, 400_000), 273: (4, 1, 122)}, bytes(1_200_000)
    )
    assert open_tiff(half).read(0, 0, 2, 4).shape == (2, 4, 3)
    with pytest.raises(ImageError, match="the file is truncated within it"):
        open_tiff(half).read(399_000, 0, 2, 4)


def test_pixels_of_countless_channels_are_refused() -> None:
    with pytest.raises(ImageFormatError, match="has 40000 channels"):
        read_tiff_array(tiff({**GREY, 277: (3, 1, 40_000)}, bytes(2000)))


def test_large_pictures_are_brought_to_rgb_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = PILImage.fromarray((np.arange(60 * 50) * 20).astype(np.uint16).reshape(60, 50))
    clear = noise(60, 50).convert("RGBA")
    clear.putalpha(PILImage.fromarray(np.arange(3000).astype(np.uint8).reshape(60, 50)))
    palette = noise(60, 50).quantize(8)
    palette.info["transparency"] = 2
    files = [saved(image, "PNG") for image in (deep, clear, palette)]
    whole = [decode(data, LIMITS).pixels for data in files]
    # Three rows each.
    monkeypatch.setattr(rgb, "_BAND_PIXELS", 150)
    for data, pixels in zip(files, whole, strict=True):
        np.testing.assert_array_equal(decode(data, LIMITS).pixels, pixels)
