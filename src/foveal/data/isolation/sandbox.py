"""The sandbox of a process that decodes untrusted pictures."""

from __future__ import annotations

import ctypes
import resource
import signal
import sys
from pathlib import Path

from foveal.data.isolation import seccomp

_PR_SET_PDEATHSIG = 1
# Room besides the pixels: the file, what libraries keep, their tables.
_ROOM_BYTES = 256 << 20
# Pillow's pixels and ours are 7; the coefficients of a JPEG in several scans 8, of four channels.
_BYTES_PER_PIXEL = 24
_PIXEL_BYTES = 3
_PAGE_BYTES = resource.getpagesize()


def enter_sandbox() -> None:
    """Enter the sandbox, irreversibly.

    Everywhere: opening files and sockets, core dumps, new processes. On Linux also: outliving the
    process that started this one, and all system calls but those of `seccomp`.
    """
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # When the machine has no memory left, this process goes first.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What is open stays open; nothing else can be, whatever the machine.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
    if seccomp.is_supported():
        seccomp.allow_only_computing()


def used_bytes() -> int:
    """Return the size of this process's address space; 0 where the system does not say."""
    try:
        with Path("/proc/self/statm").open(encoding="ascii") as file:
            return int(file.read().split()[0]) * _PAGE_BYTES
    except OSError:
        return 0


def limit_memory(used: int, file_bytes: int, max_pixels: int) -> None:
    """Limit the memory and the output file for the next picture.

    Args:
        used: Memory of this process before the picture, in bytes.
        file_bytes: Size of the picture's file.
        max_pixels: Most pixels that it may have.
    """
    most = used + _ROOM_BYTES + 2 * file_bytes + _BYTES_PER_PIXEL * max_pixels
    for kind, value in (
        (resource.RLIMIT_AS, most),
        (resource.RLIMIT_FSIZE, _PIXEL_BYTES * max_pixels),
    ):
        resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))
