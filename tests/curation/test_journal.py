from __future__ import annotations

import contextlib
import errno
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from curation.trees import (
    CHANGES,
    clean,
    journal_of,
    make_tree,
    moving,
    recover,
    snapshot,
    some_moves,
    undo,
    write,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveal.curation import disk
from foveal.curation.journal import Journal
from foveal.curation.manifest import read_lines
from foveal.curation.prepare import Edit, Move
from foveal.errors import DataError, UsageError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / ".foveal").mkdir()
    return make_tree(tmp_path)


def test_files_are_moved_and_contents_replaced_and_a_list_says_where_they_went(tree: Path) -> None:
    clean(tree)
    assert (tree / ".foveal/quarantine/cat/a.jpg").read_bytes() == b"picture 0"
    assert not (tree / "cat/a.jpg").exists()
    assert (tree / "dog/b.txt").read_bytes() == b"picture 2"
    assert (tree / "labels.csv").read_bytes() == b"image,label\r\ncat/a.jpg,dog\r\n"
    assert str((tree / "bird/new/link.jpg").readlink()) == "../../cat/a.jpg"
    rows = read_lines(tree / ".foveal/quarantine.jsonl")
    assert [(row["from"], row["event"]) for row in rows] == [
        ("cat/a.jpg", "quarantined"),
        ("cat/deep/c.jpg", "quarantined"),
    ]
    assert rows[0]["size"] == 9
    assert rows[0]["finding"] == "images.blank"


def test_undoing_brings_everything_back_with_its_times(tree: Path) -> None:
    before = snapshot(tree)
    clean(tree)
    assert snapshot(tree) != before
    undo(tree)
    assert snapshot(tree) == before
    rows = read_lines(tree / ".foveal/quarantine.jsonl")
    assert [row["event"] for row in rows] == ["quarantined"] * 2 + ["restored"] * 2


def test_cleanings_are_undone_one_after_the_other(tree: Path) -> None:
    states = [snapshot(tree)]
    journal = journal_of(tree)
    for source, target in [("cat/a.jpg", "dog/a.jpg"), ("dog/a.jpg", "bird/a.jpg")]:
        with journal.alone():
            journal.apply({}, [moving(source, target)], [])
        states.append(snapshot(tree))
    for state in reversed(states[:-1]):
        undo(tree)
        assert snapshot(tree) == state
    assert [cleaning.state for cleaning in journal.history()] == ["undone", "undone"]
    with journal.alone(), pytest.raises(UsageError, match="No cleaning"):
        journal.undo()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: (t / ".foveal/quarantine/cat/a.jpg").write_bytes(b"picture X"), "has changed"),
        (lambda t: (t / "dog/b.txt").unlink(), "dog/b.txt is gone"),
        (lambda t: write(t / "cat/b.jpg", b"another"), "cat/b.jpg exists again"),
        (lambda t: (t / "labels.csv").write_bytes(b"image,label\n"), "labels.csv has changed"),
    ],
)
def test_undoing_is_refused_when_files_changed_and_changes_nothing(tree, change, said) -> None:  # type: ignore[no-untyped-def]
    clean(tree)
    change(tree)
    between = snapshot(tree)
    with pytest.raises(DataError, match=said):
        undo(tree)
    assert snapshot(tree) == between


def test_what_others_added_stays_and_emptied_folders_are_made_again(tree: Path) -> None:
    before = snapshot(tree)
    clean(tree)
    write(tree / "bird/mine.jpg", b"mine")
    (tree / "cat/deep").rmdir()
    undo(tree)
    after = snapshot(tree)
    assert after.pop("bird/mine.jpg")[2] == b"mine"
    assert {name: entry[2] for name, entry in after.items() if name != "bird"} == {
        name: entry[2] for name, entry in before.items()
    }


class Stopped(Exception):
    """Raised in place of a change of the disk."""


def fail_at(monkeypatch: pytest.MonkeyPatch, stop_at: int, error: Exception) -> None:
    """Fail in place of one of the changes of the disk, and let all others be."""
    count = 0

    def counting(name: str) -> None:
        function = getattr(disk, name)

        def change(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            if count == stop_at:
                raise error
            return function(*args, **kwargs)

        monkeypatch.setattr(disk, name, change)

    for name in CHANGES:
        counting(name)


@pytest.mark.parametrize("error", [Stopped(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_cleaning_that_fails_at_any_change_leaves_everything_as_before(
    tree: Path, error: Exception
) -> None:
    before = snapshot(tree)
    at = 0
    while True:
        at, failed = at + 1, False
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, at, error)
            try:
                clean(tree)
            except (Stopped, OSError):
                assert snapshot(tree) == before, at
                failed = True
        if not failed:
            break
        recover(tree)
        assert snapshot(tree) == before, at
    assert at > 20
    assert snapshot(tree) != before
    undo(tree)
    assert snapshot(tree) == before


def test_a_disk_that_stays_full_leaves_everything_as_before(tree: Path) -> None:
    before = snapshot(tree)
    for name in ("write", "append", "make_folder", "link"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(disk, name, _no_space)
            with pytest.raises(OSError, match="No space left"):
                clean(tree)
        assert snapshot(tree) == before, name
        recover(tree)
        assert snapshot(tree) == before, name
    clean(tree)
    undo(tree)
    assert snapshot(tree) == before


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_killed_process_is_followed_by_one_that_brings_all_back(tmp_path: Path) -> None:
    """At each change of the disk while cleaning and undoing, and 40 times at random."""
    script = Path(__file__).with_name("dying.py")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    clean_at, undo_at = (int(line.split()[1]) for line in done.stdout.splitlines()[:2])
    assert clean_at > 20
    assert undo_at > 15


def test_two_processes_do_not_clean_at_once(tree: Path) -> None:
    with (
        journal_of(tree).alone(),
        pytest.raises(UsageError, match=r"Another process .* is cleaning"),
        journal_of(tree).alone(),
    ):
        pass


def test_a_file_that_is_gone_or_changes_meanwhile_stops_the_cleaning(tree: Path) -> None:
    (tree / "cat/b.txt").unlink()
    before = snapshot(tree)
    with pytest.raises(DataError, match=r"cat/b.txt was"):
        clean(tree)
    assert snapshot(tree) == before


def test_what_cannot_be_made_of_a_file_stops_the_cleaning(tree: Path) -> None:
    def make(before: bytes) -> bytes:
        raise DataError("labels.csv was changed in the meantime.")

    before = snapshot(tree)
    journal = journal_of(tree)
    with journal.alone(), pytest.raises(DataError, match="changed in the meantime"):
        journal.apply({}, some_moves(), [Edit("labels.csv", make)])
    assert snapshot(tree) == before
    assert journal.history() == []


def test_an_interrupted_cleaning_is_not_undone_over_what_changed_since(tree: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "_undo", lambda self, home, *, all_done: None)
        # The last change but one: all files are moved.
        patch.setattr(disk, "append", _refuse)
        with pytest.raises(Stopped):
            clean(tree)
    (tree / "dog/b.jpg").write_bytes(b"changed")
    between = snapshot(tree)
    with pytest.raises(DataError, match=r"dog/b.jpg has changed"):
        recover(tree)
    assert snapshot(tree) == between


def _refuse(path: Path, content: bytes) -> None:
    raise Stopped


NAMES = st.sampled_from(["a", "b", "B", "ä", "a b", "c.jpg", "c.txt", "d.png", "\udcff"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.dictionaries(PATHS, st.binary(max_size=4), min_size=1, max_size=8),
    folders=st.lists(PATHS, max_size=3),
    picks=st.lists(st.tuples(st.integers(0, 7), PATHS, st.booleans()), max_size=8),
    edits=st.lists(st.tuples(st.integers(0, 7), st.binary(max_size=4)), max_size=3),
)
def test_cleaning_and_undoing_is_the_identity(
    tmp_path_factory, files, folders, picks, edits
) -> None:  # type: ignore[no-untyped-def]
    tree = tmp_path_factory.mktemp("tree")
    (tree / ".foveal").mkdir()
    _lay_out(tree, files, folders)
    before = snapshot(tree)
    names = sorted(name for name in files if (tree / name).is_file())
    moves: dict[str, Move] = {}
    for pick, target, is_quarantine in picks:
        name = names[pick % len(names)]
        goal = f".foveal/quarantine/{name}" if is_quarantine else target
        if _is_free(tree, goal, [move.target for move in moves.values()]):
            moves.setdefault(name, moving(name, goal))
    changed = {
        names[pick % len(names)]: content
        for pick, content in edits
        if names[pick % len(names)] not in moves
    }
    journal = journal_of(tree)
    with journal.alone():
        journal.apply(
            {},
            list(moves.values()),
            [Edit(name, partial(_other, content)) for name, content in changed.items()],
        )
        for name, content in changed.items():
            assert (tree / name).read_bytes() == content
        for name, move in moves.items():
            assert (tree / move.target).lstat().st_size == before[name][2].__len__()
        journal.undo()
    assert snapshot(tree) == before


def _other(content: bytes, before: bytes) -> bytes:
    return content


def _lay_out(tree: Path, files: dict[str, bytes], folders: list[str]) -> None:
    for name, content in files.items():
        try:
            write(tree / name, content)
        except OSError:
            # A name that is a folder's already, or below a file's.
            continue
    for name in folders:
        with contextlib.suppress(OSError):
            (tree / name).mkdir(parents=True)


def _is_free(tree: Path, target: str, taken: list[str]) -> bool:
    """Return whether a name can be given: neither it nor a way to it is a file, now or then."""
    path = tree / target
    ways = [tree / name for name in taken]
    below = any(parent.is_file() or parent in ways for parent in path.parents)
    above = any(path in way.parents or path == way for way in ways)
    return not (path.exists() or below or above)
