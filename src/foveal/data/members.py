"""A file or folder in an archive, as the archive states it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final


@final
@dataclass(frozen=True, slots=True)
class Member:
    """What an archive says about one of its files.

    Attributes:
        name: As it stands there.
        is_folder: Whether it is a folder.
        size: Bytes of the file, unpacked.
        place: Where it is, for whoever reads it.
        problem: Why it is refused, as the end of a sentence, or None.
    """

    name: str
    is_folder: bool
    size: int
    place: Any
    problem: str | None = None
