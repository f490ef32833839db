"""Every layout is found without being told; what is passed over or wrong is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything, Source
from foveal.errors import DataError, ImageError, RecipeError, UsageError

LIMITS = DecodeLimits(max_bytes=1_000_000, max_pixels=1_000_000)


def draw(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PILImage.new("RGB", (4, 3), (number % 256, 0, 0)).save(path)
    return root


def contents(source: Source) -> list[tuple[str, str | None, str | None]]:
    return [("|".join(s.raw) if s.raw else None, s.split, s.id) for s in source.samples]


def ids(source: Source, finding: str) -> tuple[str, ...]:
    (found,) = [f for f in source.findings if f.id == finding]
    assert found.count >= len(found.samples)
    return found.samples


def test_class_folders_are_found(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png"))
    assert contents(source) == [
        ("cat", None, "cat/1.png"),
        ("cat", None, "cat/2.png"),
        ("dog", None, "dog/1.png"),
    ]
    assert source.layout == "3 pictures in 2 class folders"
    assert source.findings == ()
    loaded = source.load(source.samples[2], LIMITS)
    assert loaded.picture.pixels[0, 0].tolist() == [2, 0, 0]
    assert len(loaded.digest) == 16


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_folders_of_a_split_are_found(tmp_path: Path, name: str) -> None:
    source = open_source(
        draw(tmp_path, "train/a/1.png", "train/b/1.png", f"{name}/a/2.png", "test/b/3.png")
    )
    assert sorted(contents(source)) == [
        ("a", "train", "train/a/1.png"),
        ("a", "val", f"{name}/a/2.png"),
        ("b", "test", "test/b/3.png"),
        ("b", "train", "train/b/1.png"),
    ]
    assert "split as given (train 2, val 1, test 1)" in source.layout


def test_one_wrapping_folder_is_passed_through(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "photos/cat/1.png", "photos/dog/1.png"))
    assert [s.raw for s in source.samples] == [("cat",), ("dog",)]
    source = open_source(draw(tmp_path / "x", "data/train/cat/1.png", "data/val/cat/2.png"))
    assert [(s.raw, s.split) for s in source.samples] == [(("cat",), "train"), (("cat",), "val")]


def test_one_class_folder_is_no_wrapping(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "cat/1.png", "cat/2.png"))
    assert [s.raw for s in source.samples] == [("cat",), ("cat",)]


def test_classes_called_like_sides_of_a_split_are_classes(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "train/1.png", "bus/1.png"))
    assert [(s.raw, s.split) for s in source.samples] == [(("bus",), None), (("train",), None)]


def test_train_alone_is_a_side(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "train/a/1.png", "train/b/1.png"))
    assert [(s.raw, s.split) for s in source.samples] == [(("a",), "train"), (("b",), "train")]


def test_pictures_beside_the_sides_of_a_split_are_said(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "train/a/1.png", "val/a/2.png", "unsorted/3.png"))
    assert ids(source, "data.passed_over") == ("unsorted/3.png",)


def test_hidden_files_and_litter_are_passed_over(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.png", "a/.hidden.png", ".git/x.png", "__MACOSX/a/1.png", "b/2.png")
    (tmp_path / "a" / "Thumbs.db").touch()
    (tmp_path / "a" / "desktop.ini").touch()
    source = open_source(tmp_path)
    assert [s.id for s in source.samples] == ["a/1.png", "b/2.png"]
    assert source.findings == ()


def test_an_empty_class_is_a_finding(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "c").mkdir()
    source = open_source(tmp_path)
    assert ids(source, "labels.empty_class") == ("c",)
    assert "'c'" in source.findings[0].message


def test_a_class_that_is_empty_on_one_side_only_is_not_empty(tmp_path: Path) -> None:
    draw(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png")
    (tmp_path / "val" / "b").mkdir()
    (tmp_path / "val" / "c").mkdir()
    assert ids(open_source(tmp_path), "labels.empty_class") == ("c",)


def test_pictures_beside_class_folders_are_said(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "a/1.png", "b/1.png", "stray.png"))
    assert ids(source, "data.passed_over") == ("stray.png",)
    assert len(source.samples) == 2


def test_folders_inside_a_class_count_for_it(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "a/1.png", "b/deep/er/1.png"))
    assert [s.raw for s in source.samples] == [("a",), ("b",)]
    assert ids(source, "data.nested_folders") == ("b/deep/er/1.png",)


def test_pictures_of_foreign_formats_are_said(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a" / "2.JXL").touch()
    source = open_source(tmp_path)
    assert ids(source, "images.foreign_format") == ("a/2.JXL",)
    assert "jxl" in source.findings[0].message


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere", "1.png")
    root = draw(tmp_path / "root", "a/1.png")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "up").symlink_to(root)
    assert [s.id for s in open_source(root).samples] == ["a/1.png", "b/1.png"]


def test_a_folder_of_pictures_has_no_labels(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "2.png", "1.png"))
    assert contents(source) == [(None, None, "1.png"), (None, None, "2.png")]
    assert source.layout == "2 pictures without labels"


def test_one_picture_is_a_source_without_labels(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "1.png") / "1.png")
    assert contents(source) == [(None, None, "1.png")]
    assert source.load(source.samples[0], LIMITS).picture.width == 4


@pytest.mark.parametrize("data", [["a.png"], None, np.zeros((2, 8, 8, 3))], ids=type)
def test_data_that_is_not_at_a_path_or_a_url_is_refused(data: Any) -> None:
    with pytest.raises(UsageError, match=r"Expected the path or URL of a folder") as caught:
        open_source(data)
    assert caught.value.message.endswith(f"Received: {type(data).__name__}.")
    assert "FovealClassifier" in str(caught.value.hint)


def test_an_empty_path_is_not_the_current_folder() -> None:
    with pytest.raises(DataError, match="The path of the data is empty"):
        open_source("")


def test_a_missing_path_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"photo does not exist") as caught:
        open_source(tmp_path / "photo")
    assert caught.value.hint == f"did you mean {tmp_path / 'photos'}?"
    assert caught.value.exit_status == 3


def test_a_path_below_a_missing_folder_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"fotos does not exist") as caught:
        open_source(tmp_path / "fotos" / "cats")
    assert caught.value.hint == f"did you mean {tmp_path / 'photos'}?"


def test_a_missing_relative_path_is_said_to_start_somewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"^photos does not exist") as caught:
        open_source(Path("photos"))
    assert caught.value.hint == f"relative paths start from {tmp_path}"


def test_an_empty_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty") as caught:
        open_source(tmp_path)
    assert "<class>" in str(caught.value.hint)


def test_a_folder_of_empty_folders_is_said_to_be_such(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="only empty folders"):
        open_source(tmp_path)


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "LICENSE").touch()
    with pytest.raises(DataError, match=r"no pictures in .*2 files with .txt, no ending"):
        open_source(tmp_path)


def test_an_archive_other_than_zip_and_tar_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "photos.7z").touch()
    with pytest.raises(DataError, match="cannot be read in place") as caught:
        open_source(tmp_path / "photos.7z")
    assert "unpack it first" in str(caught.value.hint)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"is a file\. Expected.* an archive \(\.zip, \.tar\)"):
        open_source(tmp_path / "notes.txt")


def test_a_layout_that_is_not_there_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.png")
    with pytest.raises(DataError, match=r"Expected labels.csv"):
        open_source(tmp_path, ReadAnything(layout="table"))


def test_an_unknown_layout_names_the_nearest(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.png")
    with pytest.raises(UsageError, match="'folders'"):
        open_source(tmp_path, ReadAnything(layout="folder"))


def test_a_table_wins_over_folders_unless_told(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "labels.csv").write_text("image,label\na/1.png,x\n")
    assert [s.raw for s in open_source(tmp_path).samples] == [("x",)]
    folders = open_source(tmp_path, ReadAnything(layout="folders"))
    assert [s.raw for s in folders.samples] == [("a",), ("b",)]


def test_groups_are_read_from_names(tmp_path: Path) -> None:
    draw(tmp_path, "a/w1_1.png", "a/w1_2.png", "b/w2_1.png", "b/other.png")
    source = open_source(tmp_path, ReadAnything(group_regex=r"(w\d+)_"))
    assert {s.id: s.group for s in source.samples} == {
        "a/w1_1.png": "w1",
        "a/w1_2.png": "w1",
        "b/w2_1.png": "w2",
        "b/other.png": None,
    }
    assert ids(source, "data.no_group") == ("b/other.png",)


def test_a_group_regex_that_matches_nothing_is_a_warning(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "a/1.png"), ReadAnything(group_regex="(nothing)"))
    assert source.findings[0].severity == "warning"


def test_a_bad_group_regex_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data.group_regex"):
        open_source(draw(tmp_path, "a/1.png"), ReadAnything(group_regex="("))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[str]:
    files = fsspec.filesystem("memory")
    draw(tmp_path, "cat/1.png", "cat/.hidden.png", "dog/1.png", "__MACOSX/dog/1.png")
    for path in tmp_path.rglob("*.png"):
        files.pipe_file(f"/photos/{path.relative_to(tmp_path).as_posix()}", path.read_bytes())
    yield "memory://photos"
    files.rm("/photos", recursive=True)


def test_pictures_behind_a_url_are_read(memory: str) -> None:
    source = open_source(memory)
    assert contents(source) == [("cat", None, "cat/1.png"), ("dog", None, "dog/1.png")]
    assert source.load(source.samples[0], LIMITS).picture.pixels.shape == (3, 4, 3)
    with pytest.raises(ImageError, match="at most 10"):
        source.load(source.samples[0], DecodeLimits(max_bytes=10, max_pixels=100))


def test_a_table_behind_a_url_is_read(memory: str) -> None:
    files = fsspec.filesystem("memory")
    files.pipe_file("/photos/labels.csv", b"image,label\ndog/1.png,wolf\n")
    assert contents(open_source(memory)) == [("wolf", None, "dog/1.png")]
    assert contents(open_source(f"{memory}/labels.csv")) == [("wolf", None, "dog/1.png")]


def test_a_url_with_nothing_behind_it_is_a_data_error(memory: str) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_source("memory://nowhere")
    with pytest.raises(UsageError, match="Cannot open nonsense://photos: Protocol not known"):
        open_source("nonsense://photos")
    source = open_source(memory)
    fsspec.filesystem("memory").rm("/photos/cat/1.png")
    with pytest.raises(ImageError, match=r"Cannot read memory://photos/cat/1.png"):
        source.load(source.samples[0], LIMITS)


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.png")
    assert len(open_source(f"file://{tmp_path}").samples) == 1


def test_a_file_that_cannot_be_read_is_an_image_error(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "a/1.png"))
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(ImageError, match="does not exist"):
        source.load(source.samples[0], LIMITS)


def test_equal_files_have_equal_digests(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "b" / "copy.png").write_bytes((tmp_path / "a" / "1.png").read_bytes())
    source = open_source(tmp_path)
    digests = [source.load(sample, LIMITS).digest for sample in source.samples]
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize(
    "folders",
    [
        ("images", "masks"),
        ("imagesTr", "labelsTr"),
        ("img", "gt", "more"),
        ("train/images", "train/masks", "val/images", "val/masks"),
    ],
)
def test_pictures_and_masks_are_no_classes(tmp_path: Path, folders: tuple[str, ...]) -> None:
    root = draw(tmp_path, *(f"{folder}/1.png" for folder in folders))
    with pytest.raises(DataError, match="pictures and masks") as caught:
        open_source(root)
    assert caught.value.hint is not None and "--task segment" in caught.value.hint
    source = open_source(root, ReadAnything(layout="folders"))
    assert len(source.samples) == len(folders)
