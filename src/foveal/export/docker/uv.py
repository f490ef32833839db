"""uv, which asks the package index for hashes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from foveal.errors import UsageError

_MOST_WORDS = 600


def uv(arguments: Sequence[str], folder: Path, failed: str) -> str:
    """Run uv in a folder and return what it prints.

    Args:
        arguments: What is typed after `uv`.
        folder: Where it runs; not in a project, so that no project's settings count.
        failed: What could not be done, as an error's message begins.

    Raises:
        UsageError: If it fails, as it does where no package index can be reached.
    """
    command = [sys.executable, "-m", "uv", *arguments, "--quiet"]
    done = subprocess.run(  # noqa: S603 - our own arguments, no shell
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = " ".join(done.stderr.split())[-_MOST_WORDS:]
        raise UsageError(
            f"{failed}: {reason}",
            hint="check that the package index can be reached; set UV_INDEX_URL to use another one",
        )
    return done.stdout
