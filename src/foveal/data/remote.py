"""A folder of pictures at an fsspec URL, cached on this machine."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import final

from foveal.copies import Copies
from foveal.data.ahead import ReadAhead
from foveal.data.decode import DEFAULT_LIMITS, DecodeLimits
from foveal.data.names import is_hidden
from foveal.data.storage import Listing, Storage
from foveal.errors import DataError, ImageError, RemoteError
from foveal.listing import pages
from foveal.remote import STAMP_BYTES, Remote
from foveal.urls import below, shown


@final
class RemoteStorage(Storage):
    """A folder at an fsspec URL (`s3://`, `gs://`, `memory://`, …).

    What is read is kept on this machine, see `foveal.copies`, under its URL and what the file
    system says of its content. Thread-safe.

    Args:
        remote: The folder.
        copies: Where what is read is kept; None takes those of this machine.
    """

    def __init__(self, remote: Remote, copies: Copies | None = None) -> None:
        self.location = shown(remote.url)
        self._remote = remote
        self._copies = Copies.of_this_machine() if copies is None else copies
        self._names: tuple[str, ...] = ()
        self._stamps = b""
        self._ahead: ReadAhead | None = None
        self._ahead_limits = DEFAULT_LIMITS

    def kind(self) -> str:
        """Return `folder`, `file` or `missing`."""
        return self._remote.kind()

    def missing(self) -> DataError:
        """Return the error for a URL with nothing behind it."""
        return DataError(f"{self.location} does not exist.", code="data_missing")

    def listing(self) -> Listing:
        """Return the contents."""
        names: list[str] = []
        stamps = bytearray()
        folders: dict[str, bool] = {"": True}
        try:
            for page in pages(self._remote):
                for folder in page.folders:
                    _is_seen(folder, folders)
                for at, name in enumerate(page.files):
                    folder, _, file = name.rpartition("/")
                    if _is_seen(folder, folders) and not is_hidden(file):
                        names.append(name)
                        stamps += page.stamps[STAMP_BYTES * at : STAMP_BYTES * (at + 1)]
        except FileNotFoundError as error:
            raise self.missing() from error
        self._names, self._stamps = _sorted(names, bytes(stamps))
        shown_folders = sorted(name for name, is_shown in folders.items() if is_shown and name)
        return Listing(self._names, tuple(shown_folders))

    def is_file(self, name: str) -> bool:
        """Return whether a name is a file."""
        return self._listed(name) is not None or self._remote.kind(name) == "file"

    def stamp(self, name: str) -> bytes | None:
        """Return 8 bytes that change with the content of a file; None where there is none."""
        at = self._listed(name)
        if at is not None:
            return self._stamps[STAMP_BYTES * at : STAMP_BYTES * (at + 1)]
        found = self._remote.info(name)
        return None if found is None or found.is_folder else found.stamp

    def read(self, name: str, limits: DecodeLimits) -> bytes:
        """Return the bytes of a file."""
        ahead = self._ahead
        if ahead is None or limits.max_bytes > self._ahead_limits.max_bytes:
            data = self._read(name, limits)
        else:
            data = ahead.take(name)
        limits.check_bytes(len(data))
        return data

    def _read(self, name: str, limits: DecodeLimits) -> bytes:
        where = shown(below(self.location, name))

        def fetch() -> bytes:
            # One byte more than allowed tells a file that is too large.
            data = self._remote.read(name, most=limits.max_bytes + 1)
            limits.check_bytes(len(data))
            return data

        try:
            stamp = self.stamp(name)
            if stamp is None:
                raise FileNotFoundError(name)
            return self._copies.get(f"{below(self._remote.url, name)}\0{stamp.hex()}", fetch)
        except FileNotFoundError as error:
            raise ImageError(f"Cannot read {where}: it does not exist.") from error
        except RemoteError as error:
            raise ImageError(
                f"Cannot read {where}: {error.why}.", hint=error.hint, code=error.error_code
            ) from error

    @contextmanager
    def expecting(self, names: Iterable[str], limits: DecodeLimits) -> Iterator[None]:
        """Read files ahead in the block, in the order in which they will be asked for."""
        before = self._ahead, self._ahead_limits
        ahead = ReadAhead(names, lambda name: self._read(name, limits))
        self._ahead, self._ahead_limits = ahead, limits
        try:
            yield
        finally:
            self._ahead, self._ahead_limits = before
            ahead.close()

    def parent(self) -> tuple[Storage, str]:
        """Return the folder that this file is in, and its name there."""
        folder, name = self._remote.parent()
        return RemoteStorage(folder, self._copies), name

    def _listed(self, name: str) -> int | None:
        at = bisect_left(self._names, name)
        return at if at < len(self._names) and self._names[at] == name else None


def _is_seen(folder: str, folders: dict[str, bool]) -> bool:
    """Return whether a folder and all above it are not hidden, and note them."""
    if folder not in folders:
        above, _, name = folder.rpartition("/")
        folders[folder] = _is_seen(above, folders) and not is_hidden(name)
    return folders[folder]


def _sorted(names: list[str], stamps: bytes) -> tuple[tuple[str, ...], bytes]:
    """Return names in sorted order, and their stamps in the same."""
    if all(one < other for one, other in pairwise(names)):
        return tuple(names), stamps
    order = sorted(range(len(names)), key=names.__getitem__)
    parts = (stamps[STAMP_BYTES * at : STAMP_BYTES * (at + 1)] for at in order)
    return tuple(names[at] for at in order), b"".join(parts)
