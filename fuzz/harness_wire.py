"""Heads and chunks of HTTP/1.1, and multipart bodies, in whatever pieces they arrive."""

from __future__ import annotations

from collections.abc import Iterable

from foveal.server.http.wire import Chunks, WireError, head_end, read_head
from foveal.server.request.limits import RequestError
from foveal.server.request.payload import from_multipart

MAX_BYTES = 4096

_HEAD = b"POST /predict/a?b=c HTTP/1.1\r\nHost: h\r\n"


def test_one(data: bytes) -> None:
    """Read a stream of requests whole, then in two pieces: both must see the same."""
    if not data:
        return
    cut = 1 + data[0] % max(1, len(data))
    stream = data[1:]
    whole = _requests([stream])
    pieces = _requests([stream[:cut], stream[cut:]])
    if whole != pieces:
        raise AssertionError(f"in one piece {whole!r}, in two {pieces!r}")
    for type_ in ("multipart/form-data; boundary=x", f"multipart/form-data; boundary={cut}"):
        try:
            part = from_multipart(stream, type_)
        except RequestError:
            continue
        if part not in stream:
            raise AssertionError("a part that is not in the body")


def _requests(pieces: list[bytes]) -> list[object]:
    """Return what is read of a stream: heads and bodies, or that it was refused."""
    found: list[object] = []
    pending, seen = b"", 0
    chunks: Chunks | None = None
    body, left = b"", 0
    for piece in pieces:
        pending += piece
        while True:
            try:
                if chunks is not None:
                    body += chunks.feed(pending)
                    pending = chunks.rest
                    if not chunks.is_done:
                        break
                    chunks, left = None, 0
                elif left:
                    body, left, pending = (
                        body + pending[:left],
                        left - len(pending[:left]),
                        pending[left:],
                    )
                    if left:
                        break
                else:
                    end = head_end(pending, seen)
                    if end < 0:
                        seen = len(pending)
                        break
                    head = read_head(pending[:end])
                    found += [body, head]
                    pending, seen, body = pending[end:], 0, b""
                    left = head.length or 0
                    chunks = Chunks() if head.length is None else None
            except WireError:
                return [*found, "refused"]
    return [*found, body]


def seeds() -> Iterable[bytes]:
    """Return requests of each kind, each behind the byte that says where to cut."""
    chunked = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    part = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n--x--\r\n'
    )
    return [
        b"\x05" + _HEAD + b"Content-Length: 3\r\n\r\nabc" + _HEAD + b"\r\n",
        b"\x30" + chunked + b"3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n" + _HEAD + b"\r\n",
        b"\x10GET http://h:80/x HTTP/1.0\r\nConnection: keep-alive, x\r\n\r\n",
        b"\x20" + _HEAD + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\na",
        b"\x09" + _HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\na",
        b"\x07" + part,
    ]
