"""Arrays of pictures and labels: found by their names, read row by row, never unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.source import Source
from foveal.errors import DataError, ImageError

LIMITS = DecodeLimits(max_bytes=1_000_000, max_pixels=1_000_000)


def pictures(count: int, *shape: int, dtype: type[np.generic] = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(count).integers(0, 256, (count, *shape)).astype(dtype)


def labels(source: Source) -> list[tuple[str, ...] | None]:
    return [sample.raw for sample in source.samples]


def pixels(source: Source, index: int) -> NDArray[np.uint8]:
    return source.load(source.samples[index], LIMITS).picture.pixels


def test_one_archive_with_a_split_is_read(tmp_path: Path) -> None:
    x_train, x_test = pictures(3, 4, 5, 3), pictures(2, 4, 5, 3)
    np.savez(tmp_path / "d.npz", x_train=x_train, y_train=[0, 1, 0], x_test=x_test, y_test=[1, 1])
    source = open_source(tmp_path / "d.npz")
    assert [(s.id, s.raw, s.split) for s in source.samples] == [
        ("x_train/0", ("0",), "train"),
        ("x_train/1", ("1",), "train"),
        ("x_train/2", ("0",), "train"),
        ("x_test/0", ("1",), "test"),
        ("x_test/1", ("1",), "test"),
    ]
    np.testing.assert_array_equal(pixels(source, 1), x_train[1])
    np.testing.assert_array_equal(pixels(source, 4), x_test[1])
    assert open_source(tmp_path).layout == (
        "5 pictures in d.npz with 2 labels, split as given (train 3, test 2)"
    )


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("images", "labels"),
        ("x", "y"),
        ("X", "Y"),
        ("data", "target"),
        ("train_images", "train_labels"),
        ("xtrain", "ytrain"),
        ("x-train", "y-train"),
        ("valid_images", "valid_labels"),
        ("x_validation", "y_validation"),
    ],
)
def test_pairs_go_by_many_names(tmp_path: Path, x: str, y: str) -> None:
    np.savez(tmp_path / "d.npz", **{x: pictures(2, 4, 4), y: np.array(["a", "b"])})
    source = open_source(tmp_path)
    assert labels(source) == [("a",), ("b",)]
    sides = {"train": "train", "valid": "val"}
    side = next((s for part, s in sides.items() if part in x), None)
    assert {s.split for s in source.samples} == {side}


def test_arrays_side_by_side_are_read(tmp_path: Path) -> None:
    x = pictures(2, 4, 4, 3)
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", np.array([b"cat", b"dog"]))
    for location in (tmp_path, tmp_path / "images.npy"):
        source = open_source(location)
        assert labels(source) == [("cat",), ("dog",)]
        np.testing.assert_array_equal(pixels(source, 1), x[1])


def test_packed_archives_are_read_too(tmp_path: Path) -> None:
    x = pictures(3, 4, 4)
    np.savez_compressed(tmp_path / "d.npz", x=x, y=[1, 2, 3])
    source = open_source(tmp_path)
    np.testing.assert_array_equal(pixels(source, 2)[:, :, 0], x[2])


GREY = np.array([[[0, 128, 255, 0, 128]]])


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (GREY.astype(np.uint8), "as it is"),
        (GREY.astype(np.uint8)[..., None], "one channel last"),
        (GREY.astype(np.uint8)[:, None].repeat(3, axis=1), "three channels first, as torch"),
        ((GREY * 257).astype(np.uint16), "16 bits"),
        (GREY.astype(np.int64), "whole numbers up to 255"),
        (GREY.astype(np.float32), "floating point up to 255"),
        ((GREY / 255).astype(np.float64), "shares of one"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numbers_become_pixels(tmp_path: Path, array: NDArray[Any], why: str) -> None:
    np.savez(tmp_path / "d.npz", x=array, y=[0])
    expected = np.array([[[v] * 3 for v in (0, 128, 255, 0, 128)]])
    np.testing.assert_array_equal(pixels(open_source(tmp_path), 0), expected)


def test_truth_values_are_black_and_white(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([[[False, True]]]), y=[0])
    assert pixels(open_source(tmp_path), 0).tolist() == [[[0] * 3, [255] * 3]]


@pytest.mark.parametrize(
    "bad", [np.full((1, 2, 2), -1.0), np.full((1, 2, 2), 300.0), np.full((1, 2, 2), np.nan)]
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, bad: NDArray[np.float64]) -> None:
    np.savez(tmp_path / "d.npz", x=bad, y=[0])
    with pytest.raises(DataError, match="Expected 0 to 1, or 0 to 255"):
        open_source(tmp_path)


def test_class_names_are_used(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=pictures(2, 4, 4), y=[1, 0], class_names=["cat", "dog"])
    assert labels(open_source(tmp_path)) == [("dog",), ("cat",)]


def test_a_class_number_without_a_name_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=pictures(2, 4, 4), y=[1, 2], class_names=["cat", "dog"])
    with pytest.raises(DataError, match="'2'"):
        open_source(tmp_path)


def test_a_column_for_each_class_may_hold_several(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=pictures(3, 4, 4), y=[[1.0, 0, 1], [0, 1, 0], [0, 0, 0]])
    assert labels(open_source(tmp_path)) == [("0", "2"), ("1",), None]


def test_one_column_is_a_list(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=pictures(2, 4, 4), y=[[3], [5]])
    assert labels(open_source(tmp_path)) == [("3",), ("5",)]


def test_pictures_without_labels_are_a_finding(tmp_path: Path) -> None:
    x, more = pictures(2, 4, 4), pictures(1, 4, 4)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=[0, 1], x_test=more)
    source = open_source(tmp_path)
    assert labels(source) == [("0",), ("1",), None]
    assert [f.id for f in source.findings] == ["arrays.no_labels"]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": pictures(2, 4, 4), "y": [0]}, "Expected 2 labels"),
        ({"x": pictures(2, 4, 4), "y": [0.5, 1.25]}, "fractions or too many different numbers"),
        ({"x": pictures(2, 4, 4), "y": [[3, 4], [5, 6]]}, "0 or 1 for each class"),
        ({"x": pictures(2, 5, 5, 2), "y": [0, 1]}, "does not have the shape of pictures"),
        ({"x": pictures(2, 16), "y": [0, 1]}, r"No array of pictures .* x \(2, 16\), y \(2,\)"),
        ({"x": pictures(2, 4, 4).astype(np.complex64), "y": [0, 1]}, "Expected numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, Any], words: str
) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError, match=words):
        open_source(tmp_path)


class Explodes:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("an array was unpickled",))


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    objects = np.array([Explodes(), Explodes()], dtype=object)
    np.savez(tmp_path / "d.npz", x=pictures(2, 4, 4), y=objects)
    with pytest.raises(DataError, match="contains Python objects") as caught:
        open_source(tmp_path)
    assert "dtype=str" in str(caught.value.hint)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="not an archive of arrays") as caught:
        open_source(tmp_path / "d.npz")
    assert "numpy.savez" in str(caught.value.hint)
    (tmp_path / "d.npz").write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError, match="not an archive of arrays"):
        open_source(tmp_path)


def test_a_file_that_is_no_array_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"images.npy is not a NumPy array"):
        open_source(tmp_path)


def test_an_array_that_ends_early_is_an_unreadable_picture(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", pictures(3, 4, 4))
    np.save(tmp_path / "labels.npy", [0, 1, 2])
    source = open_source(tmp_path)
    data = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(data[:-8])
    assert pixels(source, 1).shape == (4, 4, 3)
    with pytest.raises(ImageError, match="is truncated"):
        pixels(source, 2)


def test_an_array_in_column_order_is_refused_with_advice(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.asfortranarray(pictures(3, 4, 4)))
    np.save(tmp_path / "labels.npy", [0, 1, 2])
    with pytest.raises(DataError, match="column by column") as caught:
        open_source(tmp_path)
    assert caught.value.hint == "numpy.ascontiguousarray(array)"


def test_equal_rows_have_equal_digests(tmp_path: Path) -> None:
    x = pictures(3, 4, 4)
    x[2] = x[0]
    np.savez(tmp_path / "d.npz", x=x, y=[0, 1, 2])
    source = open_source(tmp_path)
    digests = [source.load(sample, LIMITS).digest for sample in source.samples]
    assert digests[0] == digests[2] != digests[1]
