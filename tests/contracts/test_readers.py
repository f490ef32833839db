"""Every reader keeps the contract: found by itself, unique ids, loadable, light, deterministic."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.readers import READERS, Place
from foveal.data.source import ReadAnything
from foveal.data.storage import LocalStorage
from foveal.recipe import SETTINGS

DrawFolder = Callable[..., Path]
LIMITS = DecodeLimits(max_bytes=1_000_000, max_pixels=1_000_000)
# These layouts are looked for where the labels are texts, or masks.
OPTIONS = {
    "text": ReadAnything(target="text"),
    "names": ReadAnything(target="text"),
    "masks": ReadAnything(target="mask"),
    "polygons": ReadAnything(target="mask"),
}
# What is always said: the mapping of masks is found, so its outcome is shown.
ALWAYS_SAID = {"masks": ["masks.classes"]}


def lay_out(name: str, root: Path, draw_folder: DrawFolder) -> Path:
    """Write data of a layout and return its location."""
    if name == "folders":
        return draw_folder(root, n=3)
    if name == "table":
        draw_folder(root, n=3)
        rows = [f"{c}/{i}.png,{c}" for c in ("circle", "square") for i in range(3)]
        (root / "labels.csv").write_text("\n".join(["image,label", *rows]) + "\n")
        return root
    if name == "metadata":
        draw_folder(root, n=3)
        rows = [
            {"file_name": f"{c}/{i}.png", "label": c}
            for c in ("circle", "square")
            for i in range(3)
        ]
        (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        return root
    if name == "text":
        draw_folder(root, n=3)
        rows = [f"{c}/{i}.png\tNo {i}" for c in ("circle", "square") for i in range(3)]
        (root / "labels.txt").write_text("\n".join(rows) + "\n")
        return root
    if name == "arrays":
        root.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
        np.savez(root / "data.npz", x=pixels, y=np.array(["circle", "square"] * 3))
        return root
    if name == "parquet":
        draw_folder(root, n=3)
        pictures = sorted(root.glob("*/*.png"))
        files = {"image": [p.read_bytes() for p in pictures], "label": ["a", "b"] * 3}
        pyarrow.parquet.write_table(pyarrow.table(files), root / "data.parquet")
        shutil.rmtree(root / "circle")
        shutil.rmtree(root / "square")
        return root
    if name == "masks":
        draw_folder(root, classes=("circle", "square"), n=3)
        for folder in ("images", "masks"):
            (root / folder).mkdir()
        for i, picture in enumerate(sorted(root.glob("*/*.png"))):
            picture.rename(root / "images" / f"{i}.png")
            drawn = np.zeros((16, 16), np.uint8)
            drawn[: 1 + i] = 255
            PILImage.fromarray(drawn).save(root / "masks" / f"{i}.png")
        return root
    if name == "polygons":
        draw_folder(root, n=3)
        for picture in root.glob("*/*.png"):
            shape = {"label": "cell", "points": [[2, 2], [9, 2], [9, 9]], "shape_type": "polygon"}
            content = {"shapes": [shape], "imageHeight": 16, "imageWidth": 16}
            picture.with_suffix(".json").write_text(json.dumps(content))
        return root
    if name in ("names", "files"):
        return draw_folder(root, n=6) / "circle"
    raise AssertionError(f"this contract does not know how to write the layout {name!r}")


@pytest.fixture(params=list(READERS))
def laid_out(
    request: pytest.FixtureRequest, tmp_path: Path, draw_folder: DrawFolder
) -> tuple[str, Path]:
    return request.param, lay_out(request.param, tmp_path / "data", draw_folder)


def test_a_layout_is_found_without_being_told(laid_out: tuple[str, Path]) -> None:
    name, location = laid_out
    options = OPTIONS.get(name, ReadAnything())
    found = open_source(location, options)
    told = open_source(location, replace(options, layout=name))
    assert found.layout == told.layout
    assert found.samples == told.samples


def test_a_reader_is_registered_under_its_name(laid_out: tuple[str, Path]) -> None:
    name, _ = laid_out
    assert READERS[name].name == name
    assert READERS[name].expects


def test_ids_are_unique_and_in_a_fixed_order(laid_out: tuple[str, Path]) -> None:
    name, location = laid_out
    first, second = (open_source(location, OPTIONS.get(name)) for _ in range(2))
    ids = [sample.id for sample in first.samples]
    assert len(set(ids)) == len(ids) == 6
    assert first.samples == second.samples


def test_every_sample_loads_to_a_picture_and_a_digest(laid_out: tuple[str, Path]) -> None:
    name, location = laid_out
    source = open_source(location, OPTIONS.get(name))
    for sample in source.samples:
        loaded = source.load(sample, LIMITS, (4, 4))
        assert loaded.picture.pixels.dtype == np.uint8
        assert loaded.picture.pixels.shape[2] == 3
        assert len(loaded.digest) == 16
        assert loaded.digest == source.load(sample, LIMITS).digest


def test_the_source_says_what_it_is_in_words(laid_out: tuple[str, Path]) -> None:
    name, location = laid_out
    source = open_source(location, OPTIONS.get(name))
    assert source.location == str(location)
    assert source.layout.startswith("6 pictures")
    assert [found.id for found in source.findings] == ALWAYS_SAID.get(name, [])


def test_samples_are_light(laid_out: tuple[str, Path]) -> None:
    name, location = laid_out
    sample = open_source(location, OPTIONS.get(name)).samples[0]
    assert not hasattr(sample, "__dict__")
    assert sys.getsizeof(sample) + sys.getsizeof(sample.id) < 250


def test_a_folder_of_something_else_is_not_recognised(
    laid_out: tuple[str, Path], tmp_path: Path
) -> None:
    name, _ = laid_out
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("nothing to see")
    storage = LocalStorage(other)
    options = ReadAnything(layout=name)
    assert READERS[name].read(Place(storage), options) is None
    assert READERS[name].read(Place(storage, "notes.txt"), options) is None


def test_the_recipe_knows_every_layout() -> None:
    assert set(get_args(SETTINGS["data.layout"].kind)) == {"auto", *READERS}
