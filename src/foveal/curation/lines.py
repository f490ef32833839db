"""Files of JSON objects, one a line, that are only ever appended to.

What is appended outlives a kill and a loss of power. A line that a killed process left unfinished
is passed over, and cut off by the next append. Several processes may append to one file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar, final

from foveal.atomic import drop_unfinished_line, hold
from foveal.errors import DataError
from foveal.types import JsonObject

T = TypeVar("T")


@contextmanager
def opened_to_append(path: Path) -> Iterator[IO[bytes]]:
    """Give the file, locked against all others that append, with nothing unfinished at its end.

    Args:
        path: The file; made with its folder when it is not there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        hold(file.fileno())
        drop_unfinished_line(file)
        yield file


def append_lines(file: IO[bytes], values: Iterable[JsonObject]) -> None:
    """Add lines to a file of `opened_to_append`, and wait until they are on the disk."""
    file.write(b"".join(map(line_of, values)))
    file.flush()
    os.fsync(file.fileno())


def line_of(value: JsonObject) -> bytes:
    """Return a line of JSON; in ASCII, since names of files need not be valid Unicode."""
    return json.dumps(value).encode() + b"\n"


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file that were finished; none where there is no file."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    # What follows the last line feed was never finished.
    return lines[:-1]


@final
@dataclass(frozen=True, slots=True)
class Format(Generic[T]):
    """The format of the lines of a file.

    Attributes:
        what: What a line is, in words: `a decision`.
        read: Makes it of a JSON value; ValueError, KeyError or TypeError when it is none.
        hint: What to do about a line that is none.
    """

    what: str
    read: Callable[[Any], T]
    hint: str

    def parse(self, path: Path, number: int, line: bytes) -> T:
        """Return what a line holds.

        Raises:
            DataError: If it is something else.
        """
        try:
            return self.read(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{path}, line {number}, is not {self.what}: {why}.", hint=self.hint
            ) from error


def read_lines(path: Path, form: Format[T]) -> Iterator[T]:
    """Yield what each whole line holds; nothing without the file.

    Raises:
        DataError: For a line that is something else.
    """
    for number, line in enumerate(whole_lines(path), 1):
        yield form.parse(path, number, line)
