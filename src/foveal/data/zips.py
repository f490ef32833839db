"""Open zip archives of strangers: what they claim is checked before anything is read."""

from __future__ import annotations

import zipfile
from pathlib import Path


def open_zip(path: Path, *, max_directory_bytes: int) -> zipfile.ZipFile:
    """Open an archive whose members lie inside the file, and whose list of them is bearable.

    Args:
        path: The archive, a file on disk.
        max_directory_bytes: Longest list of members. Each takes 46 bytes and its name there, and
            ten times that in memory.

    Raises:
        zipfile.BadZipFile: When it is no such archive.
        OSError: When the system refuses it.
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
            raise zipfile.BadZipFile(f"{info.filename!r} claims more bytes than the file has")
    return archive
