"""Write `resample.json` and `decode.json`: what any implementation of the pre-processing must give.

    python tests/vectors/make.py

`resample.json` is made by the definition, not by Pillow. `README.md` explains both.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal import resample
from foveal.data.decode import DEFAULT_LIMITS, decode
from foveal.pipeline import Fit, Pipeline
from foveal.resample import Span, noise, resized, windowed
from foveal.types import Image, Picture

HERE = Path(__file__).parent
# Results of at most this many bytes are written out, so that a difference can be looked at.
WHOLE = 96
# (H, W) and what it becomes: each order of the passes, with and without cells, whole and partial.
SIZES = [
    ((1, 1), (3, 2)),
    ((1, 7), (1, 3)),
    ((7, 1), (3, 1)),
    ((2, 2), (1, 1)),
    ((5, 4), (2, 3)),
    ((4, 6), (9, 13)),
    ((40, 30), (16, 16)),
    ((30, 40), (16, 16)),
    ((64, 20), (20, 18)),
    ((64, 64), (64, 21)),
    ((64, 64), (21, 64)),
    ((61, 47), (10, 10)),
    ((97, 13), (5, 11)),
    ((13, 97), (11, 5)),
    ((100, 3), (1, 3)),
    ((3, 100), (3, 1)),
    ((90, 90), (10, 10)),
    ((91, 95), (10, 10)),
    ((150, 40), (7, 31)),
    ((40, 150), (31, 7)),
    ((1, 200), (1, 1)),
    ((131, 1), (2, 5)),
    ((57, 83), (120, 111)),
    ((120, 17), (45, 60)),
]
FITS: list[tuple[Fit, int, int]] = [
    ("pad", 24, 24),
    ("stretch", 24, 24),
    ("crop", 24, 24),
    ("pad", 17, 30),
    ("crop", 17, 30),
    ("line", 16, 640),
]
PICTURES = [(24, 24), (31, 50), (50, 31), (120, 90), (9, 14), (1, 40), (160, 21), (15, 90)]


def results() -> dict[str, Any]:
    """Return what stands in `resample.json`, computed by the resampling that is in use."""
    return {
        "noise": [
            _expected({"seed": seed, "height": h, "width": w}, noise(seed, h, w))
            for seed, h, w in ((0, 1, 4), (7, 23, 17))
        ],
        "resize": list(_resizes()),
        "fit": list(_fits()),
        "window": list(_windows()),
    }


def _resizes() -> Iterator[dict[str, Any]]:
    for seed, ((height, width), (rows, columns)) in enumerate(SIZES):
        case = {"seed": seed, "height": height, "width": width, "to": [rows, columns]}
        yield _expected(case, resized(noise(seed, height, width), rows, columns))
        # Black and white: sums at the ends of the range, and halves that must be rounded up.
        stark = ((noise(seed, height, width) > 127) * np.uint8(255)).astype(np.uint8)
        yield _expected({**case, "stark": True}, resized(stark, rows, columns))


def _fits() -> Iterator[dict[str, Any]]:
    for seed, size in enumerate(PICTURES):
        for fit, height, width in FITS:
            pipeline = Pipeline(height, width, fit, (10, 200, 90), width_step=32)
            pixels, _ = pipeline.apply(Picture.from_array(noise(seed, *size)))
            case = {"seed": seed, "height": size[0], "width": size[1]}
            yield _expected({**case, "pipeline": pipeline.to_json()}, pixels)


def _windows() -> Iterator[dict[str, Any]]:
    spans = [
        (Span(0.0, 30.0, 8), Span(0.0, 41.0, 11)),
        (Span(1.25, 20.5, 6), Span(0.5, 37.25, 12)),
        (Span(3.00390625, 27.0, 7), Span(2.0, 40.99609375, 10)),
    ]
    for seed, (rows, columns) in enumerate(spans):
        case = {"seed": seed, "height": 30, "width": 41, "rows": rows, "columns": columns}
        yield _expected(case, windowed(noise(seed, 30, 41), rows, columns))


def _expected(case: dict[str, Any], pixels: Image) -> dict[str, Any]:
    content = pixels.tobytes()
    whole = {"pixels": list(content)} if len(content) <= WHOLE else {}
    shape = {"size": [pixels.shape[0], pixels.shape[1]]}
    return {**case, **shape, "sha256": hashlib.sha256(content).hexdigest(), **whole}


def smooth(height: int, width: int) -> Image:
    """Return colours that change slowly, with an edge: what JPEG is made for."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 255 // width, y * 255 // height, (x + y) * 3 % 256)
    pixels = np.stack(channels, axis=2).astype(np.uint8)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 60)
    return pixels


def files() -> Iterator[tuple[str, bytes, tuple[int, int] | None]]:
    """Yield pictures: a name, the file, and the size that it will be scaled to."""
    for subsampling in ("444", "422", "420", "440", "411"):
        data = simplejpeg.encode_jpeg(smooth(37, 53), 90, colorsubsampling=subsampling)
        yield f"JPEG {subsampling}", data, None
    grey = np.ascontiguousarray(smooth(29, 31)[:, :, :1])
    yield "grey JPEG", simplejpeg.encode_jpeg(grey, 85, "GRAY", "Gray"), None
    yield "progressive JPEG", _saved(smooth(45, 33), "JPEG", progressive=True), None
    large = simplejpeg.encode_jpeg(smooth(131, 99), 90, colorsubsampling="420")
    for size in ((33, 24), (32, 25), (32, 24), (16, 12), (8, 6), (8, 7)):
        yield f"JPEG for {size[0]} x {size[1]}", large, size
    for orientation in range(1, 9):
        exif = PILImage.Exif()
        exif[0x0112] = orientation
        data = _saved(smooth(50, 37), "JPEG", exif=exif.tobytes(), quality=90)
        yield f"orientation {orientation}", data, (9, 12)
    data = _saved(smooth(11, 8), "PNG", exif=exif.tobytes())
    yield "PNG with orientation 8", data, None
    alpha = noise(3, 9, 12)[:, :, :1]
    yield "RGBA PNG", _saved(np.concatenate([smooth(9, 12), alpha], axis=2), "PNG"), None
    yield (
        "grey PNG with alpha",
        _saved(np.concatenate([smooth(9, 12)[:, :, :1], alpha], 2), "PNG"),
        None,
    )
    deep = (np.arange(0, 65_536, 397, dtype=np.uint16)[:160]).reshape(10, 16)
    yield "grey PNG of 16 bits", _saved(deep, "PNG"), None
    palette = PILImage.fromarray(smooth(20, 24)).quantize(16)
    stream = io.BytesIO()
    palette.save(stream, "PNG", transparency=bytes(range(0, 256, 16)))
    yield "PNG with a palette and alpha", stream.getvalue(), None
    stream = io.BytesIO()
    PILImage.fromarray(smooth(6, 6)).save(stream, "PNG", transparency=(250, 20, 60))
    yield "PNG with a transparent colour", stream.getvalue(), None


def _saved(pixels: NDArray[Any], kind: str, **options: Any) -> bytes:
    squeezed = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    stream = io.BytesIO()
    PILImage.fromarray(squeezed).save(stream, kind, **options)
    return stream.getvalue()


def decoded(case: dict[str, Any]) -> dict[str, Any]:
    """Return a case of `decode.json` with what the decoder gives."""
    size = case["min_size"]
    data = base64.b64decode(case["file"])
    picture = decode(data, DEFAULT_LIMITS, min_size=(size[0], size[1]) if size else None)
    original = {"original": [picture.height, picture.width]}
    return _expected({**case, **original}, picture.pixels)


def main() -> None:
    """Write both files."""
    with patch.object(resample, "_pillow_agrees", return_value=False):
        _write("resample.json", results())
    cases = [
        {"name": name, "min_size": size, "file": base64.b64encode(data).decode()}
        for name, data, size in files()
    ]
    _write("decode.json", {"decode": [decoded(case) for case in cases]})


def _write(name: str, document: dict[str, list[dict[str, Any]]]) -> None:
    # One line a case: readable, and small differences stay small.
    parts = [
        f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]"
        for key, cases in document.items()
    ]
    (HERE / name).write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
