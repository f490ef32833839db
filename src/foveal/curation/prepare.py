"""Prepare the steps of a cleaning; new contents are written before the first step."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import final

from foveal.console import Progress
from foveal.curation import disk
from foveal.curation.disk import Identity
from foveal.curation.steps import MakeFolder, Rename, Step, missing_folders
from foveal.errors import DataError
from foveal.machine import available_cores, read_ahead


@final
@dataclass(frozen=True, slots=True)
class Move:
    """A file of a sample that is moved.

    Attributes:
        source: Its name, relative to the data, with /.
        target: Its name to be; free.
        sample: The sample that it belongs to.
        reason: Why, in words.
        finding: Id of the finding behind it, or None.
        is_quarantine: Whether it is moved out of the data.
    """

    source: str
    target: str
    sample: str
    reason: str
    finding: str | None
    is_quarantine: bool


@final
@dataclass(frozen=True, slots=True)
class Edit:
    """A file that gets new content.

    Attributes:
        name: Relative to the data, with /.
        make: From what is in it to what shall be; called from threads.
    """

    name: str
    make: Callable[[bytes], bytes]


def unless_changed(path: Path, before: bytes, content: bytes, now: bytes) -> bytes:
    """Return the content to be of a file that is still as it was before.

    Raises:
        DataError: If it is not.
    """
    if now != before:
        raise DataError(f"{path} was changed in the meantime.", hint="try again")
    return content


def prepare(
    data: Path,
    draft: Path,
    home: Path,
    moves: Sequence[Move],
    edits: Sequence[Edit],
    progress: Progress,
) -> list[Step]:
    """Return the steps, after writing new contents into a draft of the cleaning's folder.

    Args:
        data: The folder of the data.
        draft: The folder to write to; made here.
        home: What the draft will be called when the steps are taken.
        moves: See `Journal.apply`.
        edits: See `Journal.apply`.
        progress: Told how many files are read and written.

    Raises:
        DataError: If a file is gone, or lies in another file system than its new place.
        OSError: If something cannot be read or written.
    """
    for folder in (draft, draft / "old", draft / "new"):
        disk.make_folder(folder)
    inside = home.relative_to(data).as_posix()
    device = data.stat().st_dev
    folders: dict[str, None] = {}
    renames: list[Step] = []
    progress.start("preparing", len(moves) + len(edits))
    for number, move in enumerate(moves):
        path = data / move.source
        identity = _identity(path)
        if path.parent.stat().st_dev != device:
            raise DataError(
                f"{path} is on another file system than {data}.",
                hint=f"foveal clean {path.parent}",
            )
        folders.update(dict.fromkeys(reversed(missing_folders(data, move.target))))
        place = _place_of(data, move, identity)
        if place is None:
            renames.append(Rename(move.source, move.target, identity))
        else:
            new, old = f"new/link-{number}", f"{inside}/old/link-{number}"
            disk.link(draft / new, place)
            renames.append(Rename(move.source, old, identity, into_journal=True))
            link = Identity.of(draft / new)
            renames.append(Rename(f"{inside}/{new}", move.target, link, from_journal=True))
        progress.update(number + 1)
    cores = available_cores()
    made = read_ahead(partial(_made, data), edits, workers=cores, ahead=2 * cores)
    for number, (edit, (identity, mode, content)) in enumerate(zip(edits, made, strict=True)):
        disk.write(draft / f"new/{number}", content, mode)
        after = Identity.of(draft / f"new/{number}")
        old, new = f"{inside}/old/{number}", f"{inside}/new/{number}"
        renames.append(Rename(edit.name, old, identity, into_journal=True))
        renames.append(Rename(new, edit.name, after, from_journal=True))
        progress.update(len(moves) + number + 1)
    progress.finish()
    return [*map(MakeFolder, folders), *renames]


def _made(data: Path, edit: Edit) -> tuple[Identity, int, bytes]:
    """Return what a file is, its permissions, and its new content."""
    path = data / edit.name
    identity = _identity(path)
    # Of a link, the permissions are those of the file that takes its place.
    return identity, path.stat().st_mode, edit.make(path.read_bytes())


def _identity(path: Path) -> Identity:
    try:
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))
        return Identity.of(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} was removed in the meantime.", hint="try again") from error


def _place_of(data: Path, move: Move, identity: Identity) -> Path | None:
    """Return where a link must lead from its new place; None for what can be moved as it is."""
    if not stat.S_ISLNK(identity.mode):
        return None
    place = (data / move.source).readlink()
    before, after = PurePosixPath(move.source).parent, PurePosixPath(move.target).parent
    if place.is_absolute() or before == after:
        return None
    return Path(os.path.relpath(data / before / place, data / after))
