"""Parse JSON bodies within limits on depth and number of values."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from foveal.data.headers import sniff
from foveal.server.request.limits import RequestError

MAX_DEPTH = 64
# Each becomes an object of up to 150 bytes: 16 MiB of `{},{},…` would take a gigabyte. Pictures
# are base64, which is one value; as numbers this is one of 295 by 295 pixels.
MAX_VALUES = 2**18
# A body over this is parsed off the event loop: 256 KiB of JSON takes under a millisecond.
_INLINE_BYTES = 256 * 1024
# What an error repeats of the request, in bytes of UTF-8: TF Serving's own limit.
_SHOWN_BYTES = 256

_T = TypeVar("_T")


async def parse_aside(body: bytes, parse: Callable[[], _T]) -> _T:
    """Return what `parse` makes of a body; of a large one in a thread."""
    return await asyncio.to_thread(parse) if len(body) > _INLINE_BYTES else parse()


def parse_json(body: bytes, *, lenient: bool = False, for_picture: str = "") -> Any:
    """Return the JSON document of a body.

    Args:
        body: The whole body.
        lenient: As TF Serving reads it: `NaN` and `Infinity` are numbers, and what follows the
            document is ignored.
        for_picture: What the error adds where the body is a picture file: how to send one here.

    Raises:
        RequestError: 400 for anything else, or for too many or too deeply nested values.
    """
    if not body.strip(b" \t\r\n"):
        raise RequestError(400, "JSON Parse error: The document is empty")
    _check_values(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        document = _leniently(body) if lenient else _NOTHING
        if document is _NOTHING:
            invalid = f"{error.msg[:_SHOWN_BYTES]} at offset: {error.pos}"
            why = _not_text(body, for_picture) or invalid
            raise RequestError(400, f"JSON Parse error: {why}") from error
    if _depth(document) > MAX_DEPTH:
        raise RequestError(400, f"The JSON is nested deeper than {MAX_DEPTH} levels.")
    return document


def parse_json_lines(body: bytes) -> list[Any]:
    """Return the JSON documents of a body that has one in each line; see `parse_json`."""
    _check_values(body)
    return [parse_json(line) for line in body.split(b"\n") if line.strip()]


def shown(value: Any) -> str:
    """Return a value as JSON for an error, cut at 256 bytes."""
    option = orjson.OPT_NON_STR_KEYS
    return orjson.dumps(value, option=option)[:_SHOWN_BYTES].decode("utf-8", errors="ignore")


def shown_text(text: str) -> str:
    """Return a text for an error, cut at 256 bytes."""
    return text.encode()[:_SHOWN_BYTES].decode("utf-8", errors="ignore")


_NOTHING = object()


def _check_values(body: bytes) -> None:
    """Refuse too many values before anything is built: each but the first follows one of these."""
    if sum(body.count(sign) for sign in (b",", b"[", b"{", b"\n")) > MAX_VALUES:
        raise RequestError(
            400, f"The JSON has more than {MAX_VALUES} values. Send pictures as base64."
        )


def _not_text(body: bytes, for_picture: str) -> str | None:
    """Return what a body is that is not even text, which the parser says in puzzling words."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        if kind := sniff(body):
            return f"The body is a {kind} picture, not JSON. {for_picture}".rstrip()
        byte = body[error.start]
        return f"The body is not UTF-8: byte 0x{byte:02x} at offset: {error.start}"
    return None


def _leniently(body: bytes) -> Any:
    try:
        text = body.decode()
        document, _ = json.JSONDecoder().raw_decode(text, len(text) - len(text.lstrip(" \t\r\n")))
        # The standard library lets halves of surrogate pairs pass, which no answer can repeat.
        orjson.dumps(document)
    except (ValueError, RecursionError, TypeError):
        return _NOTHING
    return document


def _depth(document: Any) -> int:
    depth, level = 0, [document]
    while level:
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        level = [value for value in inner if isinstance(value, dict | list)]
        depth += 1
        if depth > MAX_DEPTH:
            break
    return depth
