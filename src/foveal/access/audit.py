"""The append-only audit log: one JSON line per administrative action.

It says what was done to models and keys; requests for answers are in the access log.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foveal.errors import FovealError

# Many lines: an action whose line finds no room must not have been carried out before.
_LEAST_FREE_BYTES = 64 * 1024


def audit_path(keys_file: Path) -> Path:
    """Return where acts are written down unless something else is said: beside the keys."""
    return keys_file.with_name(f"{keys_file.name.removesuffix('.json')}.audit.jsonl")


def append_audit(path: Path, act: str, entry: Mapping[str, Any]) -> None:
    """Add one line, and wait until it is on the disk.

    Args:
        path: The log; made when it is not there, readable by its owner only.
        act: What was done, such as `keys.create`.
        entry: Who, from where, what exactly, and the outcome. Never a key.

    Raises:
        FovealError: If it cannot be written.
    """
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"time": time, "act": act, **entry}, ensure_ascii=True, default=str)
    content = line.encode() + b"\n"
    with _appending(path) as descriptor:
        # One write to a file opened for appending: lines of several processes do not mix.
        if os.write(descriptor, content) < len(content):
            raise _no_space()
        os.fsync(descriptor)


def check_audit(path: Path) -> None:
    """Raise unless the log can be added to: what cannot be written down is not done.

    Raises:
        FovealError: If it cannot be written.
    """
    with _appending(path):
        disk = shutil.disk_usage(path.parent)
        # Some file systems do not know their size.
        if disk.total and disk.free < _LEAST_FREE_BYTES:
            raise _no_space()


def _no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _appending(path: Path) -> Iterator[int]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise FovealError(
            f"Cannot write the audit log {path}: {error.strerror}.",
            hint="make its folder writable, or name another file: foveal serve --audit-log FILE",
        ) from error
