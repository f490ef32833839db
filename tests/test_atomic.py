from pathlib import Path

import pytest

from foveal.atomic import TEMPORARY, atomic_path, drop_unfinished_line, write_atomic


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_takes_the_place_of_the_one_before_it(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")
    write_atomic(path, "größer", durable=durable)
    assert path.read_bytes() == "größer".encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("durable", [False, True])
def test_a_folder_takes_the_place_of_the_one_before_it(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "cache"
    path.mkdir()
    (path / "old").touch()
    with atomic_path(path, durable=durable) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("whole")
        assert (path / "old").exists()
    assert [p.name for p in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("is_folder", [False, True])
def test_an_error_leaves_what_was_there(tmp_path: Path, is_folder: bool) -> None:
    path = tmp_path / "split.csv"
    path.write_text("old")

    def write() -> None:
        with atomic_path(path) as temporary:
            if is_folder:
                temporary.mkdir()
                (temporary / "half").touch()
            else:
                temporary.write_text("half")
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / f"{TEMPORARY}cache"
    left.mkdir()
    (left / "half").touch()
    with atomic_path(tmp_path / "cache") as temporary:
        temporary.mkdir()
    assert list((tmp_path / "cache").iterdir()) == []
    assert not left.exists()


@pytest.mark.parametrize("mode", ["rb+", "ab+"])
@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b"a\n", b"a\n"), (b"a\nb", b"a\n"), (b"a", b""), (b"a\n\x00", b"a\n")],
    ids=["nothing", "whole", "half of the second", "half of the first", "a page of zeros"],
)
def test_what_is_written_follows_the_last_whole_line(
    tmp_path: Path, mode: str, before: bytes, after: bytes
) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(before)
    with path.open(mode) as file:
        drop_unfinished_line(file)
        file.write(b"c\n")
    assert path.read_bytes() == after + b"c\n"
