"""Durable file operations of cleanings.

A cleaning changes the disk through these functions alone, so that tests can interrupt it at each.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

from foveal.atomic import drop_unfinished_line, sync
from foveal.errors import DataError
from foveal.types import JsonObject

_BLOCK_BYTES = 1 << 20


@final
@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a file, by which changes are detected.

    Attributes:
        sha256: sha256 of its bytes; for a symbolic link, of where it leads.
        size: In bytes.
        mtime_ns: When it was changed last, in nanoseconds.
        mode: Kind and permissions.
    """

    sha256: str
    size: int
    mtime_ns: int
    mode: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at a file; a link is not followed.

        Raises:
            DataError: If it is neither a file nor a link.
            OSError: If it cannot be read.
        """
        status = path.lstat()
        digest = hashlib.sha256()
        if stat.S_ISLNK(status.st_mode):
            digest.update(os.fsencode(path.readlink()))
        elif stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
        else:
            raise DataError(f"{path} is neither a file nor a link.")
        return cls(digest.hexdigest(), status.st_size, status.st_mtime_ns, status.st_mode)

    def is_of(self, path: Path) -> bool:
        """Return whether the same bytes, or a link to the same place, are there."""
        try:
            status = path.lstat()
            if status.st_size != self.size:
                return False
            if stat.S_IFMT(status.st_mode) != stat.S_IFMT(self.mode):
                return False
            return Identity.of(path).sha256 == self.sha256
        except (OSError, DataError):
            return False

    def is_untouched(self, path: Path) -> bool:
        """Return whether the file is as it was, by its size and time: without reading it."""
        try:
            status = path.lstat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "sha256": self.sha256,
            "size": self.size,
            "mtime_ns": self.mtime_ns,
            "mode": self.mode,
        }


def is_there(path: Path) -> bool:
    """Return whether anything has this name, a link that leads nowhere too."""
    return os.path.lexists(path)


def rename(source: Path, target: Path) -> None:
    """Give a file another name, in the same file system; nothing is replaced.

    Raises:
        FileExistsError: If something has that name already.
    """
    if is_there(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def make_folder(path: Path) -> None:
    """Make a folder; what is above it is there."""
    path.mkdir(exist_ok=True)


def remove_folder(path: Path) -> None:
    """Remove a folder if it is there and empty."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def set_time(path: Path, mtime_ns: int) -> None:
    """Say when a folder was changed last."""
    if path.is_dir():
        os.utime(path, ns=(path.stat().st_atime_ns, mtime_ns))


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a new file."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(stat.S_IMODE(mode))


def link(path: Path, target: Path) -> None:
    """Make a symbolic link."""
    path.symlink_to(target)


def append(path: Path, content: bytes) -> None:
    """Write whole lines at the end of a file; what a killed process left of one is cut off."""
    with path.open("ab+") as file:
        drop_unfinished_line(file)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def settle(folders: Iterable[Path]) -> None:
    """Wait until the names in folders are on the disk."""
    for folder in folders:
        if folder.is_dir():
            sync(folder)
