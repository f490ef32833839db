"""Decoding: pixels of every kind become RGB, upright; nothing but an ImageError is raised."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from heic import HEIC, resized, turned
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data import decode as decode_module
from foveal.data import rgb
from foveal.data.decode import DecodeLimits, decode, decode_array
from foveal.data.headers import read_header
from foveal.data.picture_file import read_file
from foveal.data.rgb import to_pixels, to_rgb
from foveal.errors import ImageError, ImageFormatError, ImageTooLargeError

LIMITS = DecodeLimits(max_bytes=10_000_000, max_pixels=1_000_000)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
CYAN, BLACK, YELLOW = (0, 255, 255), (0, 0, 0), (255, 255, 0)
UPRIGHT = [[RED, GREEN, BLUE], [CYAN, BLACK, YELLOW]]
# What lies in the file for each orientation, by the definition of tag 0x0112 in EXIF 2.32: which
# side of the picture the stored first row and the stored first column are.
STORED = {
    1: [[RED, GREEN, BLUE], [CYAN, BLACK, YELLOW]],
    2: [[BLUE, GREEN, RED], [YELLOW, BLACK, CYAN]],
    3: [[YELLOW, BLACK, CYAN], [BLUE, GREEN, RED]],
    4: [[CYAN, BLACK, YELLOW], [RED, GREEN, BLUE]],
    5: [[RED, CYAN], [GREEN, BLACK], [BLUE, YELLOW]],
    6: [[BLUE, YELLOW], [GREEN, BLACK], [RED, CYAN]],
    7: [[YELLOW, BLUE], [BLACK, GREEN], [CYAN, RED]],
    8: [[CYAN, RED], [BLACK, GREEN], [YELLOW, BLUE]],
}
# Large enough that the colours in the middle of a block survive JPEG.
BLOCK = 16


def blocks(colors: list[list[tuple[int, int, int]]]) -> PILImage.Image:
    cells = np.array(colors, np.uint8)
    return PILImage.fromarray(cells.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1))


def middles(pixels: NDArray[np.uint8], block: int = BLOCK) -> NDArray[np.int64]:
    return pixels[block // 2 :: block, block // 2 :: block].astype(np.int64)


def saved(image: PILImage.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    block = PILImage.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def oriented(kind: str, orientation: int) -> bytes:
    image = blocks(STORED[orientation])
    if kind == "TIFF":
        return saved(image, kind, tiffinfo={0x0112: orientation})
    if kind == "JPEG":
        return saved(image, kind, quality=95, subsampling=0, exif=exif(orientation))
    if kind == "WEBP":
        return saved(image, kind, lossless=True, exif=exif(orientation))
    return saved(image, kind, exif=exif(orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_every_orientation_of_every_format_comes_out_upright(kind: str, orientation: int) -> None:
    picture = decode(oriented(kind, orientation), LIMITS)
    assert (picture.height, picture.width) == (2 * BLOCK, 3 * BLOCK)
    assert picture.pixels.shape == (2 * BLOCK, 3 * BLOCK, 3)
    np.testing.assert_allclose(middles(picture.pixels), np.array(UPRIGHT), atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_jpeg_comes_out_upright_too(orientation: int) -> None:
    picture = decode(oriented("JPEG", orientation), LIMITS, min_size=(2, 3))
    assert picture.pixels.shape == (4, 6, 3)
    assert (picture.height, picture.width) == (2 * BLOCK, 3 * BLOCK)
    np.testing.assert_allclose(middles(picture.pixels, 2), np.array(UPRIGHT), atol=40)


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
def test_an_orientation_in_xmp_is_not_followed(kind: str) -> None:
    options: dict[str, Any] = {"xmp": XMP} if kind != "TIFF" else {"tiffinfo": {700: XMP}}
    picture = decode(saved(blocks(UPRIGHT), kind, **options), LIMITS)
    assert (picture.height, picture.width) == (2 * BLOCK, 3 * BLOCK)


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        # Orientation 9, and orientation as text: neither exists.
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x01\0\0\0\x06\0\0\0",
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_bad_exif_block_does_not_make_a_good_picture_bad(kind: str, block: bytes) -> None:
    picture = decode(saved(blocks(UPRIGHT), kind, exif=block), LIMITS)
    assert (picture.height, picture.width) == (2 * BLOCK, 3 * BLOCK)


def test_an_exif_block_behind_the_pixels_of_a_png_counts() -> None:
    plain = saved(blocks(STORED[6]), "PNG")
    body = b"eXIf" + exif(6).removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    picture = decode(plain[:-12] + chunk + plain[-12:], LIMITS)
    np.testing.assert_array_equal(middles(picture.pixels), np.array(UPRIGHT))


def row(values: list[Any], dtype: type[np.generic] = np.uint8) -> PILImage.Image:
    return PILImage.fromarray(np.array([values], dtype))


def palette_with_alpha() -> bytes:
    image = PILImage.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 0, 255, 0, 0, 0])
    image.putdata([0, 1, 2])
    return saved(image, "PNG", transparency=bytes([0, 255, 128]))


def first_of_two(kind: str) -> bytes:
    frames = [PILImage.new("RGB", (2, 1), color) for color in (RED, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def transparent_gif() -> bytes:
    image = PILImage.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    return saved(image, "GIF", transparency=0)


def top_down_bmp() -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 1, -2, 1, 24, 0, 8, 0, 0, 0, 0)
    pixels = bytes((0, 0, 255, 0)) + bytes((255, 0, 0, 0))
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + header + pixels


GREYS = [0, 257, 32_896, 65_535]
WHITE = (255, 255, 255)

# name, file, expected rows of RGB, why
GOLDEN: list[tuple[str, bytes, list[list[tuple[int, int, int]]]]] = [
    ("grey", saved(row([0, 100, 255]), "PNG"), [[BLACK, (100,) * 3, WHITE]]),
    ("one bit", saved(row([0, 255]).convert("1"), "PNG"), [[BLACK, WHITE]]),
    ("one bit tiff", saved(row([0, 255]).convert("1"), "TIFF"), [[BLACK, WHITE]]),
    ("one bit bmp", saved(row([0, 255]).convert("1"), "BMP"), [[BLACK, WHITE]]),
    # 65535 = 255 * 257: divided, neither cut at 255 nor shifted off.
    ("deep grey", saved(row(GREYS, np.uint16), "PNG"), [[(v,) * 3 for v in (0, 1, 128, 255)]]),
    ("deep tiff", saved(row(GREYS, np.uint16), "TIFF"), [[(v,) * 3 for v in (0, 1, 128, 255)]]),
    (
        "rounded",
        saved(row([128, 129, 385, 386], np.uint16), "PNG"),
        [[(v,) * 3 for v in (0, 1, 1, 2)]],
    ),
    # Fully transparent is white whatever the colour beneath; half black is half grey.
    (
        "rgba",
        saved(row([[9, 9, 9, 0], [9, 8, 7, 255], [0, 0, 0, 128]]), "PNG"),
        [[WHITE, (9, 8, 7), (127,) * 3]],
    ),
    (
        "la",
        saved(PILImage.merge("LA", (row([9, 100]), row([0, 255]))), "PNG"),
        [[WHITE, (100,) * 3]],
    ),
    ("palette", saved(blocks([[RED, BLUE]]).quantize(2), "PNG"), [[RED] * 16 + [BLUE] * 16] * 16),
    ("palette and alpha", palette_with_alpha(), [[WHITE, BLUE, (127,) * 3]]),
    ("rgb colour key", saved(row([RED, BLUE]), "PNG", transparency=RED), [[WHITE, BLUE]]),
    ("grey colour key", saved(row([7, 9]), "PNG", transparency=7), [[WHITE, (9,) * 3]]),
    (
        "deep colour key",
        saved(row([257, 514], np.uint16), "PNG", transparency=257),
        [[WHITE, (2,) * 3]],
    ),
    ("webp", saved(row([RED, (1, 2, 3)]), "WEBP", lossless=True), [[RED, (1, 2, 3)]]),
    (
        "webp alpha",
        saved(row([[9, 9, 9, 0], [9, 8, 7, 255]]), "WEBP", lossless=True),
        [[WHITE, (9, 8, 7)]],
    ),
    ("gif", saved(row([RED, BLUE]).quantize(2), "GIF"), [[RED, BLUE]]),
    ("gif, first frame", first_of_two("GIF"), [[RED, RED]]),
    ("gif with a hole", transparent_gif(), [[WHITE, BLUE]]),
    ("webp, first frame", first_of_two("WEBP"), [[RED, RED]]),
    ("png, first frame", first_of_two("PNG"), [[RED, RED]]),
    ("tiff, first page", first_of_two("TIFF"), [[RED, RED]]),
    ("bmp", saved(row([RED, (1, 2, 3)]), "BMP"), [[RED, (1, 2, 3)]]),
    ("bmp from the top", top_down_bmp(), [[RED], [BLUE]]),
    ("tiff lzw", saved(row([RED, BLUE]), "TIFF", compression="tiff_lzw"), [[RED, BLUE]]),
    (
        "tiff deflate",
        saved(row([RED, BLUE]), "TIFF", compression="tiff_adobe_deflate"),
        [[RED, BLUE]],
    ),
    ("big tiff", saved(row([RED, BLUE]), "TIFF", big_tiff=True), [[RED, BLUE]]),
    (
        "cmyk tiff",
        saved(PILImage.merge("CMYK", [row([v, 0]) for v in (255, 0, 0, 0)]), "TIFF"),
        [[CYAN, WHITE]],
    ),
]


@pytest.mark.parametrize(("data", "expected"), [g[1:] for g in GOLDEN], ids=[g[0] for g in GOLDEN])
def test_every_kind_of_pixel_has_its_rgb(
    data: bytes, expected: list[list[tuple[int, int, int]]]
) -> None:
    picture = decode(data, LIMITS)
    np.testing.assert_array_equal(picture.pixels, np.array(expected, np.uint8))
    assert picture.pixels.flags.writeable
    assert picture.pixels.flags.c_contiguous


def cmyk_jpeg(c: int, m: int, y: int, k: int) -> bytes:
    flat = [PILImage.new("L", (16, 16), v) for v in (c, m, y, k)]
    return saved(PILImage.merge("CMYK", flat), "JPEG", quality=100, subsampling=0)


def test_a_cmyk_jpeg_has_its_colours_and_not_their_negative() -> None:
    picture = decode(cmyk_jpeg(255, 0, 0, 0), LIMITS)
    np.testing.assert_allclose(picture.pixels, np.full((16, 16, 3), CYAN), atol=2)


def test_an_adobe_ycck_jpeg_has_its_colours() -> None:
    # The same numbers, declared as YCCK (transform 2 in Adobe's marker): luma 55 inverted, no
    # chroma and no black are grey 200.
    data = cmyk_jpeg(200, 127, 127, 0)
    at = data.index(b"Adobe") + 11
    picture = decode(data[:at] + b"\x02" + data[at + 1 :], LIMITS)
    np.testing.assert_allclose(picture.pixels, 200, atol=3)


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    picture = decode(saved(PILImage.new("L", (16, 16), 77), "JPEG"), LIMITS)
    np.testing.assert_allclose(picture.pixels, 77, atol=1)
    assert picture.pixels.shape == (16, 16, 3)


def test_floating_point_pixels_are_refused_with_advice() -> None:
    data = saved(row([0.5, 1.0], np.float32), "TIFF")
    with pytest.raises(ImageFormatError, match="Floating-point") as caught:
        decode(data, LIMITS)
    assert "save as PNG" in str(caught.value.hint)


def tiff(samples: int, bits: int, *, kind: int = 1, compression: int = 1, black: int = 1) -> bytes:
    """Return a TIFF of two pairs of a lowest and a highest value, of any layout of tags."""
    pixels = 2 * (bytes(samples * bits // 8) + b"\xff" * (samples * bits // 8))
    tags = {
        256: [2], 257: [2], 258: [bits] * samples, 259: [compression], 262: [black],
        273: [0], 277: [samples], 278: [2], 279: [len(pixels)], 339: [kind] * samples,
    }  # fmt: skip
    after = 8 + 2 + 12 * len(tags) + 4
    tail = struct.pack(f"<{samples}H", *tags[258]) + struct.pack(f"<{samples}H", *tags[339])
    tags[273] = [after + len(tail)]
    entries = b""
    for tag, values in tags.items():
        if len(values) > 2:
            value = struct.pack("<I", after + (2 * samples if tag == 339 else 0))
        else:
            value = struct.pack(f"<{len(values)}H", *values).ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, 3, len(values)) + value
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + bytes(4) + tail + pixels


@pytest.mark.parametrize(
    ("data", "words", "advice"),
    [
        (tiff(1, 16, kind=3), "Floating-point", "scale the values to 0-255"),
        (tiff(3, 32, kind=3, black=2), "Floating-point", "scale the values to 0-255"),
        (tiff(1, 64, kind=3), "Floating-point", "scale the values to 0-255"),
        (tiff(1, 64, kind=6), "Floating-point", "scale the values to 0-255"),
        (tiff(1, 64), "more than 16 bits", "scale the values to 0-65535"),
        (tiff(5, 8), "has 5 channels", "save the channels that matter as RGB"),
        (tiff(1, 8, compression=34_887), "method 34887", "save it as PNG"),
        (tiff(1, 24), "more than 16 bits", "scale the values"),
        (tiff(2, 12), "pixels of 12 bits", "8- or 16-bit PNG"),
        # 255 is -1, which Pillow reads as white.
        (tiff(1, 8, kind=2), "Signed", "black is 0"),
        (tiff(1, 8, kind=2, black=0), "Signed", "black is 0"),
        (tiff(1, 16, kind=2), "Signed", "black is 0"),
        (tiff(3, 16, kind=2, black=2), "Signed", "black is 0"),
        (tiff(3, 8, black=2, compression=50_001), "method 50001", "save it as PNG"),
    ],
)
def test_a_tiff_that_pillow_does_not_know_is_refused_with_advice(
    data: bytes, words: str, advice: str
) -> None:
    with pytest.raises(ImageFormatError, match=words) as caught:
        decode(data, LIMITS)
    assert advice in str(caught.value.hint)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("band_pixels", [2, 4])
def test_a_tiff_in_which_0_is_white_is_not_a_negative(
    bits: int, band_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiff(1, bits, black=0)
    # Large pictures are converted in bands.
    monkeypatch.setattr(rgb, "_BAND_PIXELS", band_pixels)
    assert decode(data, LIMITS).pixels[:, :, 0].tolist() == [[255, 0], [255, 0]]
    with PILImage.open(io.BytesIO(data)) as image:
        assert to_pixels(image)[:, :, 0].tolist() == [[255, 0], [255, 0]]


def test_signed_pixels_of_16_bits_are_read_if_none_is_negative() -> None:
    data = saved(row([0, 257, 32_639], np.uint16), "TIFF", tiffinfo={339: 2})
    assert decode(data, LIMITS).pixels[:, :, 0].tolist() == [[0, 1, 127]]


def test_integers_of_more_than_16_bits_are_refused() -> None:
    with pytest.raises(ImageFormatError, match="more than 16 bits"):
        decode(saved(row([0, 70_000], np.int32), "TIFF"), LIMITS)


def test_a_picture_object_of_any_mode_becomes_rgb() -> None:
    assert to_rgb(PILImage.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0)) == WHITE
    assert to_rgb(PILImage.new("HSV", (1, 1), (0, 0, 255))).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(
    ("min_size", "shape"),
    [
        (None, (128, 256, 3)),
        ((8, 16), (16, 32, 3)),  # 1/8 leaves exactly twice as much
        ((9, 16), (32, 64, 3)),  # 1/8 would leave 16 rows where 18 are wanted
        ((17, 16), (64, 128, 3)),
        ((33, 16), (128, 256, 3)),
        ((4, 17), (32, 64, 3)),
    ],
)
def test_a_jpeg_is_never_reduced_below_twice_what_is_wanted(
    min_size: tuple[int, int] | None, shape: tuple[int, ...]
) -> None:
    data = saved(PILImage.new("RGB", (256, 128)), "JPEG")
    picture = decode(data, LIMITS, min_size=min_size)
    assert picture.pixels.shape == shape
    assert (picture.height, picture.width) == (128, 256)


def test_odd_sizes_are_reduced_by_rounding_up() -> None:
    data = saved(PILImage.new("RGB", (131, 67)), "JPEG")
    assert decode(data, LIMITS, min_size=(8, 8)).pixels.shape == (17, 33, 3)


def test_a_jpeg_that_the_strict_decoder_refuses_is_tried_once_more() -> None:
    data = saved(blocks(UPRIGHT), "JPEG", quality=95, subsampling=0)
    at = data.index(b"\xff\xdb")
    # Stray bytes before a marker: every viewer shows such a file.
    damaged = data[:at] + b"\x01\x02\x03" + data[at:]
    with pytest.raises(ValueError, match="xtraneous"):
        simplejpeg.decode_jpeg(damaged)
    np.testing.assert_allclose(middles(decode(damaged, LIMITS).pixels), np.array(UPRIGHT), atol=6)


def tiny_files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    image = PILImage.fromarray(rng.integers(0, 256, (10, 12, 3), np.uint8))
    return {
        "JPEG": saved(image, "JPEG", exif=exif(6)),
        "progressive JPEG": saved(image, "JPEG", progressive=True),
        "PNG": saved(image, "PNG", exif=exif(3)),
        "WEBP": saved(image, "WEBP", exif=exif(8)),
        "lossless WEBP": saved(image, "WEBP", lossless=True),
        "GIF": saved(image.quantize(16), "GIF"),
        "BMP": saved(image, "BMP"),
        "TIFF": saved(image, "TIFF"),
        "LZW TIFF": saved(image, "TIFF", compression="tiff_lzw"),
        "AVIF": saved(image, "AVIF", exif=exif(6)),
    }


@pytest.mark.parametrize(("kind", "data"), tiny_files().items(), ids=list(tiny_files()))
def test_every_truncation_is_a_picture_or_an_image_error(kind: str, data: bytes) -> None:
    failed = 0
    for length in range(len(data)):
        try:
            picture = decode(data[:length], LIMITS)
        except ImageError:
            failed += 1
        else:
            assert {picture.height, picture.width} == {10, 12}
    # Only what lies behind the last pixel may be missing without harm.
    assert failed > 0.8 * len(data)


@pytest.mark.parametrize(("kind", "data"), tiny_files().items(), ids=list(tiny_files()))
def test_every_flipped_byte_is_a_picture_or_an_image_error(kind: str, data: bytes) -> None:
    small = DecodeLimits(max_bytes=100_000, max_pixels=10_000)
    decoded = 0
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        try:
            picture = decode(bytes(damaged), small)
        except ImageError:
            continue
        decoded += 1
        assert picture.pixels.shape[0] * picture.pixels.shape[1] <= 10_000
    assert decoded < len(data)


# Before, and turned by quarters against the clock: the colour in each corner, from the upper left.
@pytest.mark.parametrize(
    ("quarters", "size", "corners"),
    [
        (0, (48, 64), ["white", "blue", "red", "blue"]),
        (1, (64, 48), ["blue", "blue", "white", "red"]),
        (2, (48, 64), ["blue", "red", "blue", "white"]),
        (3, (64, 48), ["red", "white", "blue", "blue"]),
    ],
)
def test_a_heic_comes_out_upright(quarters: int, size: tuple[int, int], corners: list[str]) -> None:
    pytest.importorskip("pi_heif", reason="pi-heif is not installed: pip install 'foveal[heic]'")
    data = turned(quarters) if quarters else HEIC
    header = read_header(data)
    picture = decode(data, LIMITS)
    assert (header.height, header.width) == (picture.height, picture.width) == size
    near = {"white": (250, 250, 250), "red": (220, 40, 40), "blue": (40, 60, 200)}
    found = picture.pixels[3::, 3::][:: size[0] - 7, :: size[1] - 7].reshape(-1, 3)
    np.testing.assert_allclose(found, [near[name] for name in corners], atol=30)


def test_a_damaged_heic_is_a_picture_or_an_image_error() -> None:
    pytest.importorskip("pi_heif", reason="pi-heif is not installed: pip install 'foveal[heic]'")
    for at in range(0, len(HEIC), 3):
        for damaged in (HEIC[:at], HEIC[:at] + bytes([HEIC[at] ^ 0xFF]) + HEIC[at + 1 :]):
            try:
                picture = decode(damaged, LIMITS)
            except ImageError:
                continue
            assert picture.pixels.shape[0] * picture.pixels.shape[1] <= LIMITS.max_pixels


def test_a_heic_without_its_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif.as_plugin", None)
    with pytest.raises(ImageFormatError, match="pi-heif, which is not installed") as caught:
        decode(HEIC, LIMITS)
    assert "[heic]" in str(caught.value.hint)
    assert caught.value.error_code == "extra_missing"
    # Its size is known without.
    assert read_header(HEIC).height == 48


def test_a_part_that_is_larger_than_the_picture_counts_too() -> None:
    small = DecodeLimits(max_bytes=10_000, max_pixels=48 * 64)
    # 64 x 64 px are coded, of which 64 x 48 are shown.
    with pytest.raises(ImageTooLargeError):
        decode(HEIC, small)


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + bytes(4)


def bombs() -> dict[str, bytes]:
    jpeg = saved(PILImage.new("RGB", (16, 16)), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    tiff = struct.pack("<4sIH", b"II*\0", 8, 2) + b"".join(
        struct.pack("<HHII", tag, 4, 1, 60_000) for tag in (256, 257)
    )
    return {
        "PNG": png_header(30_000, 30_000),
        "JPEG": jpeg[:at] + struct.pack(">HH", 65_500, 65_500) + jpeg[at + 4 :],
        "GIF": b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0),
        "WEBP": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2,
        "lossless WEBP": b"RIFF\x20\0\0\0WEBPVP8L\x10\0\0\0\x2f" + struct.pack("<I", 0xFFF_FFFF),
        "BMP": b"BM" + bytes(12) + struct.pack("<Iii", 40, 60_000, -60_000) + bytes(28),
        "TIFF": tiff + bytes(4),
        "AVIF": resized(saved(PILImage.new("RGB", (16, 16)), "AVIF"), 60_000, 60_000),
        "HEIC": resized(HEIC, 60_000, 60_000),
    }


@pytest.mark.parametrize(("kind", "data"), bombs().items(), ids=list(bombs()))
def test_a_bomb_is_refused_by_its_header_before_a_decoder_sees_it(
    kind: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a decoder was called")

    monkeypatch.setattr(decode_module.simplejpeg, "decode_jpeg", explode)
    monkeypatch.setattr(decode_module, "PLUGINS", dict.fromkeys(decode_module.PLUGINS, explode))
    with pytest.raises(ImageTooLargeError, match=r"pixels. Expected at most 1,000,000"):
        decode(data, LIMITS)


def test_a_gif_whose_frame_is_larger_than_its_canvas_is_refused() -> None:
    canvas = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x02\x4c\x01\0;"
    with pytest.raises(ImageTooLargeError):
        decode(canvas + frame, LIMITS)
    # Small enough for Pillow's own limit, too large for ours.
    with pytest.raises(ImageTooLargeError, match="2000 x 2000"):
        decode(canvas + frame.replace(struct.pack("<H", 60_000), struct.pack("<H", 2000)), LIMITS)


def test_a_gif_is_as_large_as_its_frame() -> None:
    data = saved(row([RED, BLUE, RED]).quantize(2), "GIF")
    picture = decode(data[:6] + struct.pack("<HH", 1, 1) + data[10:], LIMITS)
    assert picture.pixels.shape == (picture.height, picture.width, 3) == (1, 3, 3)


def test_more_bytes_than_allowed_are_refused() -> None:
    with pytest.raises(ImageTooLargeError, match="at most 10"):
        decode(b"\xff\xd8\xff" + bytes(20), DecodeLimits(max_bytes=10, max_pixels=100))


def test_who_sets_the_limits_says_how_to_raise_them() -> None:
    limits = DecodeLimits(max_bytes=10, max_pixels=10, hint="--max-{} N raises the limit")
    with pytest.raises(ImageTooLargeError) as caught:
        limits.check_bytes(11)
    assert caught.value.hint == "--max-bytes N raises the limit"
    with pytest.raises(ImageTooLargeError) as caught:
        limits.check_size(11, 1)
    assert caught.value.hint == "--max-pixels N raises the limit"
    with pytest.raises(ImageTooLargeError) as caught:
        DecodeLimits(max_bytes=10, max_pixels=10).check_size(11, 1)
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"%PDF-1.7", "it looks like PDF"),
        (b"\0\0\0\x18ftypisom\0\0", "it looks like a video"),
        (b"<!doctype html><title>404", "it looks like a web page"),
        (b"PK\x03\x04", "it looks like a zip archive"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "supported format. Expected JPEG"),
        (b"no picture", "supported format. Expected JPEG"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str) -> None:
    with pytest.raises(ImageFormatError, match=words) as caught:
        decode(data, LIMITS)
    assert caught.value.error_code == "image_format"


def test_the_name_of_a_file_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "really_a_gif.jpg"
    path.write_bytes(saved(row([RED, BLUE]).quantize(2), "GIF"))
    assert decode(read_file(path, LIMITS), LIMITS).pixels.shape == (1, 2, 3)


def test_a_missing_file_is_an_image_error_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "kitten.jpg").touch()
    with pytest.raises(ImageError, match=r"kiten.jpg does not exist") as caught:
        read_file(tmp_path / "kiten.jpg", LIMITS)
    assert caught.value.hint == f"did you mean {tmp_path / 'kitten.jpg'}?"


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        read_file(tmp_path, LIMITS)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(bytes(2000))
    with pytest.raises(ImageTooLargeError, match="2,000 bytes"):
        read_file(tmp_path / "big.png", DecodeLimits(max_bytes=100, max_pixels=100))


def test_a_name_that_no_file_system_takes_is_an_image_error() -> None:
    with pytest.raises(ImageError, match="Cannot read"):
        read_file(Path("a\0b.png"), LIMITS)


def test_arrays_become_pictures() -> None:
    grey = np.array([[0, 255]], np.uint8)
    clear = np.array([[[9, 9, 9, 0]]], np.uint8)
    np.testing.assert_array_equal(decode_array(grey, LIMITS).pixels, [[BLACK, WHITE]])
    np.testing.assert_array_equal(decode_array(grey[..., None], LIMITS).pixels, [[BLACK, WHITE]])
    np.testing.assert_array_equal(decode_array(clear, LIMITS).pixels, [[WHITE]])


def test_arrays_that_are_no_pictures_are_refused() -> None:
    with pytest.raises(ImageFormatError, match=r"\(4, 4, 2\)"):
        decode_array(np.zeros((4, 4, 2), np.uint8), LIMITS)
    with pytest.raises(ImageError, match="no pixels"):
        decode_array(np.zeros((0, 4), np.uint8), LIMITS)
    with pytest.raises(ImageTooLargeError):
        decode_array(np.zeros((2000, 2000), np.uint8), LIMITS)
