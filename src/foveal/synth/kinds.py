"""What a kind of drawn pictures must do, and the table of kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from foveal.registry import Registry


class Kind(Protocol):
    """Draws one kind of labelled pictures."""

    @property
    def description(self) -> str:
        """What is drawn, in a few words for people."""

    def write(self, out: Path, *, count: int, seed: int) -> None:
        """Draw pictures into a folder that `foveal train` takes as it is.

        Args:
            out: The folder; made here, and refused when it holds anything already.
            count: How many pictures, at least 1.
            seed: Same seed, same fonts installed: same pictures, byte for byte.

        Raises:
            UsageError: For a folder that is not empty, or a count under 1.
            DataError: When this machine has no font that can draw them.
        """


KINDS: Registry[Kind] = Registry("kind of pictures")
