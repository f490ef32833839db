"""Read files of untrusted tar archives, compressed or not, in any order.

A tar has no list of its files: their headers are gone through once, and only where each file lies
is remembered. A compressed one can be read from its beginning only. It is therefore decompressed
once, into a file without a name that is gone with the process. That costs the time of one pass, a
gigabyte of photographs 6 s of one core with gzip, 67 s with xz and 93 s with bzip2
(benchmarks/curation/tar_pass.py), and the disk space for as long as it is open.
"""

from __future__ import annotations

import bz2
import lzma
import shutil
import tarfile
import tempfile
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, final

from foveal.data.members import Member
from foveal.destination import cache_directory
from foveal.errors import DataError

_CHUNK_BYTES = 1 << 20
# What a small archive may unpack to, and how many times its size a larger one may.
_SMALL_BYTES = 1_000_000_000
_MOST_TIMES = 200
# Left free on the disk that a compressed archive is unpacked to.
_FREE_BYTES = 1_000_000_000
_MAX_MEMBERS = 2_000_000
# Headers are of 512 bytes, those with long names some more.
_MAX_HEADER_BYTES = 1 << 20
# What xz needs at its highest setting is a quarter of that.
_MAX_XZ_MEMORY = 1 << 28
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"(\xb5/\xfd": "zstd"}


@final
class TarFiles:
    """The files of a tar archive.

    Args:
        path: The archive; how it is compressed its first bytes say.

    Raises:
        DataError: If it is no whole archive, or unpacks to far more than its size.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = _open(path)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.errno else error
            raise self._broken(reason) from error
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    @property
    def again(self) -> str:
        """Return a command that makes such an archive, without links in it."""
        return "tar --dereference --hard-dereference -cf photos.tar photos"

    def members(self) -> Iterator[Member]:
        """Yield its files and folders, in their order.

        Raises:
            DataError: If it is damaged, or lists too many.
        """
        # The longest that any header, name or table of holes in it may be.
        bounded = _Bounded(self._file)
        before = -1
        try:
            archive = tarfile.TarFile(fileobj=bounded, mode="r")  # type: ignore[arg-type]
            while (info := archive.next()) is not None:
                # It would otherwise remember all of them, a kilobyte each.
                archive.members = []  # type: ignore[attr-defined]  # Known to all who read large ones.
                if info.offset <= before or info.size < 0:
                    raise tarfile.ReadError("its headers form a cycle")
                before = info.offset
                bounded.count()
                yield Member(
                    info.name, info.isdir(), info.size, info.offset_data, self._problem(info)
                )
        except (tarfile.TarError, OSError, ValueError, EOFError, RecursionError) as error:
            raise self._broken(error) from error
        except (OverflowError, LookupError, TypeError, AttributeError) as error:
            # Numbers and texts in headers that are none.
            raise self._broken(type(error).__name__) from error

    def read(self, member: Member) -> bytes:
        """Return the bytes of a file.

        Raises:
            EOFError: If the archive ends before.
        """
        with self._lock:
            self._file.seek(member.place)
            data: bytes = self._file.read(member.size)
        if len(data) < member.size:
            raise EOFError("the archive is truncated within it")
        return data

    def _problem(self, info: tarfile.TarInfo) -> str | None:
        if info.issym() or info.islnk():
            return f"a link to {info.linkname!r}, which is not followed"
        if info.issparse():
            return "a file with holes"
        return None if info.isfile() or info.isdir() else "which is not a regular file"

    def _broken(self, reason: Any) -> DataError:
        words = " ".join(str(reason).split()).rstrip(".") or type(reason).__name__
        return DataError(
            f"{self._path} is not a complete tar archive: {words}.",
            hint="copy or download it again, or unpack it with another program",
        )


@final
class _Bounded:
    """A file wrapper that bounds the memory of tar headers.

    Args:
        file: Read from, at any place.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members = 0

    def count(self) -> None:
        """Count a member."""
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise tarfile.ReadError(f"it lists over {_MAX_MEMBERS:,} files")

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header declares {size:,} bytes")
        return self._file.read(size)

    def seek(self, place: int) -> int:
        """Go to a place."""
        return self._file.seek(place)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()


def _open(path: Path) -> Any:
    """Return the archive, decompressed."""
    file = path.open("rb")
    head = file.read(6)
    file.seek(0)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if kind is None:
        return file
    if kind == "zstd":
        file.close()
        raise DataError(
            f"{path} is compressed with Zstandard, which is not supported.",
            hint=f"zstd -d {path}",
        )
    with file:
        return _unpacked(path, file, kind)


class _Decompressor(Protocol):
    """Interface of the decompressors of zlib (by an adapter), bz2 and lzma."""

    eof: bool

    @property
    def unused_data(self) -> bytes:
        """Return what follows the end of a stream."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return some of what is unpacked."""

    @property
    def needs_input(self) -> bool:
        """Return whether there is nothing more without further input."""


@final
class _Gzip:
    """zlib with the interface of the two others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        """Return whether the stream has ended."""
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """Return what follows the end of the stream."""
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        """Return whether there is nothing more without further input."""
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return some of what is unpacked."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_MAKERS: dict[str, Callable[[], Any]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_XZ_MEMORY),
}


def _unpacked(path: Path, packed: BinaryIO, kind: str) -> Any:
    folder = cache_directory()
    folder.mkdir(parents=True, exist_ok=True)
    most = max(_SMALL_BYTES, _MOST_TIMES * path.stat().st_size)
    written = 0
    # Without a name: a process that is killed leaves nothing.
    out = tempfile.TemporaryFile(dir=folder)  # It lives as long as the source.
    try:
        for part in _parts(packed, _MAKERS[kind]):
            written += len(part)
            if written > most:
                raise DataError(
                    f"{path} unpacks to over {most:,} bytes, far more than its size.",
                    hint="unpack it with another program if you trust it",
                )
            if written % (64 * _CHUNK_BYTES) < len(part):
                _check_space(path, folder)
            out.write(part)
        out.seek(0)
    except BaseException:
        out.close()
        raise
    return out


def _parts(packed: BinaryIO, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Yield what is unpacked, a piece at a time; several streams may follow each other."""
    data = packed.read(_CHUNK_BYTES)
    while data:
        stream = make()
        while not stream.eof:
            yield stream.decompress(data, _CHUNK_BYTES)
            data = b""
            if stream.needs_input and not stream.eof:
                data = packed.read(_CHUNK_BYTES)
                if not data:
                    raise EOFError("it is truncated")
        # Zeros may fill it up to a whole block.
        data = (stream.unused_data or packed.read(_CHUNK_BYTES)).lstrip(b"\0")


def _check_space(path: Path, folder: Path) -> None:
    if shutil.disk_usage(folder).free < _FREE_BYTES:
        raise DataError(
            f"There is not enough disk space to unpack {path}: {folder} has less than "
            f"{_FREE_BYTES:,} bytes left.",
            hint="free some space, set XDG_CACHE_HOME to another disk, or use a zip or a plain tar",
        )
