"""Folders of files to clean, and what is in them down to the nanosecond."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from foveal.curation.journal import Journal
from foveal.curation.prepare import Edit, Move

HIDDEN = ".foveal"

CHANGES = (
    "rename",
    "make_folder",
    "remove_folder",
    "set_time",
    "write",
    "link",
    "append",
    "settle",
)
"""What `foveal.curation.disk` changes a disk by."""


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return name → kind and permissions, time, and bytes of everything that is not hidden."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] == HIDDEN:
            continue
        status = path.lstat()
        content: object = None
        if stat.S_ISLNK(status.st_mode):
            content = path.readlink()
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        found[name] = (status.st_mode, status.st_mtime_ns, content)
    return found


def make_tree(folder: Path) -> Path:
    """Write two classes, a table, a read-only file, a link and an empty folder, of old times."""
    for number, name in enumerate(("cat/a.jpg", "cat/b.jpg", "cat/b.txt", "cat/deep/c.jpg")):
        write(folder / name, f"picture {number}".encode())
    write(folder / "dog/d.jpg", b"picture of a dog")
    (folder / "dog/d.jpg").chmod(0o444)
    write(folder / "labels.csv", b"image,label\r\ncat/a.jpg,cat\r\n")
    (folder / "empty").mkdir()
    (folder / "dog/link.jpg").symlink_to("../cat/a.jpg")
    for number, path in enumerate(sorted(folder.rglob("*"), reverse=True)):
        if not path.is_symlink():
            os.utime(path, ns=(10**18, 10**18 + number))
    return folder


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def moving(source: str, target: str) -> Move:
    is_quarantine = target.startswith(HIDDEN)
    return Move(source, target, source, "of no use", "images.blank", is_quarantine)


def some_moves() -> list[Move]:
    return [
        moving("cat/a.jpg", ".foveal/quarantine/cat/a.jpg"),
        moving("cat/deep/c.jpg", ".foveal/quarantine/cat/deep/c.jpg"),
        moving("cat/b.jpg", "dog/b.jpg"),
        moving("cat/b.txt", "dog/b.txt"),
        moving("dog/d.jpg", "bird/new/d.jpg"),
        moving("dog/link.jpg", "bird/new/link.jpg"),
    ]


def an_edit() -> Edit:
    return Edit("labels.csv", lambda before: before.replace(b",cat", b",dog"))


def journal_of(tree: Path) -> Journal:
    return Journal(tree, tree / HIDDEN)


def clean(tree: Path) -> None:
    journal = journal_of(tree)
    with journal.alone():
        journal.recover()
        journal.apply({"samples": 6}, some_moves(), [an_edit()])


def undo(tree: Path) -> None:
    journal = journal_of(tree)
    with journal.alone():
        journal.recover()
        if any(cleaning.state == "applied" for cleaning in journal.history()):
            journal.undo()


def recover(tree: Path) -> str | None:
    """Undo what was interrupted; return the state of the last cleaning, or None."""
    journal = journal_of(tree)
    with journal.alone():
        journal.recover()
        return next((cleaning.state for cleaning in journal.history()[-1:]), None)
