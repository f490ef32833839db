"""The app decodes and resizes pictures to the very pixels that foveal gets."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage
from webcalls import Call, raster

from foveal.data.decode import DecodeLimits, decode
from foveal.pipeline import Pipeline
from foveal.resample import noise
from foveal.types import Picture

VECTORS = Path(__file__).parents[2] / "vectors"
LIMITS = DecodeLimits(10**9, 10**9)


def digest(pixels: NDArray[np.uint8]) -> list[Any]:
    return [*pixels.shape[:2], hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()]


def drawn(rng: np.random.Generator, height: int, width: int) -> PILImage.Image:
    """Return smooth colours with an edge, and some noise."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(x / (5 + c) + y / (9 - c) + c) for c in range(3)]
    pixels = np.stack(waves, axis=2) + rng.normal(0, 12, (height, width, 3))
    pixels[height // 3 :, : width // 2, 1] = 240
    return PILImage.fromarray(pixels.clip(0, 255).astype(np.uint8))


def jpegs(folder: Path) -> Iterator[Path]:
    rng = np.random.default_rng(1)
    sizes = [(1, 1), (3, 2), (17, 5), (8, 16), (33, 70), (211, 130), (350, 611)]
    for i, ((height, width), sampling) in enumerate(product(sizes, (0, 1, 2))):
        options: dict[str, Any] = {"quality": 30 + 3 * i, "subsampling": sampling}
        if i % 4 == 3:
            options["restart_marker_blocks"] = 2
        if i % 3 == 0:
            exif = PILImage.Exif()
            exif[0x0112] = 1 + i % 8
            options["exif"] = exif
        image = drawn(rng, height, width)
        for progressive in (False, True):
            path = folder / f"{i}-{progressive}.jpg"
            image.save(path, progressive=progressive, optimize=progressive, **options)
            yield path
    grey = folder / "grey.jpg"
    drawn(rng, 90, 61).convert("L").save(grey)
    yield grey


def pngs(folder: Path) -> Iterator[Path]:
    rng = np.random.default_rng(2)
    image = drawn(rng, 37, 53)
    alpha = PILImage.fromarray(rng.integers(0, 256, (37, 53), np.uint8))
    pictures: dict[str, tuple[PILImage.Image, dict[str, Any]]] = {
        "rgb": (image, {}),
        "rgb-clear": (image, {"transparency": image.getpixel((3, 4))}),
        "grey": (image.convert("L"), {}),
        "grey-clear": (image.convert("L"), {"transparency": 240}),
        "bits": (image.convert("1"), {}),
        "palette": (image.convert("P"), {"transparency": 7}),
        "sixteen": (image.quantize(16), {"bits": 4}),
        "deep": (PILImage.fromarray(rng.integers(0, 65536, (37, 53), np.uint16)), {}),
    }
    for mode in ("RGBA", "LA"):
        with_alpha = image.convert(mode)
        with_alpha.putalpha(alpha)
        pictures[mode] = with_alpha, {}
    for name, (picture, options) in pictures.items():
        path = folder / f"{name}.png"
        picture.save(path, **options)
        yield path


@pytest.mark.parametrize("make", [jpegs, pngs])
def test_every_kind_of_file_becomes_the_same_model_input(
    make: Any, call: Call, tmp_path: Path
) -> None:
    paths = list(make(tmp_path))
    fits = [Pipeline(24, 40, "pad"), Pipeline(9, 13, "crop"), Pipeline(31, 7, "stretch")]
    fits.append(Pipeline(12, 4096, "line"))
    calls, expected = [], []
    for i, path in enumerate(paths):
        pipeline = fits[i % len(fits)]
        picture = decode(path.read_bytes(), LIMITS, min_size=pipeline.decode_size)
        pixels, _ = pipeline.apply(picture)
        calls.append({"call": "prepare", "path": str(path), "pipeline": pipeline.to_json()})
        expected.append((path.name, digest(picture.pixels), digest(pixels)))
    said = call(calls)
    found = [(path.name, s["decoded"], s["input"]) for path, s in zip(paths, said, strict=True)]
    assert found == expected


def test_pictures_of_any_size_are_resized_to_the_same_bits(call: Call) -> None:
    rng = np.random.default_rng(3)
    calls, expected = [], []
    for _ in range(80):
        height, width = rng.integers(1, 120, 2)
        new_h, new_w = (int(n) for n in rng.integers(1, 60, 2))
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        pipeline = Pipeline(new_h, new_w, "stretch")
        expected.append(digest(pipeline.apply(Picture.from_array(pixels))[0]))
        calls.append({"call": "resize", "pixels": raster(pixels), "height": new_h, "width": new_w})
    assert call(calls) == expected


def test_a_file_that_is_cut_off_is_left_to_the_browser(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    drawn(np.random.default_rng(4), 64, 64).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(AssertionError, match="not read here"):
        call([{"call": "decode", "path": str(path)}])


def test_the_vectors_that_every_language_is_held_to_are_kept(call: Call, tmp_path: Path) -> None:
    vectors = json.loads((VECTORS / "resample.json").read_text())
    calls, expected = [], []
    for vector in vectors["resize"]:
        pixels = noise(vector["seed"], vector["height"], vector["width"])
        if vector.get("stark"):
            pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
        height, width = vector["to"]
        calls.append({"call": "resize", "pixels": raster(pixels), "height": height, "width": width})
        expected.append([*vector["size"], vector["sha256"]])
    for i, vector in enumerate(json.loads((VECTORS / "decode.json").read_text())["decode"]):
        path = tmp_path / str(i)
        path.write_bytes(base64.b64decode(vector["file"]))
        calls.append({"call": "decode", "path": str(path), "least": vector["min_size"]})
        expected.append([*vector["size"], vector["sha256"]])
    assert call(calls) == expected
