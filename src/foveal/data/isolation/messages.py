"""Messages between the server and its decoding processes: JSON, validated by shape.

Pixels do not go this way, and nothing is pickled: a process that a picture has taken over can only
say that there are pixels of some size, or that there are none and why.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any, Final

from foveal.data.limits import DecodeLimits
from foveal.errors import (
    ImageError,
    ImageFormatError,
    ImageMemoryError,
    ImageTooLargeError,
)

_LENGTH: Final = struct.Struct("<I")
# A hint and a sentence of an error are the longest there is.
_MAX_BYTES = 16_384
_MAX_TEXT = 1000
_ERRORS: Final = {
    kind.__name__: kind
    for kind in (ImageError, ImageFormatError, ImageMemoryError, ImageTooLargeError)
}


def send(channel: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    data = json.dumps(message).encode()
    channel.sendall(_LENGTH.pack(len(data)) + data)


def receive(channel: socket.socket, timeout_s: float | None = None) -> dict[str, Any]:
    """Receive one message.

    Args:
        channel: Where it comes from.
        timeout_s: Longest time until all of it is there.

    Raises:
        EOFError: If the other side has gone.
        TimeoutError: If it took too long.
        ValueError: If it sent something else.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size, end))
    if length > _MAX_BYTES:
        raise ValueError(f"a message of {length} bytes")
    message = json.loads(_exactly(channel, length, end))
    if not isinstance(message, dict):
        raise ValueError("no object")
    return message


def _exactly(channel: socket.socket, count: int, end: float | None) -> bytes:
    data = b""
    while len(data) < count:
        if end is not None:
            # 0 would mean not to wait at all, which raises another error.
            channel.settimeout(max(0.001, end - time.monotonic()))
        part = channel.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def request(size: int, limits: DecodeLimits, min_size: tuple[int, int] | None) -> dict[str, Any]:
    """Return the request to decode a picture of `size` bytes."""
    return {
        "size": size,
        "max_bytes": limits.max_bytes,
        "max_pixels": limits.max_pixels,
        "hint": limits.hint,
        "min_size": min_size,
    }


def refusal(error: ImageError) -> dict[str, Any]:
    """Return the message for a picture that could not be decoded."""
    return {
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "code": error.error_code,
    }


def refused(message: dict[str, Any]) -> ImageError | None:
    """Return the error of a message, or None if it announces pixels."""
    kind = message.get("error")
    if kind is None:
        return None
    text, hint, code = (_text(message.get(key)) for key in ("message", "hint", "code"))
    return _ERRORS.get(str(kind), ImageError)(
        text or "The picture cannot be decoded.", hint=hint, code=code
    )


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return "".join(c for c in value[:_MAX_TEXT] if c.isprintable())


def sizes(message: dict[str, Any], limits: DecodeLimits) -> tuple[int, int, int, int]:
    """Return height and width of the decoded pixels, and of the picture.

    Raises:
        ValueError: If no picture has such sizes.
    """
    found = message.get("sizes")
    if not (
        isinstance(found, list)
        and len(found) == 4
        and all(type(side) is int and side > 0 for side in found)
        and found[0] <= found[2]
        and found[1] <= found[3]
        and found[2] * found[3] <= limits.max_pixels
    ):
        raise ValueError("sizes of no picture")
    return found[0], found[1], found[2], found[3]
