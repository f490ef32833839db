import errno
import os
from pathlib import Path

import pytest

from foveal.destination import check_file, check_folder, writing
from foveal.errors import UsageError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("folder", "Cannot write folder: it is an existing folder."),
        ("missing/new", "Cannot write missing/new: the folder missing does not exist."),
        ("file/new", "Cannot write file/new: Not a directory."),
    ],
)
def test_a_file_that_cannot_be_written_is_named(place: Path, path: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_file(Path(path))
    assert caught.value.message == message


def test_a_hint_can_be_pasted_where_a_name_has_spaces(place: Path) -> None:
    Path("my folder").mkdir()
    for path, hint in (
        ("my folder", "use --out 'my folder/NAME'"),
        ("no folder/model.onnx", "mkdir -p 'no folder'"),
    ):
        with pytest.raises(UsageError) as caught:
            check_file(Path(path))
        assert caught.value.hint == hint
    with pytest.raises(UsageError) as caught:
        check_folder(Path("my answers.csv"))
    assert caught.value.hint == "use --out 'my answers'"


@pytest.mark.parametrize("path", ["file", "file/a/b"])
def test_a_file_in_place_of_a_folder_is_named(place: Path, path: str) -> None:
    with pytest.raises(UsageError, match=f"to the folder {path}: file is not a folder"):
        check_folder(Path(path))


@pytest.mark.parametrize("path", ["answers.csv", "new/report.HTML", "mask.png", "sides.zip"])
def test_a_new_folder_with_the_name_of_a_file_is_refused(place: Path, path: str) -> None:
    with pytest.raises(UsageError, match=r"is named like a file\. Expected a folder") as caught:
        check_folder(Path(path))
    assert caught.value.hint == f"use --out {Path(path).with_suffix('')}"
    # Whoever has made such a folder means it.
    Path(path).mkdir(parents=True)
    check_folder(Path(path))


@pytest.mark.parametrize("url", ["s3://bucket/answers", "gs://bucket"])
def test_a_url_is_no_folder_or_file_of_that_name(place: Path, url: str) -> None:
    for check in (check_file, check_folder):
        with pytest.raises(UsageError, match=rf"Cannot write to {url}\. Expected a path on"):
            check(Path(url))
    check_folder(place / "s3:" / "bucket")


@pytest.mark.parametrize("path", ["folder", "a/b/c", "."])
def test_what_can_be_written_passes_and_nothing_is_left(place: Path, path: str) -> None:
    check_folder(Path(path))
    check_file(Path("folder/new"))
    check_file(Path("file"))
    assert sorted(found.name for found in place.rglob("*")) == ["file", "folder"]


def test_a_place_that_the_system_refuses_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "folder/.tmp-x")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refused)
    with pytest.raises(UsageError, match="Cannot write folder: Read-only file system"):
        check_folder(Path("folder"))


def test_a_full_disk_is_named_and_a_librarys_own_error_is_not_hidden() -> None:
    with (
        pytest.raises(UsageError, match="Cannot write out: No space left on device"),
        writing(Path("out")),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match="cannot identify"), writing(Path("out")):
        raise OSError("cannot identify image file")
