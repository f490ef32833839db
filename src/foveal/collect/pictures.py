"""Validate downloaded pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import final

from foveal.data.decode import DEFAULT_LIMITS, decode
from foveal.data.headers import Format, read_header
from foveal.errors import (
    ImageError,
    ImageFormatError,
    ImageMemoryError,
    ImageTooLargeError,
    MissingExtraError,
)

NAME_DIGITS = 32
"""Of the sha256 in a file's name: 128 bits, which nobody finds a second picture for."""

SUFFIXES: dict[Format, str] = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "AVIF": ".avif",
    "HEIC": ".heic",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
}


@final
@dataclass(frozen=True, slots=True)
class Looked:
    """The result of the validation of a file.

    Attributes:
        sha256: As hexadecimal digits.
        name: Name of the file to be, by the format of the bytes, whatever they were called.
        problem: Why they are not kept, or None.
        passes: Whether they may be kept later, on a machine that can decode them.
    """

    sha256: str
    name: str
    problem: str | None
    passes: bool = False


def look_at(body: bytes) -> Looked:
    """Decode a picture, so that a damaged one is told from a good one."""
    digest = hashlib.sha256(body).hexdigest()
    name, problem = "", None
    try:
        name = digest[:NAME_DIGITS] + SUFFIXES[read_header(body).format]
        decode(body, DEFAULT_LIMITS, min_size=(32, 32))
    except ImageTooLargeError:
        problem = "too many pixels"
    except ImageMemoryError:
        return Looked(digest, name, "not enough memory to decode it", passes=True)
    except ImageFormatError as error:
        if error.error_code == MissingExtraError.code:
            return Looked(digest, name, "HEIC needs foveal[heic]", passes=True)
        problem = _format_problem(body)
    except ImageError:
        problem = "damaged picture"
    return Looked(digest, name, problem)


def _format_problem(body: bytes) -> str:
    if not body:
        return "not a picture: empty"
    head = body[:512].lstrip().lower()
    is_page = head.startswith((b"<!doctype html", b"<html"))
    return "not a picture: text/html" if is_page else "not a picture of a supported format"
