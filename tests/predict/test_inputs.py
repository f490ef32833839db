"""What can be handed over as a picture, or as several."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage

import foveal
from foveal.bundle import Bundle
from foveal.errors import DataError, ImageError, UsageError
from foveal.predict.in_memory import array_pixels
from foveal.predict.inputs import is_one, read_each, read_one
from foveal.types import Picture

RED = np.full((4, 6, 3), (200, 0, 0), np.uint8)


def png(pixels: np.ndarray = RED) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("array", "first"),
    [
        (np.full((2, 3), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 1), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 3), (1, 2, 3), np.uint8), (1, 2, 3)),
        (np.full((2, 3, 4), (1, 2, 3, 255), np.uint8), (1, 2, 3)),
        # Transparent is white, as in a file.
        (np.full((2, 3, 4), (1, 2, 3, 0), np.uint8), (255, 255, 255)),
        (np.full((2, 3, 3), (0.0, 0.5, 1.0)), (0, 128, 255)),
        (np.full((2, 3), 0.2, np.float32), (51, 51, 51)),
        (np.full((2, 3), True), (255, 255, 255)),
        (np.full((2, 3), 9, np.int64), (9, 9, 9)),
        (np.full((2, 3), 200, np.uint16), (200, 200, 200)),
        (np.full((2, 3), 65_535, np.uint16), (255, 255, 255)),
    ],
)
def test_arrays_of_every_kind_become_rgb(array: np.ndarray, first: tuple[int, ...]) -> None:
    pixels = array_pixels(array)
    assert (pixels.shape, pixels.dtype) == ((2, 3, 3), np.uint8)
    assert tuple(pixels[0, 0]) == first


@pytest.mark.parametrize(
    ("array", "message", "hint"),
    [
        (np.zeros((3, 8, 8)), r"Received: \(3, 8, 8\) float64", "transpose"),
        (np.zeros((5, 8, 8)), r"Received: \(5, 8, 8\)", "list of arrays"),
        (np.zeros(8), r"Received: \(8,\)", "list of arrays"),
        (np.zeros((0, 8)), r"Received: \(0, 8\)", "list of arrays"),
        (np.full((2, 2), 200.0), r"floats in \[0, 1\]. Received: values from 200 to 200", "uint8"),
        (np.full((2, 2), -1.0), "values from -1 to -1", "scale"),
        (np.full((2, 2), np.nan), "values from nan", "scale"),
        (np.full((2, 2), 256), r"whole numbers in \[0, 255\]", "scale"),
        (np.full((2, 2), 1j), "array of numbers. Received: complex128", None),
    ],
)
def test_other_arrays_are_refused_in_one_line(
    array: np.ndarray, message: str, hint: str | None
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        array_pixels(array)
    assert (hint or "") in (caught.value.hint or "")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path,
        str,
        lambda path: path.read_bytes(),
        lambda path: bytearray(path.read_bytes()),
        lambda path: memoryview(path.read_bytes()),
        lambda path: io.BytesIO(path.read_bytes()),
        lambda path: path.open("rb"),
        PILImage.open,
        lambda path: np.asarray(PILImage.open(path)),
        lambda path: Tensor(np.asarray(PILImage.open(path))),
    ],
    ids=[
        "path",
        "str",
        "bytes",
        "bytearray",
        "view",
        "memory",
        "file",
        "pillow",
        "array",
        "tensor",
    ],
)
def test_one_picture_is_one(make: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(png())
    picture = make(path)
    assert is_one(picture)
    given = read_one(picture)
    assert given.source in (str(path), "picture")
    if isinstance(given.content, Picture):
        assert np.array_equal(given.content.pixels, RED)
    else:
        assert given.content in (str(path), png())
    if hasattr(picture, "close"):
        picture.close()


class Tensor:
    """What other libraries have in place of an array."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values


def test_tensors_that_do_not_convert_by_themselves_are_arrays() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(RED / 255)
    for given in (tensor.bfloat16(), tensor.clone().requires_grad_()):
        content = read_one(given).content
        assert isinstance(content, Picture)
        assert np.array_equal(content.pixels, RED)


def test_a_file_opened_as_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(png())
    with path.open(encoding="utf-8") as file, pytest.raises(UsageError, match="binary") as caught:
        read_one(file)
    assert caught.value.hint == 'open(path, "rb")'


def test_a_table_is_read_by_one_column() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"path": ["a.png", "b.png"], "label": ["a", "b"]})
    for given in (table["path"], table[["path"]]):
        assert [each.source for each in read_each(given)] == ["a.png", "b.png"]
    with pytest.raises(UsageError, match=r"columns: path, label\.") as caught:
        list(read_each(table))
    assert caught.value.hint == "table['path']"


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "4"])
def test_batches_hold_at_least_one_picture(tiny_bundle: Bundle, batch_size: Any) -> None:
    model = foveal.Model(tiny_bundle.path)
    message = rf"Invalid batch_size. Expected a whole number >= 1. Received: {batch_size!r}\."
    for predict in (model.predict, model.predict_proba):
        with pytest.raises(UsageError, match=message):
            predict([RED], batch_size=batch_size)
    with pytest.raises(UsageError, match=message):
        model.predict_on("ray:local", [RED], "answers", batch_size=batch_size)


def test_lists_folders_globs_and_what_lies_in_them_are_several(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.jpg"):
        (tmp_path / name).write_bytes(png())
    paths = [str(tmp_path / name) for name in ("a.png", "b.png", "c.jpg")]

    def sources(pictures: Any) -> list[str]:
        assert not is_one(pictures)
        return [given.source for given in read_each(pictures)]

    assert sources(tmp_path) == paths
    assert sources(str(tmp_path / "*.png")) == paths[:2]
    assert sources([paths[1], paths[0]]) == [paths[1], paths[0]]
    assert sources(path for path in paths) == paths
    assert sources([tmp_path, [paths[0], RED]]) == [*paths, paths[0], "picture 4"]
    assert sources(np.array(paths)) == paths
    assert sources(np.array(paths, object)) == paths
    assert sources(np.stack([RED, RED])) == ["picture 0", "picture 1"]
    assert sources([]) == []


def test_an_empty_string_is_a_picture_that_cannot_be_read() -> None:
    assert is_one("")
    assert [given.source for given in read_each(["", "a.png"])] == ["", "a.png"]


def test_a_string_is_never_read_letter_by_letter() -> None:
    assert is_one("photos/cat.jpg")
    assert [given.source for given in read_each("photos/cat.jpg")] == ["photos/cat.jpg"]


@pytest.mark.parametrize("value", [None, 3, {"image": "a.png"}, object()])
def test_anything_else_is_refused_with_what_is_expected(value: object) -> None:
    with pytest.raises(UsageError, match=r"Expected a path, the bytes .* Received: "):
        list(read_each([value]))


def test_a_picture_may_be_named_as_data_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "red.png"
    path.write_bytes(png())
    for name in (f"file://{path}", "~/red.png"):
        assert is_one(name)
        assert [given.content for given in (read_one(name), *read_each([name]))] == [str(path)] * 2
    assert [given.content for given in read_each(f"file://{tmp_path}")] == [str(path)]


def test_an_image_is_turned_upright_like_its_file(tmp_path: Path) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = 6  # To be turned by a quarter.
    PILImage.fromarray(RED).save(tmp_path / "turned.jpg", exif=exif)
    with PILImage.open(tmp_path / "turned.jpg") as image:
        content = read_one(image).content
    assert isinstance(content, Picture)
    assert content.pixels.shape == (6, 4, 3)


@pytest.mark.parametrize("orientation", [1, 3])
def test_an_image_of_a_deep_tiff_in_which_0_is_white_is_not_a_negative(orientation: int) -> None:
    buffer = io.BytesIO()
    stored = PILImage.fromarray(np.array([[0, 65_535, 65_535]], np.uint16))
    stored.save(buffer, "TIFF", tiffinfo={262: 0, 274: orientation})
    with PILImage.open(buffer) as image:
        content = read_one(image).content
    assert isinstance(content, Picture)
    white_at_left = [[255, 0, 0]]
    upright = white_at_left if orientation == 1 else [white_at_left[0][::-1]]
    assert content.pixels[:, :, 0].tolist() == upright


def test_an_image_whose_file_is_damaged_is_refused() -> None:
    buffer = io.BytesIO()
    PILImage.fromarray(np.tile(RED, (20, 20, 1))).save(buffer, "JPEG")
    with (
        PILImage.open(io.BytesIO(buffer.getvalue()[:-100])) as image,
        pytest.raises(ImageError, match=r"The Pillow image cannot be decoded: .*truncated"),
    ):
        read_one(image)


def test_a_bad_image_among_others_is_an_error_of_its_own(tiny_bundle: Bundle) -> None:
    good, bad = PILImage.fromarray(RED), PILImage.new("F", (6, 4))
    first, second, third = foveal.Model(tiny_bundle.path)([good, bad, good])
    assert (first.error, third.error) == (None, None)
    assert second.source == "picture 1"
    assert "Floating-point pixels" in str(second.error)


def test_masks_in_a_folder_of_pictures_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("images/a.png", "masks/a.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(png())
    assert len(list(read_each(tmp_path / "images"))) == 1
    assert caplog.messages == []
    assert len(list(read_each(tmp_path))) == 2
    assert caplog.messages == [
        f"{tmp_path} contains pictures and masks (images, masks), and all of them are answered; "
        "give the folder of the pictures to leave out the masks"
    ]


def test_a_folder_that_cannot_be_listed_is_an_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(*_: object) -> list[Path]:
        raise FileNotFoundError(2, "No such file or directory", "/proc/1")

    monkeypatch.setattr(Path, "rglob", vanish)
    with pytest.raises(DataError, match=r"Cannot list the folder .*: No such file .*/proc/1"):
        list(read_each(tmp_path))
