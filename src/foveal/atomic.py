"""Write files and folders atomically."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: there, bundles are read and not written.
    fcntl = None  # type: ignore[assignment]

TEMPORARY = ".tmp-"
"""How the name of what is not whole yet begins."""
# Digits of a process id in a lock file.
_LONGEST_PID = 20


@contextmanager
def atomic_path(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write a file or a folder to; it is renamed at the end.

    When the block raises, what it wrote is removed and `path` stays as it was. What a killed
    process left is removed by the next one that writes to the same place.

    Args:
        path: The file or folder to be; what is there is replaced.
        durable: Wait until everything is on the disk, so that it outlives a loss of power too.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    _remove(temporary)
    try:
        yield temporary
        if durable:
            for written in (*temporary.rglob("*"), temporary):
                sync(written)
        if temporary.is_dir():
            _remove(path)
        temporary.replace(path)
        if durable:
            # A rename is only durable once the directory that holds the name is.
            sync(path.parent)
    finally:
        _remove(temporary)


def write_atomic(
    path: Path, content: str | bytes, *, durable: bool = False, mode: int | None = None
) -> None:
    """Write a whole file, text as UTF-8; see `atomic_path`.

    Args:
        path: The file to be.
        content: All of it.
        durable: As for `atomic_path`.
        mode: Permissions, from the first byte on; None leaves them to the umask.
    """
    with atomic_path(path, durable=durable) as temporary:
        if mode is not None:
            temporary.touch(mode=mode & 0o600, exist_ok=False)
            temporary.chmod(mode)
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process or thread is inside such a block for `path`, then enter it.

    The system ends the lock with the process, so that one that was killed blocks nobody.

    Args:
        path: A file for the lock alone; made when it is not there, and left behind.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        hold(descriptor)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def owned(path: Path, busy: Callable[[str], Exception]) -> Iterator[None]:
    """Lock a file in the block, and write into it which process has it.

    The system ends the lock with the process, however that ends.

    Args:
        path: A file for the lock alone; made when it is not there, and left behind.
        busy: From the id of the process that has it, or `unknown`, to what is raised then.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not hold(descriptor, wait=False):
            raise busy(os.read(descriptor, _LONGEST_PID).decode("ascii", "replace") or "unknown")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether some process has a file locked; one that is not there is not."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not hold(descriptor, wait=False)
    finally:
        os.close(descriptor)


def hold(descriptor: int, *, wait: bool = True) -> bool:
    """Lock an open file or folder until it is closed, or the process ends.

    Returns:
        Whether it is locked now; always, unless it does not wait.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "Files cannot be locked on this system")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def drop_unfinished_line(file: IO[bytes]) -> None:
    """Cut off the last line of a file if a killed process did not finish it; seek to the end.

    Args:
        file: The file, open for reading and writing.
    """
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.seek(file.truncate(file.read().rfind(b"\n") + 1))


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
