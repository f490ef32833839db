"""JSON over HTTP: what is tried again, what is not, and where a key goes."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from foveal.errors import UsageError
from foveal.rest import Service, ServiceError, is_loopback


class Told:
    """Answers with what it was told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, str, str | None]] = []
        self.url = ""


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told.asked.append((self.command, self.path, self.headers.get("Authorization")))
            status, headers, body = told.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


def ok(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps(value).encode()


def test_waits_grow_and_a_service_may_say_how_long(told: Told) -> None:
    waits: list[float] = []
    service = Service(told.url, "X", wait=waits.append)
    told.answers = [(503, {}, b""), (500, {}, b""), (429, {"Retry-After": "7"}, b""), ok([1])]
    assert service.get("/a", b="c d") == [1]
    # 7 s, and then as long as without being asked.
    bounds = [(1, 2), (2, 4), (7 + 4, 7 + 8)]
    assert all(low <= wait <= high for (low, high), wait in zip(bounds, waits, strict=True))
    assert told.asked[0][1] == "/a?b=c+d"


def test_what_may_not_arrive_twice_is_repeated_only_where_it_was_refused(told: Told) -> None:
    service = Service(told.url, "X", wait=lambda _: None)
    told.answers = [(429, {}, b""), ok({"done": 1})]
    assert service.post("/a", {}) == {"done": 1}
    told.answers = [(500, {}, b'{"error": {"message": "no\\nluck"}}'), ok({})]
    with pytest.raises(ServiceError, match=r"X answered 500: no luck$") as error:
        service.post("/a", {})
    assert error.value.status == 500
    assert len(told.answers) == 1


def test_it_gives_up_after_six_tries(told: Told) -> None:
    told.answers = [(503, {}, b"down")] * 6
    with pytest.raises(ServiceError, match="X answered 503: down"):
        Service(told.url, "X", wait=lambda _: None).get("/a")
    assert told.answers == []


def test_a_redirect_is_an_error_and_the_key_goes_nowhere(told: Told) -> None:
    service = Service(told.url, "X", lambda: {"Authorization": "Bearer k"}, wait=lambda _: None)
    told.answers = [(302, {"Location": f"{told.url}/private?token=1"}, b""), ok({})]
    with pytest.raises(ServiceError, match=r"X redirects to http://127\.0\.0\.1, which is not"):
        service.get("/a")
    assert told.asked == [("GET", "/a", "Bearer k")]


def test_an_answer_that_is_no_json_is_said(told: Told) -> None:
    told.answers = [(200, {}, b"<html>")]
    with pytest.raises(ServiceError, match="X did not return JSON: <html>"):
        Service(told.url, "X").get("/a")


@pytest.mark.parametrize("url", ["head", "ftp://head", "http://", "file:///etc/passwd"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="Invalid address"):
        Service(url, "X")


def test_only_this_machine_is_loopback() -> None:
    assert is_loopback("http://127.0.0.1:80")
    assert is_loopback("http://[::1]")
    assert not is_loopback("http://127.0.0.1.example")
