"""Detect special files, such as named pipes, on which opening may block forever."""

from __future__ import annotations

import stat
from pathlib import Path

# What a shell gives for `<(command)` and for standard input: somebody writes into these.
_OPEN_ALREADY = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")


def special_kind(path: Path) -> str | None:
    """Return what a path names that must not be read, in words; None for all else.

    Files, folders, what does not exist, and pipes that the shell has opened are fine.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISFIFO(mode):
        return None if str(path).startswith(_OPEN_ALREADY) else "a named pipe"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "a device"
    return "a socket" if stat.S_ISSOCK(mode) else None
