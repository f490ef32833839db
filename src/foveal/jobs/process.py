"""Identify a process even if its id is reused."""

from __future__ import annotations

import subprocess
from pathlib import Path

# In /proc/PID/stat, counted behind the name, which may hold anything: ticks since the system began.
_START_FIELD = 19


def started_at(pid: int, processes: Path = Path("/proc")) -> str:
    """Return when a process was started, in the system's own terms; "" where there is none."""
    if processes.is_dir():
        try:
            stat = (processes / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return stat.rpartition(")")[2].split()[_START_FIELD]
    asked = ["ps", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()
