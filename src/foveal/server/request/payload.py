"""Find the picture's bytes in a request body: raw, multipart or JSON with base64."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Any

from foveal.server.request.json_body import parse_json
from foveal.server.request.limits import RequestError

# Names under which clients send the picture, in a form or in a JSON object.
FIELD_NAMES = ("file", "image", "b64", "picture", "image_bytes", "data", "body")
_MAX_PARTS = 32
_MAX_PART_HEAD = 8192
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_PART_NAME = re.compile(rb'[;\s]name="?([^";\r\n]{0,64})"?', re.IGNORECASE)
_DATA_URL = re.compile(r"data:[\w.+/-]{0,64};base64,", re.IGNORECASE)

EMPTY = (
    "The body is empty. Expected a picture: as the raw body, as multipart field 'file' or 'image', "
    'or as JSON {"image": "<base64>"}.'
)
_NO_TYPE = 'Send it without \'Content-Type: application/json\', or as JSON {"image": "<base64>"}.'


def picture_bytes(body: bytes, content_type: str) -> bytes:
    """Return the bytes of the picture file that a body carries.

    Args:
        body: The whole body.
        content_type: Header value; anything but JSON and multipart means a raw picture, because
            many clients send a wrong type with raw bytes.

    Raises:
        RequestError: 400 when no picture can be found in it.
    """
    if not body:
        raise RequestError(400, EMPTY)
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        data = from_multipart(body, content_type)
    elif kind == "application/json" or kind.endswith("+json"):
        data = from_json_value(parse_json(body, for_picture=_NO_TYPE))
    else:
        return body
    if not data:
        raise RequestError(400, EMPTY)
    return data


def from_json_value(value: Any) -> bytes:
    """Return the picture of `"<base64>"`, `{"b64": …}`, `{"image": …}` or `{"image": {"b64": …}}`.

    Raises:
        RequestError: 400 when the value is none of these.
    """
    for _ in range(3):
        if isinstance(value, str):
            return decode_base64(value)
        if not isinstance(value, dict):
            break
        found = [value[name] for name in FIELD_NAMES if name in value]
        if len(found) != 1:
            break
        value = found[0]
    raise RequestError(400, 'Expected a picture as {"image": "<base64>"} or {"b64": "<base64>"}.')


def decode_base64(text: str) -> bytes:
    """Return the bytes of standard base64, with or without a `data:` prefix.

    Raises:
        RequestError: 400 for anything else.
    """
    prefix = _DATA_URL.match(text)
    try:
        return binascii.a2b_base64(text[prefix.end() if prefix else 0 :], strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, "Unable to base64 decode") from error


def from_multipart(body: bytes, content_type: str) -> bytes:
    """Return the content of the first field called `file` or `image` (or a like name).

    Written here rather than taken from a library: one field of a body that is already in memory
    and bounded needs no spooling, and part heads and counts are capped.

    Raises:
        RequestError: 400 for a malformed body or one without such a field.
    """
    seen: list[str] = []
    for field, content in multipart_fields(body, content_type):
        if field in FIELD_NAMES:
            return content
        seen.append(field)
    shown = f" Received: {seen}." if seen else ""
    raise RequestError(400, f"Expected a multipart field 'file' or 'image'.{shown}")


def multipart_fields(body: bytes, content_type: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the fields of a form, in their order.

    Raises:
        RequestError: 400 for a malformed body, or one of more than 32 fields.
    """
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise RequestError(400, "Malformed multipart body: no boundary in Content-Type.")
    delimiter = b"--" + (match[1] or match[2]).encode("latin-1")
    position = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if position == 1:
        raise RequestError(400, "Malformed multipart body: the boundary does not occur.")
    for _ in range(_MAX_PARTS):
        position += len(delimiter)
        if body.startswith(b"--", position):
            return
        head_end = body.find(b"\r\n\r\n", position, position + _MAX_PART_HEAD)
        end = body.find(b"\r\n" + delimiter, head_end + 2)
        if head_end < 0 or end < 0:
            raise RequestError(400, "Malformed multipart body.")
        name = _PART_NAME.search(body, position, head_end)
        yield name[1].decode("latin-1") if name else "", body[head_end + 4 : end]
        position = end + 2
    raise RequestError(400, f"Malformed multipart body: more than {_MAX_PARTS} parts.")
