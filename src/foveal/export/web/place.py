"""Find a runtime for verifying an app on this machine: Chromium or Node."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import final

PROVER = Path(__file__).parent / "prover"
"""The files that give an app its pictures."""
BROWSER_VARIABLE = "FOVEAL_BROWSER"
"""Environment variable: a Chromium that exports are proven in."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@final
@dataclass(frozen=True, slots=True)
class Place:
    """A runtime for apps on this machine.

    Attributes:
        name: `Chromium` or `Node`.
        program: What to start.
    """

    name: str
    program: str

    def command(self, folder: Path, address: str, profile: Path) -> list[str]:
        """Return what to run for an app in `folder` that is served at `address`."""
        if self.name == "Node":
            return [self.program, str(PROVER / "node.mjs"), str(folder), address]
        # As root, as in most containers, Chromium has no sandbox to offer.
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        quiet = ["--no-first-run", "--no-default-browser-check", "--disable-background-networking"]
        page = f"{address}page.html"
        own = [f"--user-data-dir={profile}", "--disable-gpu", "--disable-dev-shm-usage"]
        return [self.program, "--headless=new", *root, *quiet, *own, page]


def find_place() -> Place | None:
    """Return where apps can be proven on this machine: a Chromium, else Node, else None."""
    chosen = os.environ.get(BROWSER_VARIABLE)
    for name in [chosen] if chosen else _BROWSERS:
        if program := shutil.which(name):
            return Place("Chromium", program)
    node = shutil.which("node")
    return Place("Node", node) if node else None


def has_place() -> bool:
    """Return whether apps can be proven on this machine."""
    return find_place() is not None


def install_place() -> str:
    """Return a command that installs one."""
    return f"apt-get install chromium (or set {BROWSER_VARIABLE} to a Chromium or Chrome)"
