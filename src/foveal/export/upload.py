"""Upload an export to a URL; the main file is uploaded last, since object stores cannot rename."""

from __future__ import annotations

import contextlib
from pathlib import Path

from foveal.errors import RemoteError, UsageError
from foveal.remote import Remote, open_url
from foveal.urls import shown


def check_free(url: str) -> Remote:
    """Return what the URL names, before the work whose result would be lost.

    Raises:
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        RemoteError: If it cannot be read.
        UsageError: If it is of no known kind, or something is there already.
    """
    remote = open_url(url)
    if remote.info() is not None:
        place = shown(url)
        raise UsageError(
            f"Cannot write {place}: it already exists.", hint="choose another URL for --out"
        )
    return remote


def upload(path: Path, remote: Remote, main: str) -> None:
    """Copy a file or a folder; when it fails, what was copied is removed.

    Args:
        path: The file or folder.
        remote: Where it goes; nothing is there.
        main: Path, in a folder, of the file that makes it complete, which is copied last.

    Raises:
        RemoteError: If it cannot be written.
    """
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    files.sort(key=lambda file: file == path / main)
    try:
        for file in files:
            remote.put(file, "" if file == path else file.relative_to(path).as_posix())
    except BaseException:
        with contextlib.suppress(RemoteError):
            remote.delete(recursive=path.is_dir())
        raise
