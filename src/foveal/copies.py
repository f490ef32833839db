"""A size-limited LRU cache of remote files.

A copy is a file that begins with a digest of what follows, under the digest of its key. Whatever
a kill or a full disk leaves behind is therefore told from a copy, and is no more than a miss.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import final

from foveal.atomic import locked
from foveal.destination import cache_directory
from foveal.errors import UsageError

logger = logging.getLogger(__name__)

LIMIT_VARIABLE = "FOVEAL_REMOTE_CACHE_GB"
DEFAULT_LIMIT_GB = 10.0

_DIGEST_BYTES = 16
_LOCK, _TOTAL = "lock", "total"
# Room for a tenth is made at once: looking at all copies takes some seconds for a million.
_KEPT_SHARE = 0.9
_TEMPORARY = ".tmp-"


@final
@dataclass(frozen=True)
class Copies:
    """The copies in a folder; several processes and threads may use it.

    Attributes:
        folder: Where they are; made when the first is kept.
        limit: Most bytes that they take together; 0 keeps none.
    """

    folder: Path
    limit: int

    @classmethod
    def of_this_machine(cls) -> Copies:
        """Return those in the user's cache folder.

        The variable `FOVEAL_REMOTE_CACHE_GB` says how large they may become, 10 GB without it.

        Raises:
            UsageError: If the variable is no number.
        """
        given = os.environ.get(LIMIT_VARIABLE, "")
        try:
            size_gb = float(given or DEFAULT_LIMIT_GB)
        except ValueError:
            size_gb = -1.0
        if not 0 <= size_gb < float("inf"):
            raise UsageError(
                f"Invalid {LIMIT_VARIABLE}. Expected a number of gigabytes, or 0 for none. "
                f"Received: {given[:20]!r}.",
                hint=f"export {LIMIT_VARIABLE}=10",
            )
        return cls(cache_directory() / "remote", int(size_gb * 1e9))

    def get(self, key: str, fetch: Callable[[], bytes]) -> bytes:
        """Return the content under a key, fetched unless there is a copy.

        Args:
            key: Another content has another key.
            fetch: Called for the content; what it raises is passed on.
        """
        if not self.limit:
            return fetch()
        path = self._path(key)
        content = _read(path)
        if content is None:
            content = fetch()
            self._keep(path, content)
        return content

    def has(self, key: str) -> bool:
        """Return whether there is something under a key, without reading it."""
        return bool(self.limit) and self._path(key).is_file()

    def _path(self, key: str) -> Path:
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES)
        name = digest.hexdigest()
        return self.folder / name[:2] / name[2:]

    def _keep(self, path: Path, content: bytes) -> None:
        size = len(content) + _DIGEST_BYTES
        # One that would push most others out is not worth it.
        if size > self.limit // 4:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The lock ends with its process; with it, the total is exact or, after a kill, too
            # large, and the limit holds for several processes together.
            with locked(self.folder / _LOCK):
                if self._total() + size > self.limit:
                    self._set_total(self._make_room(size))
                self._set_total(self._total() + size)
                temporary = path.with_name(_TEMPORARY + path.name)
                temporary.write_bytes(_digest(content) + content)
                temporary.replace(path)
        except OSError as error:
            # A full disk, or a cache folder that cannot be written to: the work goes on without.
            self._say(f"Cannot cache remote files in {self.folder}: {error.strerror}.")

    def _total(self) -> int:
        try:
            return int((self.folder / _TOTAL).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return self._make_room(0)

    def _set_total(self, size: int) -> None:
        (self.folder / _TOTAL).write_text(str(size), encoding="ascii")

    def _make_room(self, size: int) -> int:
        """Remove copies until one of `size` fits with room to spare; return what is left."""
        found: list[tuple[int, int, str]] = []
        for folder in self.folder.iterdir():
            if not folder.is_dir():
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    status = entry.stat()
                    # Of a killed process; while this one has the lock, nobody writes.
                    is_left = entry.name.startswith(_TEMPORARY)
                    used_ns = 0 if is_left else status.st_mtime_ns
                    found.append((used_ns, status.st_size, entry.path))
        total = sum(bytes_ for _, bytes_, _ in found)
        is_over = total + size > self.limit
        most = self.limit * _KEPT_SHARE - size
        for used_ns, bytes_, path in sorted(found):
            if used_ns and not (is_over and total > most):
                break
            Path(path).unlink(missing_ok=True)
            total -= bytes_
        return total

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            logger.warning("%s", sentence)

    @cached_property
    def _said(self) -> set[str]:
        return set()


def _read(path: Path) -> bytes | None:
    """Return what a copy holds, and note that it was used; None where it is none."""
    try:
        kept = path.read_bytes()
        content = kept[_DIGEST_BYTES:]
        if kept[:_DIGEST_BYTES] != _digest(content):
            return None
        os.utime(path)
    except OSError:
        return None
    return content


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
