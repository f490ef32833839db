"""Read untrusted zip archives, whose directory is validated first."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import final

from foveal.data.members import Member
from foveal.errors import DataError, ImageError

_ENCRYPTED = 0x1
# The names of a million pictures.
_MAX_DIRECTORY_BYTES = 128_000_000


@final
class ZipFiles:
    """The files of a zip archive; each is decompressed when it is read.

    Args:
        path: The archive.

    Raises:
        DataError: If it is no whole zip archive.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._archive = open_zip(path, max_directory_bytes=_MAX_DIRECTORY_BYTES)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path} is not a complete zip archive: {error}.",
                hint="copy or download it again, or unpack it with another program",
            ) from error

    @property
    def again(self) -> str:
        """Return a command that makes such an archive."""
        return "zip -r photos.zip photos"

    def members(self) -> Iterator[Member]:
        """Yield its files and folders, in their order."""
        for info in self._archive.infolist():
            yield Member(info.filename, info.is_dir(), info.file_size, info)

    def read(self, member: Member) -> bytes:
        """Return the bytes of a file.

        Raises:
            ImageError: If it is encrypted.
        """
        if member.place.flag_bits & _ENCRYPTED:
            raise ImageError(f"{member.name} is encrypted.")
        return self._archive.read(member.place)


def open_zip(path: Path, *, max_directory_bytes: int) -> zipfile.ZipFile:
    """Open an archive after validating the positions and the number of its members.

    Args:
        path: The archive, a file on disk.
        max_directory_bytes: Longest list of members. Each takes 46 bytes and its name there, and
            ten times that in memory.

    Raises:
        zipfile.BadZipFile: If it is no such archive.
        OSError: If the system refuses it.
    """
    try:
        with path.open("rb") as file:
            # Private, but what ZipFile reads itself: what was checked is what is opened.
            end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        # None is no archive, which ZipFile says.
        if end is not None and end[zipfile._ECD_SIZE] > max_directory_bytes:  # type: ignore[attr-defined]
            raise zipfile.BadZipFile("it lists too many files")
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, MemoryError):
        raise
    except Exception as error:
        # UnicodeDecodeError, NotImplementedError, struct.error, OverflowError, …
        raise zipfile.BadZipFile(str(error) or type(error).__name__) from error
    size = path.stat().st_size
    for info in archive.infolist():
        if info.header_offset < 0 or info.header_offset + info.compress_size > size:
            archive.close()
            raise zipfile.BadZipFile(f"{info.filename!r} declares more bytes than the file has")
    return archive
