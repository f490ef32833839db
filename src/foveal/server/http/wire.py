"""Parse HTTP/1.1 requests (RFC 9112): headers and chunked bodies. Performs no I/O.

What the grammar does not have is refused, not repaired: where two readers of one stream disagree
about it, the one behind takes a body for a request.
"""

from __future__ import annotations

import re
from typing import NamedTuple, final
from urllib.parse import unquote

MAX_HEAD_BYTES = 16 * 1024
"""As in nginx and Node.js: cookies of a whole site fit, and thousands of clients cost little."""
_MAX_TARGET_BYTES = 8 * 1024
_MAX_HEADERS = 100
# A chunk costs a microsecond whatever is in it; Triton Inference Server has the same limit.
_MAX_CHUNKS = 65_536
_MAX_CHUNK_LINE, _MAX_TRAILERS = 256, 4096

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_HEAD = re.compile(
    rb"(" + _TOKEN + rb") ([!-~]++) HTTP/([0-9])\.([0-9])\r\n"
    rb"((?:" + _TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+\r\n)*+)\r\n"
)
_HEADER = re.compile(rb"([^:]++):[ \t]*+((?:[^ \t\r]++|[ \t]++(?!\r))*+)[ \t]*+\r\n")
_LINE_FEED = re.compile(rb"(?<!\r)\n")
_FIRST_BYTE = re.compile(_TOKEN + rb"|\r?$")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_ABSOLUTE = re.compile(
    rb"https?://([A-Za-z0-9._-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?)(.*)", re.I
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILERS = re.compile(rb"(?:" + _TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n")


class WireError(Exception):
    """Raised for bytes that are not a request; the connection must be closed.

    Args:
        status: HTTP status of the answer.
        message: One line for the sender.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Head(NamedTuple):
    """The head of a request. A tuple because one is made for each: a frozen dataclass takes 2 µs.

    Attributes:
        method: As sent.
        path: Percent-decoded.
        raw_path: As sent, without the query.
        query: After the `?`.
        is_1_1: Whether this is HTTP/1.1 rather than 1.0.
        headers: Names in lower case. `host` is that of the target where it has one.
        length: Bytes of the body; None for a body in chunks.
        keep_alive: Whether the connection may carry another request.
        expects_continue: Whether the sender waits before it sends the body.
    """

    method: str
    path: str
    raw_path: bytes
    query: bytes
    is_1_1: bool
    headers: list[tuple[bytes, bytes]]
    length: int | None
    keep_alive: bool
    expects_continue: bool


def head_end(data: bytes, seen: int = 0) -> int:
    """Return where the head in `data` ends; -1 when it is not whole yet.

    Args:
        data: What has arrived.
        seen: How much of it was there at the last call.

    Raises:
        WireError: If `data` cannot become a head.
    """
    end = data.find(b"\r\n\r\n", max(0, seen - 3))
    if 0 <= end <= MAX_HEAD_BYTES:
        return end + 4
    if end > MAX_HEAD_BYTES or len(data) > MAX_HEAD_BYTES:
        raise WireError(431, f"The head of the request is over {MAX_HEAD_BYTES} bytes.")
    if not _FIRST_BYTE.match(data) or _LINE_FEED.search(data, max(0, seen - 1)):
        raise WireError(400, "Malformed HTTP request.")
    return -1


def read_head(data: bytes) -> Head:
    """Return the head that `data` is.

    Raises:
        WireError: 400, 414, 417, 431, 501 or 505.
    """
    match = _HEAD.fullmatch(data)
    if match is None:
        raise WireError(400, "Malformed HTTP request.")
    method, target, major, minor, block = match.groups()
    if major != b"1":
        raise WireError(505, "Expected HTTP/1.1.")
    if len(target) > _MAX_TARGET_BYTES:
        raise WireError(414, f"The address is over {_MAX_TARGET_BYTES} bytes.")
    headers = [(name.lower(), value) for name, value in _HEADER.findall(block)]
    if len(headers) > _MAX_HEADERS:
        raise WireError(431, f"More than {_MAX_HEADERS} headers.")
    named = dict(headers)
    if len(named) < len(headers):
        _join_repeated(named, headers)
    is_1_1 = minor != b"0"
    if is_1_1 and b"host" not in named:
        raise WireError(400, "The request has no Host header.")
    path = target if target.startswith(b"/") else _other_form(method, target, headers)
    if b"#" in path:
        raise WireError(400, "Malformed address.")
    raw_path, _, query = path.partition(b"?")
    expects_continue = b"expect" in named and _expects_continue(named[b"expect"])
    return Head(
        method.decode("ascii"),
        unquote(raw_path.decode("ascii")),
        raw_path,
        query,
        is_1_1,
        headers,
        _length(named, is_1_1=is_1_1),
        _keeps_alive(named[b"connection"], is_1_1) if b"connection" in named else is_1_1,
        is_1_1 and expects_continue,
    )


_SINGLE = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"content-type"})
"""Headers that frame or route a request: of two of them, readers may believe either."""


def _join_repeated(named: dict[bytes, bytes], headers: list[tuple[bytes, bytes]]) -> None:
    seen: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in seen and name in _SINGLE:
            raise WireError(400, f"More than one {name.decode('ascii')} header.")
        seen[name] = seen[name] + b"," + value if name in seen else value
    named.update(seen)


def _expects_continue(expectation: bytes) -> bool:
    if expectation.lower() != b"100-continue":
        raise WireError(417, "The only expectation that is known is 100-continue.")
    return True


def _other_form(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return path and query of a target that does not begin with a slash."""
    if method == b"CONNECT":
        raise WireError(501, "CONNECT is not supported.")
    if target == b"*" and method == b"OPTIONS":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise WireError(400, "Malformed address.")
    # The host of the target holds, whatever the header says (RFC 9112, 3.2.2).
    headers[:] = [header for header in headers if header[0] != b"host"]
    headers.append((b"host", absolute[1]))
    rest = absolute[2]
    if rest[:1] not in (b"", b"/", b"?"):
        raise WireError(400, "Malformed address.")
    return rest if rest.startswith(b"/") else b"/" + rest


def _length(named: dict[bytes, bytes], *, is_1_1: bool) -> int | None:
    length = named.get(b"content-length")
    if b"transfer-encoding" in named:
        if length is not None or not is_1_1:
            raise WireError(400, "Transfer-Encoding with Content-Length, or in HTTP/1.0.")
        if named[b"transfer-encoding"].lower() != b"chunked":
            raise WireError(501, "The only Transfer-Encoding that is known is chunked.")
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise WireError(400, "Invalid Content-Length.")
    return int(length)


def _keeps_alive(connection: bytes, is_1_1: bool) -> bool:
    options = {option.strip(b" \t") for option in connection.lower().split(b",")}
    return b"close" not in options if is_1_1 else b"keep-alive" in options


@final
class Chunks:
    """Incremental parser of chunked bodies.

    Attributes:
        is_done: Whether the body is whole.
        rest: What came after it.
    """

    def __init__(self) -> None:
        self.is_done = False
        self.rest = b""
        self._held = b""
        # Bytes of the chunk that are due, with the line end behind them; 0 before a chunk.
        self._due = 0
        self._count = 0
        self._in_trailers = False

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of the body in `data`.

        Raises:
            WireError: If these are not chunks.
        """
        data = self._held + data if self._held else data
        at, parts = 0, []
        while at < len(data) and not self._in_trailers:
            if self._due > 2:
                part = data[at : at + self._due - 2]
                parts.append(part)
                at += len(part)
                self._due -= len(part)
            elif self._due:
                if data[at] != b"\n\r"[self._due - 1]:
                    raise WireError(400, "Malformed chunk.")
                at += 1
                self._due -= 1
            else:
                end = self._begin_chunk(data, at)
                if end == at:
                    break
                at = end
        self._held = data[at:]
        if self._in_trailers:
            self._end()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _begin_chunk(self, data: bytes, at: int) -> int:
        match = _CHUNK.match(data, at, at + _MAX_CHUNK_LINE)
        if match is None:
            if b"\n" in data[at:] or len(data) - at >= _MAX_CHUNK_LINE:
                raise WireError(400, "Malformed chunk.")
            return at
        self._count += 1
        if self._count > _MAX_CHUNKS:
            raise WireError(400, f"More than {_MAX_CHUNKS} chunks.")
        size = int(match[1], 16)
        self._in_trailers = size == 0
        self._due = size + 2 if size else 0
        return match.end()

    def _end(self) -> None:
        match = _TRAILERS.match(self._held)
        if match is not None:
            self.is_done, self.rest, self._held = True, self._held[match.end() :], b""
        elif (
            len(self._held) > _MAX_TRAILERS
            or b"\r\n\r\n" in self._held
            or _LINE_FEED.search(self._held)
        ):
            raise WireError(400, "Malformed end of a body in chunks.")
