"""Check destinations of results before the work begins."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from foveal.errors import UsageError

# Endings of what people expect in one file: tables, reports, pictures and archives.
_OF_FILES = frozenset(
    ".csv .html .json .jsonl .pdf .txt .jpeg .jpg .png .tif .tiff .gz .tar .tgz .zip".split()
)


# A drive of Windows has one letter.
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:")


def cache_directory() -> Path:
    """Return where foveal keeps what it can make again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "foveal"


def state_directory() -> Path:
    """Return where foveal keeps what it must not forget, such as the jobs that it sent away."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "foveal"


def check_file(path: Path) -> None:
    """Raise unless the file can be written; nothing is left behind.

    Raises:
        UsageError: If a folder is there, or its own folder is missing or cannot be written to, or
            it is at a URL.
    """
    check_is_no_url(path)
    if path.is_dir():
        raise UsageError(
            f"Cannot write {path}: it is an existing folder.",
            hint=f"use --out {shlex.quote(str(path / 'NAME'))}",
        )
    folder = path.parent
    if not folder.exists():
        raise UsageError(
            f"Cannot write {path}: the folder {folder} does not exist.",
            hint=f"mkdir -p {shlex.quote(str(folder))}",
        )
    with writing(path):
        _try(folder)


def check_folder(path: Path) -> None:
    """Raise unless files can be written to the folder, which need not be there yet.

    Raises:
        UsageError: If a file is there or above it, it cannot be written to, it is at a URL, or a
            folder that is not there yet is named like a file: one file was expected.
    """
    check_is_no_url(path)
    if path.suffix.lower() in _OF_FILES and not os.path.lexists(path):
        raise UsageError(
            f"{path} is named like a file. Expected a folder.",
            hint=f"use --out {shlex.quote(str(path.with_suffix('')))}",
        )
    there = path.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UsageError(
            f"Cannot write to the folder {path}: {_shown(there, path)} is not a folder.",
            hint="choose another --out",
        )
    with writing(path):
        _try(there)


def check_is_no_url(path: Path) -> None:
    """Raise for what is left of a URL in a path: `s3://bucket/x` becomes `s3:/bucket/x`.

    Raises:
        UsageError: If the path begins like one.
    """
    scheme, *names = path.parts or ("",)
    if _SCHEME.fullmatch(scheme):
        raise UsageError(
            f"Cannot write to {scheme}//{'/'.join(names)}. Expected a path on this machine.",
            hint="write to a folder on this machine, and copy it to the URL",
        )


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name what is being written when the system refuses it: no rights, no space.

    Raises:
        UsageError: In place of an `OSError` of the system.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            # Not of the system: a library derived its own error from OSError.
            raise
        raise UsageError(f"Cannot write {path}: {error.strerror}.") from error


def _try(folder: Path) -> None:
    """Make a file and remove it: permissions alone do not tell of read-only disks and /proc."""
    # Imported late: it brings what draws random names.
    import tempfile

    with tempfile.NamedTemporaryFile(dir=folder, prefix=".tmp-"):
        pass


def _shown(there: Path, path: Path) -> str:
    """Return the part of `path` that `there` is, as the user wrote it."""
    for part in (path, *path.parents):
        if part.absolute() == there:
            return str(part)
    return str(there)
