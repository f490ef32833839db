"""Put an export where a URL says: object stores have no rename, so what completes it comes last."""

from __future__ import annotations

import contextlib
from pathlib import Path

from foveal.errors import UsageError
from foveal.urls import Remote, open_url


def check_free(url: str) -> Remote:
    """Return what the URL names, before the work whose result would be lost.

    Raises:
        MissingExtraError: When the URL's kind needs a package that is not installed.
        UsageError: When it is of no known kind, something is there already, or it cannot be read.
    """
    remote = open_url(url)
    try:
        is_taken = remote.files.exists(remote.root)
    except Exception as error:  # The clients of object stores share no base class of errors.
        raise UsageError(f"Cannot write {url}: {error}") from error
    if is_taken:
        raise UsageError(f"Cannot write {url}: it is there already.", hint="--out with another URL")
    return remote


def upload(path: Path, remote: Remote, main: str) -> None:
    """Copy a file or a folder; when it fails, what was copied is removed.

    Args:
        path: The file or folder.
        remote: Where it goes; nothing is there.
        main: Path, in a folder, of the file that makes it complete, which is copied last.

    Raises:
        UsageError: When it cannot be written.
    """
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    files.sort(key=lambda file: file == path / main)
    try:
        for file in files:
            target = remote.path(*(() if file == path else file.relative_to(path).parts))
            remote.files.makedirs(target.rpartition("/")[0], exist_ok=True)
            remote.files.put_file(str(file), target)
    except Exception as error:  # As above.
        with contextlib.suppress(Exception):
            remote.files.rm(remote.root, recursive=path.is_dir())
        raise UsageError(f"Cannot write {remote.url}: {error}") from error
