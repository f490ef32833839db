"""Locate members and elements in JSON text, for editing them in place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def members_of(text: str) -> dict[str, tuple[int, int, Any]]:
    """Return key in lower case → start, end and value of each member of a JSON object.

    Raises:
        ValueError: If it is none.
    """
    found: dict[str, tuple[int, int, Any]] = {}
    at = _after_space(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError
    at = _after_space(text, at + 1)
    while text[at : at + 1] == '"':
        key, at = _DECODER.raw_decode(text, at)
        # The colon between spaces.
        start = _after_space(text, _after_space(text, at) + 1)
        value, end = _DECODER.raw_decode(text, start)
        found[key.strip().lower()] = (start, end, value)
        at = _after_space(text, end)
        if text[at : at + 1] != ",":
            break
        at = _after_space(text, at + 1)
    return found


def elements_of(text: str, start: int) -> Iterator[tuple[int, int, Any]]:
    """Yield start, end and value of each element of the JSON array that begins at `start`.

    Raises:
        ValueError: If it is damaged.
    """
    at = _after_space(text, start + 1)
    while text[at : at + 1] != "]":
        value, end = _DECODER.raw_decode(text, at)
        yield at, end, value
        at = _after_space(text, end)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
