"""Read picture files, with errors that name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foveal.data.limits import DecodeLimits
from foveal.errors import ImageError, nearest, reason
from foveal.special import special_kind


def read_file(path: Path, limits: DecodeLimits) -> bytes:
    """Return the bytes of a picture file.

    Raises:
        ImageTooLargeError: If it is over the limit; it is not read then.
        ImageError: If it is missing or cannot be read.
    """
    with reading(path), path.open("rb") as file:
        # One byte more than allowed tells a file that grew, or a pipe, from one that fits.
        data = file.read(limits.max_bytes + 1)
        if len(data) > limits.max_bytes:
            limits.check_bytes(max(path.stat().st_size, len(data)))
        return data


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert errors of reading a picture file to errors that name the file.

    Raises:
        ImageError: If it is missing or cannot be read.
    """
    if (kind := special_kind(path)) is not None:
        raise ImageError(f"{path} is {kind}. Expected a picture file.")
    try:
        yield
    except FileNotFoundError as error:
        message, hint = missing_path(path)
        raise ImageError(message, hint=hint, code="image_missing") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path} is a folder. Expected a picture.") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"Cannot read {path}: {reason(error)}.") from error


def missing_path(path: Path) -> tuple[str, str | None]:
    """Return a sentence and a hint for a path that does not exist.

    The hint is the nearest name beside it, or else from where a relative path was followed.
    """
    given, parent = path, path.parent
    while not parent.is_dir() and parent != parent.parent:
        path, parent = parent, parent.parent
    try:
        beside = [entry.name for entry in parent.iterdir() if not entry.name.startswith(".")]
    except OSError:
        beside = []
    near = nearest(path.name, beside)
    hint = None if given.is_absolute() else f"relative paths start from {Path.cwd()}"
    return f"{path} does not exist.", f"did you mean {parent / near}?" if near else hint
