"""What a server answers to bytes that clients may send: odd, hostile, slow, or many at once."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from rawhttp import connect, exchange, read_all, statuses
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from foveal.predict import Predictor
from foveal.server import ServerHandle, ServerOptions, start_in_thread
from foveal.server.run import start_app
from foveal.server.telemetry.counters import Telemetry

_LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_POST = b"POST /predict/tiny HTTP/1.1\r\nHost: localhost\r\n"
# What an attacker would like to see answered as a request of its own.
_INNER = b"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        # Nothing to say against these.
        (b"\r\n\r\n" + _LAST, [200]),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3 + _LAST, [200] * 4),
        (b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + _LAST, [200, 200]),
        (b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n" + _LAST, [200]),
        (
            b"GET /healthz HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n" + _LAST,
            [200, 200],
        ),
        (
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc" + _LAST,
            [200, 200],
        ),
        (_POST + b"Content-Length: 3\r\n\r\nabc" + _LAST, [415, 200]),
        (
            _POST + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n" + _LAST,
            [415, 200],
        ),
        (_POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + _LAST, [415, 200]),
        # An upgrade is not offered: the request is an ordinary one, with its body.
        (
            _POST
            + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
            + b"Content-Length: %d\r\n\r\n" % len(_INNER)
            + _INNER
            + _LAST,
            [415, 200],
        ),
        (
            _POST
            + b"Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n%b\r\n0\r\n\r\n" % (len(_INNER), _INNER)
            + _LAST,
            [415, 200],
        ),
        # Two readers could see the end of the body in two places.
        (
            _POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _LAST,
            [400],
        ),
        (_POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + _LAST, [400]),
        (_POST + b"Content-Length: 3, 3\r\n\r\nabc" + _LAST, [400]),
        (_POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + _LAST, [400]),
        (_POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + _LAST, [400]),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n" + _LAST, [400]),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n" + _LAST, [400]),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n" + _LAST, [400]),
        (b"GET /healthz HTTP/1.1\nHost: localhost\n\n" + _LAST, [400]),
        # What this server does not speak.
        (b"GET /healthz\r\n\r\n", [400]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
        (b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", [501]),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n" + _LAST, [404, 200]),
        (_POST + b"Expect: tea\r\nContent-Length: 3\r\n\r\nabc" + _LAST, [417]),
        # Who asks for whom.
        (b"GET /healthz HTTP/1.1\r\n\r\n" + _LAST, [400]),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n" + _LAST, [400]),
        (
            b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + _LAST,
            [403, 200],
        ),
        (b"GET http://evil@localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
        # Sizes.
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", [414]),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 17_000, [431]),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 101 + b"\r\n", [431]),
        (b"GET /static/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n" + _LAST, [404, 200]),
        (b"GET /predict/%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n" + _LAST, [405, 200]),
    ],
)
def test_every_request_has_one_right_answer(
    server: ServerHandle, request_: bytes, expected: list[int]
) -> None:
    answer = exchange(server.url, request_)
    assert [status for status in statuses(answer) if status != 100] == expected
    assert b'"labels"' not in answer


def test_an_answer_comes_byte_by_byte_to_a_request_that_does(server: ServerHandle) -> None:
    with connect(server.url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = _POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n" + _LAST
        for at in range(len(request)):
            connection.sendall(request[at : at + 1])
        assert statuses(read_all(connection)) == [415, 200]


def test_a_head_is_answered_without_its_body(server: ServerHandle) -> None:
    answer = exchange(server.url, b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + _LAST)
    assert statuses(answer) == [200, 200]
    assert answer.count(b'{"status":"alive"}') == 1
    assert answer.count(b"content-length: 18\r\n") == 2


def test_a_client_that_asks_is_told_to_send_the_body(
    server: ServerHandle, bright_jpeg: bytes
) -> None:
    head = b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    with connect(server.url) as connection:
        connection.sendall(_POST + head % len(bright_jpeg))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(bright_jpeg)
        assert statuses(read_all(connection)) == [200]


def test_one_whose_body_would_be_refused_is_not(server: ServerHandle) -> None:
    head = b"Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n"
    assert statuses(exchange(server.url, _POST + head)) == [413]


def test_an_early_answer_is_read_by_a_client_that_is_still_sending(server: ServerHandle) -> None:
    size = 20_000_000
    answer = exchange(server.url, _POST + b"Content-Length: %d\r\n\r\n" % size, bytes(size))
    assert statuses(answer) == [413]
    assert b"connection: close\r\n" in answer


def small_app(options: ServerOptions) -> Starlette:
    """Return an application whose answers are not foveal's."""

    async def stream(request: Request) -> Response:
        async def parts() -> object:
            for _ in range(int(request.query_params["parts"])):
                yield bytes(65536)

        return StreamingResponse(parts())  # type: ignore[arg-type]

    async def echo(request: Request) -> Response:
        return Response(await request.body())

    async def failing(_: Request) -> Response:
        raise RuntimeError("a bug")

    async def broken(_: Request) -> Response:
        async def parts() -> object:
            yield b"half"
            raise RuntimeError("a bug")

        return StreamingResponse(parts())  # type: ignore[arg-type]

    async def split(_: Request) -> Response:
        return Response(headers={"x-name": "a\nset-cookie: b"})

    async def forwarded(request: Request) -> Response:
        client = request.client.host if request.client else "none"
        return Response(f"{client} {request.url.scheme}")

    async def tidy(_: Request) -> Response:
        async def later() -> None:
            await asyncio.sleep(0.2)
            app.state.is_tidy = True

        return Response("answered", background=BackgroundTask(later))

    app = Starlette(
        routes=[
            Route("/stream", stream),
            Route("/echo", echo, methods=["POST"]),
            Route("/failing", failing),
            Route("/broken", broken),
            Route("/split", split),
            Route("/forwarded", forwarded),
            Route("/tidy", tidy),
        ]
    )
    app.state.foveal = SmallState(options)
    return app


class SmallState:
    """What a server needs to know of the application."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.telemetry = Telemetry(dict)
        self.draining = False


@pytest.fixture
def serve_small() -> Iterator[Callable[..., ServerHandle]]:
    """Return what starts servers of the small application with options."""
    started: list[ServerHandle] = []

    def start(**changes: object) -> ServerHandle:
        options = ServerOptions(port=0).changed(changes)
        started.append(start_app(small_app(options), options))
        return started[-1]

    yield start
    for handle in started:
        handle.stop()


def get(path: bytes, *headers: bytes) -> bytes:
    """Return a request, the last one of its connection."""
    lines = [b"GET " + path + b" HTTP/1.1", b"Host: h", b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def test_an_answer_without_a_length_comes_in_chunks_or_ends_with_the_connection(
    serve_small: Callable[..., ServerHandle],
) -> None:
    url = serve_small().url
    assert len(httpx.get(f"{url}/stream?parts=40", timeout=None).content) == 40 * 65536
    old = exchange(url, b"GET /stream?parts=2 HTTP/1.0\r\n\r\n")
    assert len(old.partition(b"\r\n\r\n")[2]) == 2 * 65536


def test_a_body_of_any_size_arrives_whole(serve_small: Callable[..., ServerHandle]) -> None:
    url = serve_small().url
    for size in (0, 1, 16_384, 65_536, 3_000_000):
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert httpx.post(f"{url}/echo", content=body, timeout=None).content == body
        parts = (body[at : at + 1000] for at in range(0, size, 1000))
        assert httpx.post(f"{url}/echo", content=parts, timeout=None).content == body


def test_a_bug_of_the_application_is_500_and_never_half_an_answer(
    serve_small: Callable[..., ServerHandle],
) -> None:
    url = serve_small().url
    assert statuses(exchange(url, get(b"/failing"))) == [500]
    assert statuses(exchange(url, get(b"/split"))) == [500]
    assert b"0\r\n\r\n" not in exchange(url, get(b"/broken"))


def test_what_is_left_to_do_after_an_answer_is_done_before_the_end() -> None:
    options = ServerOptions(port=0)
    app = small_app(options)
    with start_app(app, options) as handle:
        assert statuses(exchange(handle.url, get(b"/tidy"))) == [200]
    assert app.state.is_tidy


@pytest.mark.parametrize(
    ("trusted", "headers", "expected"),
    [
        ((), [b"X-Forwarded-For: 9.9.9.9", b"X-Forwarded-Proto: https"], b"127.0.0.1 http"),
        (("127.0.0.1",), [], b"127.0.0.1 http"),
        (
            ("127.0.0.1",),
            [b"X-Forwarded-For: 8.8.8.8, 9.9.9.9", b"X-Forwarded-Proto: https"],
            b"9.9.9.9 https",
        ),
        # What comes before the first address that is not trusted is its own claim.
        (
            ("127.0.0.0/8", "10.0.0.0/8"),
            [b"X-Forwarded-For: 7.7.7.7, 8.8.8.8", b"X-Forwarded-For: 10.1.2.3"],
            b"8.8.8.8 http",
        ),
        (
            ("127.0.0.1",),
            [b"X-Forwarded-For: nonsense", b"X-Forwarded-Proto: x"],
            b"127.0.0.1 http",
        ),
        (("127.0.0.1",), [b"X-Forwarded-For: 2001:db8::1"], b"2001:db8::1 http"),
    ],
)
def test_only_a_trusted_proxy_says_who_the_client_is(
    serve_small: Callable[..., ServerHandle],
    trusted: tuple[str, ...],
    headers: list[bytes],
    expected: bytes,
) -> None:
    url = serve_small(trusted_proxies=trusted).url
    assert exchange(url, get(b"/forwarded", *headers)).endswith(b"\r\n\r\n" + expected)


def await_that(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    while not holds():
        time.sleep(0.02)


def connections(url: str) -> int:
    """Return how many connections the server has, that of the question included."""
    text = httpx.get(f"{url}/metrics", timeout=None).text
    found = re.search(r"^foveal_connections (\S+)$", text, re.MULTILINE)
    return int(float(found[1])) if found else 0


@pytest.fixture
def hasty(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerHandle]:
    """Return a server with little patience."""
    monkeypatch.setattr("foveal.server.http.protocol._STALL_S", 0.5)
    monkeypatch.setattr("foveal.server.http.protocol._FLUSH_S", 0.5)
    monkeypatch.setattr("foveal.server.http.protocol._LINGER_S", 0.5)
    with start_in_thread(
        {"tiny": predictor},
        port=0,
        header_timeout_s=0.5,
        keep_alive_s=0.5,
        body_timeout_s=0.5,
        drain_s=20.0,
    ) as handle:
        yield handle


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", []),
        (b"GET / HT", []),
        (b"\r\n" * 20, []),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", [200]),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /heal", [200]),
        # An early answer, and a body that never comes.
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\na", [200]),
        (_POST + b"Content-Length: 9\r\n\r\na", [408]),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n9\r\na", [408]),
        (_POST + b"Content-Length: 99999999\r\n\r\na", [413]),
        (b"nonsense\r\n\r\n", [400]),
    ],
)
def test_no_client_is_waited_for_without_end(
    hasty: ServerHandle, sent: bytes, answered: list[int]
) -> None:
    assert statuses(exchange(hasty.url, sent)) == answered


def test_a_head_that_trickles_has_no_more_time(hasty: ServerHandle) -> None:
    with connect(hasty.url) as connection:
        connection.settimeout(0.1)
        is_open = True
        while is_open:
            try:
                connection.sendall(b"a")
                is_open = connection.recv(1) != b""
            except TimeoutError:
                continue
            except ConnectionError:
                is_open = False


def test_a_body_may_take_long_if_enough_of_it_comes(predictor: Predictor) -> None:
    with start_in_thread(
        {"tiny": predictor}, port=0, body_timeout_s=0.4, min_bytes_per_s=40_000
    ) as handle:
        with connect(handle.url) as connection:
            connection.sendall(_POST + b"Connection: close\r\nContent-Length: 80000\r\n\r\n")
            for _ in range(4):
                connection.sendall(bytes(20_000))
                time.sleep(0.3)
            assert statuses(read_all(connection)) == [415]


def test_a_client_that_reads_no_answers_is_let_go(hasty: ServerHandle) -> None:
    with connect(hasty.url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        requests, done = request * 1000, 0
        with pytest.raises(ConnectionError):
            # Without end: the system's buffers may take many megabytes.
            while True:
                try:
                    done = (done + connection.send(requests[done:])) % len(request)
                except BlockingIOError:
                    time.sleep(0.01)
    await_that(lambda: connections(hasty.url) == 1)


def test_neither_is_one_waited_for_at_the_end(hasty: ServerHandle) -> None:
    with connect(hasty.url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300)
        begun = time.monotonic()
        hasty.stop()
        assert time.monotonic() - begun < 10


def test_an_idle_connection_makes_room_for_a_new_one(predictor: Predictor) -> None:
    with start_in_thread(
        {"tiny": predictor}, port=0, max_connections=3, max_client_connections=9
    ) as handle:
        idle = [connect(handle.url) for _ in range(3)]
        for connection in idle:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert statuses(connection.recv(65536)) == [200]
        assert httpx.get(f"{handle.url}/healthz", timeout=None).status_code == 200
        assert idle[0].recv(1) == b""
        idle[1].sendall(_LAST)
        assert statuses(read_all(idle[1])) == [200]
        for connection in idle:
            connection.close()


def test_without_an_idle_one_a_new_connection_is_turned_away(predictor: Predictor) -> None:
    with start_in_thread(
        {"tiny": predictor}, port=0, max_connections=9, max_client_connections=2
    ) as handle:
        busy = [connect(handle.url) for _ in range(2)]
        for connection in busy:
            connection.sendall(b"GET / HTTP/1.1\r\n")
        refused = exchange(handle.url)
        assert statuses(refused) == [503]
        assert b"retry-after: 1\r\n" in refused
        for connection in busy:
            connection.close()
        await_that(lambda: statuses(exchange(handle.url, _LAST)) == [200])


def test_bodies_that_are_announced_and_do_not_come_refuse_nobody(
    predictor: Predictor, bright_jpeg: bytes
) -> None:
    with start_in_thread({"tiny": predictor}, port=0, queue_bytes=2**20, queue_items=9) as handle:
        waiting = [connect(handle.url) for _ in range(16)]
        for connection in waiting:
            connection.sendall(_POST + b"Content-Length: 1000000\r\n\r\na")
        await_that(lambda: connections(handle.url) > 16)
        for _ in range(5):
            answer = httpx.post(f"{handle.url}/predict/tiny", content=bright_jpeg, timeout=None)
            assert answer.status_code == 200
        for connection in waiting:
            connection.close()


def test_one_client_cannot_take_all_the_room(predictor: Predictor, bright_jpeg: bytes) -> None:
    def ask(url: str, client: str) -> int:
        headers = {"x-forwarded-for": client}
        padded = bright_jpeg + bytes(60_000)
        return httpx.post(
            f"{url}/predict/tiny", content=padded, headers=headers, timeout=None
        ).status_code

    with start_in_thread(
        {"tiny": predictor},
        port=0,
        queue_bytes=400_000,
        max_body_bytes=100_000,
        trusted_proxies=("127.0.0.1",),
    ) as handle:
        # Of 400,000 bytes, 300,000 are for one client.
        greedy = [connect(handle.url) for _ in range(4)]
        for connection in greedy:
            head = _POST + b"X-Forwarded-For: 9.9.9.9\r\nContent-Length: 100000\r\n\r\n"
            connection.sendall(head + bytes(99_000))
        await_that(lambda: ask(handle.url, "9.9.9.9") == 503)
        assert ask(handle.url, "8.8.8.8") == 200
        for connection in greedy:
            connection.close()
        await_that(lambda: ask(handle.url, "9.9.9.9") == 200)


def test_many_connections_at_once_are_served(server: ServerHandle) -> None:
    async def one(gate: asyncio.Event) -> bytes:
        address = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(*address)
        await gate.wait()
        writer.write(_LAST)
        answer = await reader.read()
        writer.close()
        return answer

    async def all_() -> list[bytes]:
        gate = asyncio.Event()
        tasks = [asyncio.create_task(one(gate)) for _ in range(400)]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks)

    assert {tuple(statuses(answer)) for answer in asyncio.run(all_())} == {(200,)}
