"""Feedback on disk: what is kept, how much of it, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foveal.curation.feedback import Said, read_feedback
from foveal.curation.feedback_folder import FeedbackFolder, FolderFull, Room
from foveal.errors import DataError

ROOM = Room(max_bytes=1000, max_count=10, max_per_key=3)
JPEG = b"\xff\xd8\xff\xe0 picture"
WRONG = Said(
    "tiny", "abc", "labels", ("circle",), 0.9, False, ("square",), False, "", None, "person"
)
UNSURE = replace(WRONG, truth=None, right=None, unsure=True, origin="unsure")
AT = datetime(2026, 11, 29, 12, tzinfo=UTC)


def folder(path: Path, room: Room = ROOM) -> FeedbackFolder:
    return FeedbackFolder(path, room, clock=lambda: AT)


def test_what_is_kept_is_read_again_and_pictures_are_kept_once(tmp_path: Path) -> None:
    keeper = folder(tmp_path / "new")
    right = replace(WRONG, truth=("circle",), right=True)
    assert keeper.keep(JPEG, WRONG) == (1, True)
    assert keeper.keep(JPEG, right) == (2, True)
    assert keeper.keep(b"another", UNSURE, None) == (3, True)
    first, second, third = read_feedback(tmp_path / "new")
    assert (first.said, second.said, third.said) == (WRONG, right, UNSURE)
    assert first.image == second.image == f"pictures/{first.sha256[:2]}/{first.sha256}.jpg"
    assert (tmp_path / "new" / first.image).read_bytes() == JPEG
    assert (first.stored, second.stored, first.at) == (len(JPEG), 0, AT)


def test_who_says_the_same_twice_is_told_the_first_id(tmp_path: Path) -> None:
    assert folder(tmp_path).keep(b"a", WRONG) == (1, True)
    other = folder(tmp_path)
    assert other.keep(b"a", WRONG) == (1, False)
    assert other.keep(b"a", replace(WRONG, by="key00001")) == (2, True)
    assert other.keep(b"a", UNSURE) == (3, True)
    assert other.keep(b"a", replace(UNSURE, by="key00001")) == (3, False)


def test_the_mask_that_is_right_is_kept(tmp_path: Path) -> None:
    said = replace(WRONG, target="mask", truth=None, right=True, classes=("background", "cell"))
    folder(tmp_path).keep(b"a", said, b"mask")
    (kept,) = read_feedback(tmp_path)
    assert kept.mask is not None
    assert (tmp_path / kept.mask).read_bytes() == b"mask"
    assert (kept.stored, kept.said.classes) == (5, ("background", "cell"))


@pytest.mark.parametrize(
    ("room", "allowed", "said"),
    [
        (Room(1000, 2, 9), 2, WRONG),  # entries
        (Room(25, 9, 9), 2, WRONG),  # bytes, 10 of each picture
        (Room(1000, 9, 3), 3, replace(WRONG, by="key00001")),  # entries of one key
        (Room(1000, 8, 9), 4, UNSURE),  # half of the entries for what nobody said anything about
        (Room(45, 9, 9), 2, UNSURE),  # and half of the bytes
    ],
)
def test_a_full_folder_keeps_no_more(tmp_path: Path, room: Room, allowed: int, said: Said) -> None:
    keeper = folder(tmp_path, room)
    for number in range(allowed):
        keeper.keep(b"picture %02d" % number, said)
    for again in (keeper, folder(tmp_path, room)):
        with pytest.raises(FolderFull):
            again.keep(b"one picture more", said)
    assert len(list(read_feedback(tmp_path))) == allowed
    assert len([p for p in (tmp_path / "pictures").rglob("*") if p.is_file()]) == allowed


def test_others_fill_the_folder_too(tmp_path: Path) -> None:
    one, other = folder(tmp_path, Room(1000, 3, 9)), folder(tmp_path, Room(1000, 3, 9))
    assert one.keep(b"a", WRONG) == (1, True)
    assert other.keep(b"b", WRONG) == (2, True)
    assert one.keep(b"c", WRONG) == (3, True)
    with pytest.raises(FolderFull):
        other.keep(b"d", WRONG)
    # A log that was moved away begins afresh.
    (tmp_path / "feedback.jsonl").rename(tmp_path / "old.jsonl")
    assert other.keep(b"d", WRONG) == (1, True)


def test_a_folder_that_was_moved_away_is_begun_anew_for_its_owner_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    keeper = folder(kept, Room(max_bytes=1000, max_count=1, max_per_key=1))
    keeper.keep(b"a", WRONG)
    with pytest.raises(FolderFull):
        keeper.keep(b"b", WRONG)
    kept.rename(tmp_path / "november")
    assert keeper.keep(b"b", WRONG) == (1, True)
    (one,) = read_feedback(kept)
    assert (kept / one.image).read_bytes() == b"b"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_unsure_pictures_leave_a_key_half_of_its_room(tmp_path: Path) -> None:
    keeper = folder(tmp_path, Room(max_bytes=1000, max_count=100, max_per_key=4))
    unsure, wrong = replace(UNSURE, by="key00001"), replace(WRONG, by="key00001")
    for number in range(2):
        keeper.keep(b"%d" % number, unsure)
    with pytest.raises(FolderFull, match="from this key"):
        keeper.keep(b"2", unsure)
    for number in range(2):
        assert keeper.keep(b"%d" % number, wrong)[1]
    with pytest.raises(FolderFull, match="from this key"):
        keeper.keep(b"2", wrong)


def test_a_line_that_was_cut_off_is_not_feedback(tmp_path: Path) -> None:
    folder(tmp_path).keep(b"a", WRONG)
    with (tmp_path / "feedback.jsonl").open("ab") as file:
        file.write(b'{"id": 2, "at"')
    assert len(list(read_feedback(tmp_path))) == 1
    assert folder(tmp_path).keep(b"b", WRONG) == (2, True)
    assert [kept.id for kept in read_feedback(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    "change",
    [{"image": "../../etc/passwd"}, {"image": "/etc/passwd"}, {"origin": "nobody"}, {"at": "soon"}],
)
def test_a_foreign_line_is_named(tmp_path: Path, change: dict[str, str]) -> None:
    folder(tmp_path).keep(b"a", WRONG)
    log = tmp_path / "feedback.jsonl"
    log.write_text(json.dumps(json.loads(log.read_text()) | change) + "\n")
    with pytest.raises(DataError, match="line 1, is not feedback"):
        list(read_feedback(tmp_path))
    with pytest.raises(DataError, match="line 1, is not feedback"):
        folder(tmp_path)


KEEP_ON = """
import sys
from pathlib import Path
from foveal.curation.feedback import Said
from foveal.curation.feedback_folder import FeedbackFolder, Room
who, path = sys.argv[1], Path(sys.argv[2])
keeper = FeedbackFolder(path, Room(10**9, 10**6, 10**6))
said = Said("tiny", "abc", "labels", ("a",), 0.9, False, ("b",), False, "", who, "person")
for number in range(int(sys.argv[3])):
    print(keeper.keep(f"{who} {number // 2}".encode() * 50, said)[0], flush=True)
"""


def test_nothing_is_lost_or_torn_by_kills_of_several_processes(tmp_path: Path) -> None:
    def start(who: str, count: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", KEEP_ON, who, str(tmp_path), str(count)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    told: set[int] = set()
    running = [start(f"key{i}", 400) for i in range(2)]
    for number, process in enumerate(running):
        with process:
            assert process.stdout is not None
            told |= {int(process.stdout.readline()) for _ in range(10 + 7 * number)}
            os.kill(process.pid, signal.SIGKILL)
            told |= {int(line) for line in process.stdout.read().split()}
    last = start("last", 4)
    told |= {int(line) for line in last.communicate()[0].split()}
    kept = list(read_feedback(tmp_path))
    assert [line.id for line in kept] == list(range(1, len(kept) + 1))
    # Whatever was answered is there, with its picture.
    assert told <= {line.id for line in kept}
    for line in kept:
        assert (tmp_path / line.image).read_bytes().startswith(str(line.said.by).encode())
