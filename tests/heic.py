"""A HEIC picture, encoded once: what decodes HEIC here cannot write it."""

from __future__ import annotations

import base64

# 64 x 48 px, drawn: the left half red, the right blue, a white square of 16 px at the top left.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAHoAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34"
    "+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5"
    "uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAA"
    "AAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAA"
    "AAAAAAEAAQWBAgMFhAAAAIJtZGF0AAAAdigBrwngIYB0pa/+3xRwr/+XcP//mqXQ/izM+P/6G5//5qpj/poh07kv"
    "//yIb//sEyr/68kqeFLwrH95PJ6+37Gs0CxtxVUQKO02clVmSawEnsNyONolL9EGNsIRYDcciJ1NWB8SIpfqgTOy"
    "Z+/VowlK26+8foM="
)


def turned(quarters: int) -> bytes:
    """Return the picture with a turn against the clock stated in its boxes (`irot`).

    It takes the place of the note on bits (`pixi`), and comes after the cut (`clap`).
    """
    at = HEIC.index(b"pixi")
    data = HEIC[:at] + b"irot" + bytes([quarters]) + HEIC[at + 5 :]
    return data.replace(b"\x03\x05\x84", b"\x03\x84\x05")


def resized(data: bytes, width: int, height: int) -> bytes:
    """Return a HEIC or AVIF picture whose boxes state another size."""
    at = data.index(b"ispe") + 8
    return data[:at] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + data[at + 8 :]
