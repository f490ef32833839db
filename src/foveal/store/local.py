"""A store in a local folder; a version appears by an atomic rename."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

from foveal.atomic import TEMPORARY, hold, locked, sync, write_atomic
from foveal.bundle.bundle import MANIFEST_NAME
from foveal.destination import writing
from foveal.store.files import Content, StoreFiles, numbers_of, publishing_order

# A publisher locks its folder right after making it; before that, it must not be swept.
_UNLOCKED_FOR_S = 60.0


@final
class LocalFiles(StoreFiles):
    """A folder of this machine.

    Args:
        path: The folder; made when something is first written.
    """

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self.path = path

    def names(self) -> list[str]:
        """Return the folders, in sorted order."""
        try:
            with os.scandir(self.path) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def numbers(self, name: str) -> dict[int, bool]:
        """Return the version numbers that are taken → whether the version is whole."""
        try:
            with os.scandir(self.path / name) as entries:
                return numbers_of(
                    {
                        # Whoever may write a link here could have anything served.
                        entry.name: entry.is_dir(follow_symlinks=False)
                        and Path(entry.path, MANIFEST_NAME).is_file()
                        for entry in entries
                    }
                )
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def sizes(self, name: str, number: int) -> dict[str, int]:
        """Return file name → bytes of a version's files."""
        with os.scandir(self._version(name, number)) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def read(self, name: str, path: str) -> bytes | None:
        """Return a file below the folder of a name; None where there is none."""
        try:
            return (self.path / name / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, path: str, content: bytes) -> None:
        """Write a file; readers see it whole or not at all."""
        target = self.path / name / path
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, content, durable=True)

    def publish(self, name: str, content: Content, above: Callable[[], int]) -> int:
        """Write a folder of another name, then rename it to the next number that is free."""
        folder = self.path / name
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            with _temporary(folder) as temporary:
                for file in publishing_order(content):
                    (temporary / file).write_bytes(content[file]())
                    sync(temporary / file)
                sync(temporary)
                number = self._rename(temporary, name, above)
            sync(folder)
            sync(self.path)
        return number

    def _rename(self, temporary: Path, name: str, above: Callable[[], int]) -> int:
        while True:
            taken = self.numbers(name)
            number = max([above(), *taken]) + 1
            try:
                temporary.rename(self._version(name, number))
            except OSError:
                # Another publisher was faster, or the system refuses.
                if number not in self.numbers(name):
                    raise
            else:
                return number

    def delete(self, name: str, path: str) -> None:
        """Remove a file or a folder, which vanishes by one rename."""
        target = self.path / name / path
        with writing(target):
            if not os.path.lexists(target):
                return
            if target.is_symlink() or not target.is_dir():
                target.unlink()
                return
            with _temporary(self.path / name) as temporary:
                target.rename(temporary / "removed")

    def fetch(self, name: str, number: int, digest: str) -> Path:
        """Return the folder itself."""
        return self._version(name, number)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep others from changing what is under a name, except by publishing."""
        with writing(self.path / name):
            (self.path / name).mkdir(parents=True, exist_ok=True)
            with locked(self.path / name / ".lock"):
                yield

    def _version(self, name: str, number: int) -> Path:
        return self.path / name / str(number)


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """Give a folder that is locked while this process lives, and removed if it is still there."""
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder))
    # Made for the owner alone; the server that reads it may be another user.
    temporary.chmod(folder.stat().st_mode & 0o777)
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        hold(descriptor)
        yield temporary
    finally:
        os.close(descriptor)
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what publishers left that were killed."""
    for left in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError):  # Its publisher has just finished.
            descriptor = os.open(left, os.O_RDONLY)
            try:
                is_old = time.time() - left.stat().st_mtime > _UNLOCKED_FOR_S
                if left.is_dir() and is_old and hold(descriptor, wait=False):
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)


def is_store(path: Path) -> bool:
    """Return whether a folder has a name with a version below it."""
    files = LocalFiles(path)
    return any(any(files.numbers(name).values()) for name in files.names())
