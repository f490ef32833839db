"""Pictures that would cost far more than their bytes, each by name; see `hostile_pictures`."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from PIL import Image as PILImage

from small_pictures import saved, small_pictures


def block(kind: bytes, content: bytes) -> bytes:
    """Return a block of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_with(data: bytes, blocks: bytes) -> bytes:
    """Return a PNG with more blocks before its pixels."""
    at = data.index(b"IDAT") - 4
    return data[:at] + blocks + data[at:]


def _zeros(count: int) -> bytes:
    """Return a zlib stream of so many zeros, whatever their number, at once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    million = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, zlib.DEFLATED, -15)
    end = rest.compress(bytes(count % (1 << 20))) + rest.flush()
    adler = struct.pack(">HH", count % 65_521, 1)
    return b"\x78\xda" + million * (count >> 20) + end + adler


def _png(
    width: int, height: int, depth: int, color: int, *, lace: int = 0, more: bytes = b""
) -> bytes:
    """Return a PNG of zeros; `color` as the format numbers it."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = 1 + (width * channels * depth + 7) // 8
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, lace)
    pixels = _zeros(row * height + lace * (row + 7 * height))
    return (
        b"\x89PNG\r\n\x1a\n"
        + block(b"IHDR", head)
        + more
        + block(b"IDAT", pixels)
        + block(b"IEND", b"")
    )


def _jpeg(width: int, height: int, *, scans: int = 0, **options: object) -> bytes:
    """Return a JPEG that states a size, of which it has few pixels; its last scan comes again."""
    data = saved(PILImage.new("RGB", (16, 16), (90, 160, 30)), "JPEG", **options)
    if scans:
        starts = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
        last = data[starts[-1] : -2]
        data = data[:-2] + last * scans + data[-2:]
    frame = next(
        data.index(bytes((0xFF, kind))) for kind in (0xC2, 0xC0) if bytes((0xFF, kind)) in data
    )
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def _gif(width: int, height: int, more: bytes = b"") -> bytes:
    data = saved(PILImage.new("P", (8, 8)), "GIF")
    at = data.index(b",")
    sides = struct.pack("<HH", width, height)
    return data[:6] + sides + data[10:at] + more + data[at : at + 5] + sides + data[at + 9 :]


def _tiff(entries: dict[int, tuple[int, int, int]], rest: bytes = b"") -> bytes:
    base = {
        256: (4, 1, 16),
        257: (4, 1, 16),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        277: (3, 1, 1),
        278: (4, 1, 16),
        273: (4, 1, 8),
        279: (4, 1, 256),
    }
    tags = base | entries
    data = struct.pack("<4sIH", b"II*\0", 8, len(tags))
    data += b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    return data + bytes(4) + rest


def _bmp(width: int, height: int, body: bytes, *, compression: int, bits: int) -> bytes:
    head = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, 0, 0
    )
    at = 14 + len(head) + 4 * (1 << bits if bits <= 8 else 0)
    return b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at) + head + bytes(at - 54) + body


def _resized(kind: str, width: int, height: int) -> bytes:
    data = next(data for data in small_pictures() if data[8:12] == kind.encode())
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def _flat(kind: str, width: int, height: int, **options: object) -> bytes:
    return saved(PILImage.new("RGB", (width, height)), kind, **options)


_TEXT = b"comment\0\0" + _zeros(1 << 28)
BOMBS: dict[str, Callable[[], bytes]] = {
    "a BigTIFF offset of 2^63": lambda: b"II+\0\x08\0\0\0" + b"\xff" * 8,
    "JPEG, 499 scans of 49 megapixels": lambda: _jpeg(7000, 7000, scans=489, progressive=True),
    "JPEG, 32 scans of 49 megapixels": lambda: _jpeg(7000, 7000, scans=22, progressive=True),
    "JPEG, 499 scans of 3 megapixels": lambda: _jpeg(1800, 1700, scans=489, progressive=True),
    "JPEG, 49 megapixels that are not there": lambda: _jpeg(7000, 7000),
    "JPEG, a column of 65,535": lambda: _jpeg(1, 65_535),
    "JPEG, 4,290 megapixels": lambda: _jpeg(65_500, 65_500),
    "JPEG, 200,000 empty blocks": lambda: (
        _jpeg(8, 8)[:2] + b"\xff\xe1\0\x02" * 200_000 + _jpeg(8, 8)[2:]
    ),
    "JPEG, CMYK with 40 EXIF blocks": lambda: (
        _jpeg(8, 8)[:2] + (b"\xff\xe1\xff\xff" + b"Exif\0\0" + bytes(65_527)) * 40 + _jpeg(8, 8)[2:]
    ),
    "PNG, 1 x 50,000,000": lambda: _png(1, 50_000_000, 1, 0),
    "PNG, 50,000,000 x 1": lambda: _png(50_000_000, 1, 1, 0),
    "PNG, 195,000 x 256": lambda: _png(195_000, 256, 8, 2),
    "PNG, 256 x 195,000": lambda: _png(256, 195_000, 8, 2),
    "PNG, 49 megapixels": lambda: _png(7000, 7000, 8, 2),
    "PNG, 49 megapixels with 16-bit colours and alpha": lambda: _png(7000, 7000, 16, 6),
    "PNG, 49 megapixels of 16-bit grey": lambda: _png(7000, 7000, 16, 0),
    "PNG, 49 megapixels of 1 bit": lambda: _png(7000, 7000, 1, 0),
    "PNG, 49 megapixels in 7 passes": lambda: _png(7000, 7000, 8, 2, lace=1),
    "PNG, 900 megapixels": lambda: _png(30_000, 30_000, 1, 0),
    "PNG, 2^31 - 1 on a side": lambda: _png(2**31 - 1, 1, 1, 0)[:200],
    "PNG, 4 pixels of 256 MB": lambda: (
        b"\x89PNG\r\n\x1a\n"
        + block(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0))
        + block(b"IDAT", _zeros(1 << 28))
        + block(b"IEND", b"")
    ),
    "PNG, 8 texts of 256 MB": lambda: _png(4, 4, 8, 2, more=8 * block(b"zTXt", _TEXT)),
    "PNG, a profile of 256 MB": lambda: _png(4, 4, 8, 2, more=block(b"iCCP", _TEXT)),
    "PNG, an international text of 256 MB": lambda: _png(
        4, 4, 8, 2, more=block(b"iTXt", b"a\0\1\0\0\0" + _zeros(1 << 28))
    ),
    "PNG, 150,000 empty blocks": lambda: _png(4, 4, 8, 2, more=150_000 * block(b"teSt", b"")),
    "PNG, 150,000 empty IDAT": lambda: _png(4, 4, 8, 2, more=150_000 * block(b"IDAT", b"")),
    "PNG, a million frames": lambda: _png(
        4, 4, 8, 2, more=block(b"acTL", struct.pack(">II", 1_000_000, 0))
    ),
    "PNG, a block of 2^32 - 1": lambda: _png(4, 4, 8, 2, more=b"\xff\xff\xff\xffteSt"),
    "GIF, 49 megapixels": lambda: _gif(7000, 7000),
    "GIF, 4,290 megapixels": lambda: _gif(65_535, 65_535),
    "GIF, a frame larger than its canvas": lambda: _gif(8, 8).replace(
        b",\0\0\0\0\x08\0\x08\0", b",\0\0\0\0\xff\xff\xff\xff"
    ),
    "GIF, a comment of a million pieces": lambda: _gif(
        8, 8, b"!\xfe" + b"\x01a" * 1_000_000 + b"\0"
    ),
    "GIF, 500,000 empty extensions": lambda: _gif(8, 8, b"!\xfe\0" * 500_000),
    "GIF, 2,000 frames": lambda: saved(
        PILImage.new("P", (4, 4)),
        "GIF",
        save_all=True,
        append_images=[PILImage.new("P", (4, 4), i % 256) for i in range(2000)],
    ),
    "WebP, 12 megapixels": lambda: _flat("WEBP", 4000, 3000, method=0),
    "WebP, 12 megapixels without loss": lambda: _flat(
        "WEBP", 4000, 3000, lossless=True, method=0, quality=0
    ),
    "WebP, 268 megapixels": lambda: b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2,
    "WebP, a canvas of 16 that holds 2,000": lambda: (
        lambda data: data[:24] + b"\x0f\0\0\x0f\0\0" + data[30:]
    )(_flat("WEBP", 2000, 2000, exif=b"Exif\0\0")),
    "AVIF, 12 megapixels": lambda: _flat("AVIF", 4000, 3000, speed=10),
    "AVIF, 16 x 16 by its boxes, 2,000 x 2,000 inside": lambda: (
        lambda data: (lambda at: data[:at] + struct.pack(">II", 16, 16) + data[at + 8 :])(
            data.index(b"ispe") + 8
        )
    )(_flat("AVIF", 2000, 2000, speed=10)),
    "AVIF, 3,600 megapixels by its boxes": lambda: _resized("avif", 60_000, 60_000),
    "HEIC, 3,600 megapixels by its boxes": lambda: _resized("heic", 60_000, 60_000),
    "HEIC, 7,000 x 7,000 by its boxes, 64 x 64 inside": lambda: _resized("heic", 7000, 7000),
    "boxes that hold themselves": lambda: (
        b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + b"\0\0\0\x0cmeta\0\0\0\0" * 100_000
    ),
    "TIFF, entries that share 2 MB": lambda: _tiff(
        {40_000 + i: (7, 2_000_000, 40_000) for i in range(3000)}, bytes(2_000_000)
    ),
    "TIFF, 65,000 entries": lambda: _tiff({500 + i: (3, 1, 0) for i in range(65_000)}),
    "TIFF, a tile of 40,000 x 40,000": lambda: _tiff(
        {
            259: (3, 1, 8),
            322: (4, 1, 40_000),
            323: (4, 1, 40_000),
            324: (4, 1, 300),
            325: (4, 1, 100),
        },
        bytes(600),
    ),
    "TIFF, tiles of a pixel": lambda: _tiff(
        {
            256: (4, 1, 1000),
            257: (4, 1, 1000),
            322: (4, 1, 1),
            323: (4, 1, 1),
            324: (3, 1_000_000, 200),
            325: (3, 1, 1),
        },
        bytes(2_500_000),
    ),
    "TIFF, 100,000 strips at one place": lambda: _tiff(
        {
            256: (4, 1, 1),
            257: (4, 1, 100_000),
            278: (4, 1, 1),
            273: (4, 100_000, 200),
            279: (4, 100_000, 200),
        },
        b"\x08\0\0\0" * 200_000,
    ),
    "TIFF, 49 megapixels of LZW that are not there": lambda: _tiff(
        {
            256: (4, 1, 7000),
            257: (4, 1, 7000),
            278: (4, 1, 7000),
            259: (3, 1, 5),
            279: (4, 1, 200),
            273: (4, 1, 300),
        },
        bytes(400),
    ),
    "TIFF, 49 megapixels in a deflated strip": lambda: (
        lambda z: _tiff(
            {
                256: (4, 1, 7000),
                257: (4, 1, 7000),
                278: (4, 1, 7000),
                259: (3, 1, 8),
                279: (4, 1, len(z)),
                273: (4, 1, 122),
            },
            z,
        )
    )(_zeros(49_000_000)),
    "TIFF, 4 GB in a deflated strip of 256 pixels": lambda: (
        lambda z: _tiff({259: (3, 1, 8), 279: (4, 1, len(z)), 273: (4, 1, 122)}, z)
    )(_zeros(1 << 31)),
    "TIFF, a directory that follows itself": lambda: _tiff({})[:-4] + b"\x08\0\0\0",
    "BMP, 49 megapixels of runs": lambda: _bmp(
        7000, 7000, (b"\xff\0" * 28 + b"\0\0") * 7000, compression=1, bits=8
    ),
    "BMP, 6 megapixels of 4-bit runs": lambda: _bmp(
        2500, 2450, b"\xff\x12" * 30_000, compression=2, bits=4
    ),
    "BMP, runs that set nothing": lambda: _bmp(
        8, 8, b"\x01\x05" * 1_000_000, compression=1, bits=8
    ),
    "BMP, 3,600 megapixels": lambda: _bmp(60_000, -60_000, b"", compression=0, bits=24),
    "BMP, 2^31 high": lambda: _bmp(1, -(2**31), b"", compression=0, bits=24),
}
