"""Objects that touch are set apart where masks number them, or where they are outlined."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.data.layouts import open_source
from foveal.data.masks.apart import lines_between, set_apart
from foveal.data.masks.file import MaskFile
from foveal.data.source import ReadAnything
from foveal.errors import DataError
from foveal.tasks.segment.components import find_components

OBJECTS = ReadAnything(target="mask", objects=True)


def numbered(*rows: str) -> np.ndarray:
    return np.array([[int(c) for c in row] for row in rows], np.uint8)


def test_the_larger_number_gives_up_its_pixels() -> None:
    ids = numbered("1122", "1122", "0000", "3300")
    assert set_apart(MaskFile(ids)).values.tolist() == [
        [1, 1, 0, 1],
        [1, 1, 0, 1],
        [0, 0, 0, 0],
        [1, 1, 0, 0],
    ]


def test_objects_that_touch_at_a_corner_are_apart_too() -> None:
    for ids in (numbered("1100", "0022"), numbered("0011", "2200")):
        apart = set_apart(MaskFile(ids)).values == 1
        assert len(find_components(apart, diagonal=True).areas) == 2


def test_any_map_of_numbers_has_as_many_patches_as_objects_are_left() -> None:
    rng = np.random.default_rng(0)
    ids = np.kron(rng.integers(0, 400, (20, 20)), np.ones((5, 5), np.int64))
    kept = (ids != 0) & ~lines_between(ids)
    patches = find_components(kept, diagonal=True)
    first = ids[patches.row, patches.start]
    for run, start, end, number in zip(patches.row, patches.start, patches.end, first, strict=True):
        assert (ids[run, start:end] == number).all()


def test_colours_are_objects_and_other_classes_keep_their_pixels() -> None:
    colors = np.zeros((1, 4, 3), np.uint8)
    colors[0, :2], colors[0, 2:] = (0, 0, 9), (200, 1, 0)
    assert set_apart(MaskFile(colors)).values.tolist() == [[1, 1, 0, 1]]
    ids = numbered("1122")
    assert not lines_between(ids, numbered("1122")).any()


def save(folder: Path, name: str, mask: np.ndarray) -> None:
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(np.zeros((*mask.shape, 3), np.uint8)).save(folder / "images" / name)
    PILImage.fromarray(mask).save(folder / "masks" / name)


def test_masks_of_numbers_are_read_as_objects_on_request(tmp_path: Path) -> None:
    ids = np.arange(600, dtype=np.uint16).reshape(20, 30).repeat(4, 0).repeat(4, 1)
    save(tmp_path, "a.png", ids)
    with pytest.raises(DataError) as raised:
        open_source(tmp_path, ReadAnything(target="mask"))
    assert "task_options.instances=objects" in (raised.value.hint or "")
    source = open_source(tmp_path, OBJECTS)
    assert source.classes == ("background", "foreground")
    mask = source.mask(source.samples[0])
    assert len(find_components(mask == 1, diagonal=True).areas) == 599


def test_a_names_file_names_the_objects(tmp_path: Path) -> None:
    save(tmp_path, "a.png", numbered("1122", "1122"))
    (tmp_path / "classes.txt").write_text("background\nnucleus\n")
    assert open_source(tmp_path, OBJECTS).classes == ("background", "nucleus")


def test_outlines_that_touch_are_apart_on_request(tmp_path: Path) -> None:
    PILImage.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / "a.jpg")
    squares = [[[1, 1], [5, 1], [5, 7], [1, 7]], [[5, 1], [11, 1], [11, 7], [5, 7]]]
    shapes = [{"label": "cell", "shape_type": "polygon", "points": points} for points in squares]
    drawing = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": 8, "imageWidth": 12}
    (tmp_path / "a.json").write_text(json.dumps(drawing))
    for options, expected in ((ReadAnything(target="mask"), [60]), (OBJECTS, [24, 30])):
        source = open_source(tmp_path, options)
        patches = find_components(source.mask(source.samples[0]) == 1, diagonal=True)
        assert patches.areas.tolist() == expected
