"""Heads and bodies in chunks: what is read, what is refused, and in whatever pieces it arrives."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.server.http.wire import Chunks, WireError, head_end, read_head


def read(lines: bytes) -> object:
    """Return the head of a request given without its last two line ends."""
    return read_head(lines + b"\r\n\r\n")


def test_a_head_is_read() -> None:
    head = read_head(
        b"POST /a%20b/c?x=%20&y HTTP/1.1\r\nHost: h\r\nContent-Length:5\r\n"
        b"X-Two: a b \t\r\nX-None:\r\nx-two: c\r\n\r\n"
    )
    assert head == (
        "POST",
        "/a b/c",
        b"/a%20b/c",
        b"x=%20&y",
        True,
        [
            (b"host", b"h"),
            (b"content-length", b"5"),
            (b"x-two", b"a b"),
            (b"x-none", b""),
            (b"x-two", b"c"),
        ],
        5,
        True,
        False,
    )


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: Upgrade, Close\r\n", False),
        (b"1.1", b"Connection: a\r\nConnection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
        # A later minor version is read as the one that is known.
        (b"1.9", b"", True),
    ],
)
def test_connections_are_kept_as_the_versions_have_it(
    version: bytes, connection: bytes, kept: bool
) -> None:
    head = read_head(b"GET / HTTP/" + version + b"\r\nHost: h\r\n" + connection + b"\r\n")
    assert head.keep_alive is kept


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /", 400),
        (b"GET / HTTP/1.1", 400),
        (b"GET  / HTTP/1.1\r\nHost: h", 400),
        (b"GET / HTTP/1.1 \r\nHost: h", 400),
        (b"GET / http/1.1\r\nHost: h", 400),
        (b"G\xc3\x84T / HTTP/1.1\r\nHost: h", 400),
        (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: h", 400),
        (b"GET /#a HTTP/1.1\r\nHost: h", 400),
        (b"GET a HTTP/1.1\r\nHost: h", 400),
        (b"GET * HTTP/1.1\r\nHost: h", 400),
        (b"GET ftp://h/ HTTP/1.1\r\nHost: h", 400),
        (b"GET http://user@h/ HTTP/1.1\r\nHost: h", 400),
        (b"GET http://h:x/ HTTP/1.1\r\nHost: h", 400),
        (b"GET http:///x HTTP/1.1\r\nHost: h", 400),
        (b"GET http://h#x HTTP/1.1\r\nHost: h", 400),
        (b"CONNECT h:443 HTTP/1.1\r\nHost: h", 501),
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/0.9\r\nHost: h", 505),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: h", 400),
        (b"GET / HTTP/1.1\r\nHost : h", 400),
        (b"GET / HTTP/1.1\r\n Host: h", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n: b", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\nc: d", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc: d", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: \0", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +1", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1_0", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length:", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: " + b"9" * 19, 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400),
        (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked", 501),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked", 501),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nExpect: tea", 417),
        (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: h", 414),
        (b"GET / HTTP/1.1\r\nHost: h" + b"\r\na: b" * 100, 431),
    ],
)
def test_what_is_not_a_request_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(WireError) as refused:
        read(head)
    assert refused.value.status == status


def test_the_host_of_an_absolute_target_holds() -> None:
    head = read_head(b"GET http://inside:80/a?b HTTP/1.1\r\nHost: outside\r\n\r\n")
    assert (head.path, head.query) == ("/a", b"b")
    assert head.headers == [(b"host", b"inside:80")]
    assert read_head(b"GET HTTP://[::1] HTTP/1.1\r\nHost: h\r\n\r\n").path == "/"
    assert read_head(b"GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n").raw_path == b"/"


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\n\n", b"\r\r", b"\n", b" GET"]
)
def test_what_cannot_become_a_head_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(WireError):
        head_end(data)


@pytest.mark.parametrize("data", [b"", b"\r", b"G", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\n\r"])
def test_what_can_is_waited_for(data: bytes) -> None:
    assert head_end(data) == -1


def test_a_head_has_a_largest_size() -> None:
    with pytest.raises(WireError, match="16384 bytes"):
        head_end(b"G" * 16385)
    with pytest.raises(WireError, match="16384 bytes"):
        head_end(b"G" * 16385 + b"\r\n\r\n")
    assert head_end(b"G" * 16384) == -1


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_the_end_of_a_head_is_found_in_whatever_pieces_it_comes(
    data: bytes, cuts: list[int]
) -> None:
    head = b"GET / HTTP/1.1\r\nA: " + data.replace(b"\n", b"").replace(b"\r", b"") + b"\r\n\r\n"
    places = sorted({0, len(head), *(min(cut, len(head)) for cut in cuts)})
    ends = [head_end(head[:end], seen) for seen, end in pairwise(places)]
    assert ends == [-1] * (len(ends) - 1) + [len(head)]


_CHUNKED = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@given(_CHUNKED, st.binary(max_size=20), st.lists(st.integers(0, 400), max_size=8))
def test_chunks_are_put_together_in_whatever_pieces_they_come(
    parts: list[bytes], rest: bytes, cuts: list[int]
) -> None:
    stream = b"".join(b"%X;x=y\r\n%b\r\n" % (len(part), part) for part in parts)
    stream += b"0\r\nTrailer: t\r\n\r\n" + rest
    chunks = Chunks()
    found = b""
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    for start, end in pairwise(places):
        if chunks.is_done:
            chunks.rest += stream[start:end]
        else:
            found += chunks.feed(stream[start:end])
    assert (found, chunks.is_done, chunks.rest) == (b"".join(parts), True, rest)


@pytest.mark.parametrize(
    "stream",
    [
        b"\r\n",
        b"+1\r\na\r\n",
        b"0x1\r\na\r\n",
        b" 1\r\na\r\n",
        b"1 \r\na\r\n",
        b"-1\r\na\r\n",
        b"1_0\r\n",
        b"g\r\n",
        b"123456789\r\n",
        b"1\na\r\n",
        b"1;\n\r\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na0\r\n\r\n",
        b"1;" + b"x" * 256,
        b"0\r\n\n",
        b"0\r\nA : b\r\n\r\n",
        b"0\r\n" + b"a: b\r\n" * 700,
    ],
)
def test_what_is_not_a_chunk_is_refused(stream: bytes) -> None:
    with pytest.raises(WireError):
        Chunks().feed(stream)


def test_there_is_a_largest_number_of_chunks() -> None:
    chunks = Chunks()
    assert len(chunks.feed(b"1\r\na\r\n" * 65_536)) == 65_536
    with pytest.raises(WireError, match="65536 chunks"):
        chunks.feed(b"1\r\na\r\n")


def h11_reads(data: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]] | None:
    """Return what another reader of HTTP/1.1 makes of a head."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request):
        return None
    return event.method, event.target, list(event.headers)


_PIECES = (b"GET", b" ", b"/", b"?a", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r", b"Host: h")
_MORE_PIECES = (b":", b"Content-Length: 1", b"content-length:2", b"Transfer-Encoding: chunked")
_WHOLE_PIECES = (
    b"Connection: close",
    b"POST /x HTTP/1.1\r\nHost: h\r\n",
    b"\t",
    b"\0",
    b"a",
    b"\xff",
)
_NEAR_MISSES = st.sampled_from(_PIECES + _MORE_PIECES + _WHOLE_PIECES)


@given(st.lists(_NEAR_MISSES, max_size=14))
def test_whatever_is_read_another_reader_reads_the_same(pieces: list[bytes]) -> None:
    data = b"".join(pieces) + b"\r\n\r\n"
    try:
        end = head_end(data)
        head = read_head(data[:end])
    except WireError:
        return
    other = h11_reads(data[:end])
    assert other is not None
    assert (head.method.encode(), head.raw_path) == (other[0], other[1].partition(b"?")[0])
    assert head.headers == other[2]
