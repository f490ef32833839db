"""Copies of remote files: bounded, shared by processes, and never wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.copies import LIMIT_VARIABLE, Copies
from foveal.errors import UsageError

_OVERHEAD = 16


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("??/*"))


def _never() -> bytes:
    raise AssertionError("there is a copy")


def test_what_was_fetched_once_is_there(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 1000)
    assert copies.get("a", lambda: b"content") == b"content"
    assert copies.has("a")
    assert not copies.has("b")
    assert Copies(tmp_path, 1000).get("a", _never) == b"content"


def test_an_error_is_passed_on_and_keeps_nothing(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 1000)

    def broken() -> bytes:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        copies.get("a", broken)
    assert not copies.has("a")


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 8 * (_OVERHEAD + 10))
    for number in range(8):
        copies.get(str(number), lambda: bytes(10))
        os.utime(copies._path(str(number)), (number + 1, number + 1))
    copies.get("0", _never)
    copies.get("new", lambda: bytes(10))
    assert copies.has("0")
    assert copies.has("new")
    assert not copies.has("1")


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 60), st.booleans()), min_size=1, max_size=60
    ),
    st.integers(0, 400),
)
def test_they_never_take_more_than_the_limit(
    steps: list[tuple[int, int, bool]], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copies = Copies(Path(folder), limit)
        for key, size, is_new_process in steps:
            if is_new_process:
                copies = Copies(Path(folder), limit)
            content = bytes([key]) * size
            assert copies.get(f"{key} {size}", lambda content=content: content) == content
            assert _size(Path(folder)) <= limit


@given(st.binary(max_size=40), st.integers(0, 60), st.integers(0, 255))
def test_a_damaged_copy_is_fetched_again(content: bytes, at: int, value: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copies = Copies(Path(folder), 1000)
        copies.get("a", lambda: content)
        path = copies._path("a")
        kept = bytearray(path.read_bytes())
        kept[at:] = bytes([value])
        path.write_bytes(kept)
        assert copies.get("a", lambda: content) == content


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 200)
    copies.get("a", lambda: bytes(10))
    left = copies._path("a").with_name(".tmp-left")
    left.write_bytes(bytes(500))
    for number in range(8):
        copies.get(str(number), lambda: bytes(10))
    assert not left.exists()
    assert _size(tmp_path) <= 200


def test_one_that_is_too_large_is_not_kept(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 1000)
    assert copies.get("large", lambda: bytes(900)) == bytes(900)
    assert not copies.has("large")


def test_a_folder_that_cannot_be_written_to_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    copies = Copies(tmp_path / "file" / "below", 1000)
    assert [copies.get(key, lambda: b"x") for key in "ab"] == [b"x", b"x"]
    assert len(caplog.records) == 1
    assert "Cannot cache remote files" in caplog.text


def test_threads_and_processes_share_them(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from foveal.copies import Copies\n"
        "copies = Copies(Path(sys.argv[1]), 3000)\n"
        "for i in range(200):\n"
        "    key = str(i % 70)\n"
        "    assert copies.get(key, lambda: key.encode() * 20) == key.encode() * 20\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    copies = Copies(tmp_path, 3000)

    def use(number: int) -> bool:
        content = str(number % 70).encode() * 20
        return copies.get(str(number % 70), lambda: content) == content

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(400)))
    assert [other.wait() for other in others] == [0, 0]
    assert _size(tmp_path) <= 3000


def test_the_size_is_set_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    assert Copies.of_this_machine().limit == 10_000_000_000
    monkeypatch.setenv(LIMIT_VARIABLE, "0.5")
    assert Copies.of_this_machine().limit == 500_000_000
    monkeypatch.setenv(LIMIT_VARIABLE, "much")
    with pytest.raises(UsageError, match="Expected a number of gigabytes"):
        Copies.of_this_machine()


def test_a_limit_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "none", 0)
    assert copies.get("a", lambda: b"x") == b"x"
    assert not copies.has("a")
    assert not (tmp_path / "none").exists()
