"""What a cleaning shall do, made into steps; new contents are written before the first of them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import final

from foveal.curation import disk
from foveal.curation.disk import Identity
from foveal.curation.steps import MakeFolder, Rename, Step, missing_folders
from foveal.errors import DataError


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
        before: What is in it; what the new content was made from.
        content: What shall be.
    """

    name: str
    before: bytes
    content: bytes


def prepare(
    data: Path, draft: Path, home: Path, moves: Sequence[Move], edits: Sequence[Edit]
) -> list[Step]:
    """Return the steps, after writing new contents into a draft of the cleaning's folder.

    Args:
        data: The folder of the data.
        draft: The folder to write to; made here.
        home: What the draft will be called when the steps are taken.
        moves: See `Journal.apply`.
        edits: See `Journal.apply`.

    Raises:
        DataError: When a file is gone, or lies in another file system than its new place.
        OSError: When something cannot be read or written.
    """
    for folder in (draft, draft / "old", draft / "new"):
        disk.make_folder(folder)
    inside = home.relative_to(data).as_posix()
    device = data.stat().st_dev
    folders: dict[str, None] = {}
    renames: list[Step] = []
    for number, move in enumerate(moves):
        path = data / move.source
        identity = _identity(path)
        if path.parent.stat().st_dev != device:
            raise DataError(
                f"{path} lies in another file system than {data}.",
                hint=f"foveal clean {path.parent}",
            )
        folders.update(dict.fromkeys(reversed(missing_folders(data, move.target))))
        place = _place_of(data, move, identity)
        if place is None:
            renames.append(Rename(move.source, move.target, identity))
            continue
        new = f"new/link-{number}"
        disk.link(draft / new, place)
        old = f"{inside}/old/link-{number}"
        renames.append(Rename(move.source, old, identity, into_journal=True))
        made = Identity.of(draft / new)
        renames.append(Rename(f"{inside}/{new}", move.target, made, from_journal=True))
    for number, edit in enumerate(edits):
        identity = _identity(data / edit.name)
        if (data / edit.name).read_bytes() != edit.before:
            raise DataError(f"{data / edit.name} has changed meanwhile.", hint="try again")
        disk.write(draft / f"new/{number}", edit.content, identity.mode)
        made = Identity.of(draft / f"new/{number}")
        old, new = f"{inside}/old/{number}", f"{inside}/new/{number}"
        renames.append(Rename(edit.name, old, identity, into_journal=True))
        renames.append(Rename(new, edit.name, made, from_journal=True))
    return [*map(MakeFolder, folders), *renames]


def _identity(path: Path) -> Identity:
    try:
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))
        return Identity.of(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} is gone.", hint="try again") from error


def _place_of(data: Path, move: Move, identity: Identity) -> Path | None:
    """Return where a link must lead from its new place; None for what can be moved as it is."""
    if not stat.S_ISLNK(identity.mode):
        return None
    place = (data / move.source).readlink()
    before, after = PurePosixPath(move.source).parent, PurePosixPath(move.target).parent
    if place.is_absolute() or before == after:
        return None
    return Path(os.path.relpath(data / before / place, data / after))
