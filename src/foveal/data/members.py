"""A file or folder in an archive, as declared by the archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final


@final
@dataclass(frozen=True, slots=True)
class Member:
    """The entry of a file in an archive.

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
