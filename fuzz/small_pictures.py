"""Small pictures of every format and structure, to start fuzzing from."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

# Pictures that the tests keep or draw.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def small_pictures() -> Iterator[bytes]:
    """Yield pictures of some hundred bytes, each read in another way than those before."""
    from heic import HEIC

    rng = np.random.default_rng(0)
    image = PILImage.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8))
    grey, palette = image.convert("L"), image.quantize(4)
    deep = PILImage.fromarray(rng.integers(0, 65536, (9, 11)).astype(np.uint16))
    clear = image.convert("RGBA")
    exif = PILImage.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()
    yield saved(image, "JPEG", exif=block)
    yield saved(image, "JPEG", progressive=True)
    yield saved(grey, "JPEG", restart_marker_rows=1)
    yield saved(image.convert("CMYK"), "JPEG")
    yield saved(image, "PNG", exif=block)
    yield saved(palette, "PNG", transparency=1)
    yield saved(deep, "PNG")
    yield saved(clear, "PNG")
    yield saved(grey.convert("1"), "PNG")
    yield saved(image, "WEBP", exif=block)
    yield saved(clear, "WEBP", lossless=True)
    yield saved(image, "WEBP", save_all=True, append_images=[image.rotate(90)])
    yield saved(image, "AVIF", exif=block)
    yield saved(palette, "GIF", transparency=1, comment=b"a comment")
    yield saved(palette, "GIF", save_all=True, append_images=[image.rotate(90).quantize(4)])
    yield saved(image, "BMP")
    yield saved(palette, "BMP")
    yield from tiffs()
    yield HEIC


def tiffs() -> Iterator[bytes]:
    """Yield TIFF files of every layout and compression that is read."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 36, 3), np.uint8)
    for options in (
        {},
        {"rowsperstrip": 3, "bigtiff": True},
        {"rowsperstrip": 3, "compression": "lzw", "predictor": True, "byteorder": ">"},
        {"tile": (16, 16), "compression": "deflate"},
        {"tile": (16, 16), "compression": "jpeg"},
        {"tile": (16, 16), "compression": "jpeg2000"},
        {"tile": (16, 16), "compression": "webp"},
        {"tile": (16, 16), "compression": "zstd"},
        {"tile": (16, 16), "compression": "packbits"},
        {"extratags": [(274, 3, 1, 6, True)], "description": "upright"},
    ):
        yield _tiff(pixels, photometric="rgb", **options)
    yield _tiff(pixels.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate")
    yield _tiff(pixels[:, :, 0] > 128, photometric="minisblack")
    yield _tiff(pixels[:, :, 0].astype(np.uint16), photometric="miniswhite")
    colors = rng.integers(0, 65536, (3, 256)).astype(np.uint16)
    yield _tiff(pixels[:, :, 0], photometric="palette", colormap=colors)
    yield _tiff(pixels[:, :, :2], photometric="minisblack", extrasamples=["unassalpha"])
    bits = PILImage.fromarray(pixels[:, :, 0] > 128)
    yield saved(bits, "TIFF", compression="group4")


def _tiff(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    import tifffile

    file = io.BytesIO()
    order, big = options.pop("byteorder", None), options.pop("bigtiff", False)
    with tifffile.TiffWriter(file, byteorder=order, bigtiff=big) as writer:
        writer.write(pixels, **options)
    return file.getvalue()


def saved(image: PILImage.Image, kind: str, **options: Any) -> bytes:
    """Return the bytes of a picture's file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
