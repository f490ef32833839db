"""Host, Origin and Sec-Fetch-Site: what a foreign web page can make a browser send is refused."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.predict import Predictor
from foveal.server import ServerHandle, ServerOptions, start_in_thread
from foveal.server.access.sender import Head, check_same_origin, check_sender, cors_headers
from foveal.server.request.limits import RequestError

LOCAL = ServerOptions()
NAMED = ServerOptions(allowed_hosts=("photos.example.org",))
FRIENDLY = ServerOptions(allowed_origins=("https://app.example.org",))
PUBLIC = ServerOptions(host="192.0.2.1", insecure=True)


def scope_of(
    method: str, headers: list[tuple[str, str]], version: str = "1.1"
) -> dict[str, object]:
    """Return what a server hands to an application."""
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return {
        "method": method,
        "headers": encoded,
        "http_version": version,
    }


def status_for(scope: dict[str, object], options: ServerOptions = LOCAL) -> int:
    """Return 200, or the status that the sender is refused with."""
    try:
        check_sender(Head.of(scope), scope, options)
    except RequestError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("host", "options", "status"),
    [
        ("localhost", LOCAL, 200),
        ("LOCALHOST:8000", LOCAL, 200),
        ("127.0.0.1:8000", LOCAL, 200),
        ("[::1]:8000", LOCAL, 200),
        ("[::1]", LOCAL, 200),
        ("localhost:", LOCAL, 200),
        ("photos.example.org", NAMED, 200),
        ("photos.example.org:8443", NAMED, 200),
        ("127.0.0.1", NAMED, 200),
        ("anything.example", PUBLIC, 200),
        # Names that a page may have rebound to this machine.
        ("evil.example", LOCAL, 403),
        ("evil.example", NAMED, 403),
        ("localhost.evil.example", LOCAL, 403),
        ("127.0.0.1.evil.example", LOCAL, 403),
        ("localhost.", LOCAL, 403),
        ("[::2]", LOCAL, 403),
        # No hosts at all: what follows is read differently by different programs.
        ("evil@127.0.0.1", LOCAL, 400),
        ("evil.example@127.0.0.1:8000", PUBLIC, 400),
        ("127.0.0.1 evil.example", LOCAL, 400),
        ("127.0.0.1,evil.example", LOCAL, 400),
        ("127.0.0.1/evil", LOCAL, 400),
        ("127.0.0.1\\evil", LOCAL, 400),
        ("127.0.0.1#evil", LOCAL, 400),
        ("127.0.0.1:80:80", LOCAL, 400),
        ("127.0.0.1:port", LOCAL, 400),
        ("127.0.0.1:123456", LOCAL, 400),
        ("[", LOCAL, 400),
        ("[::1", LOCAL, 400),
        ("[::1]evil", LOCAL, 400),
        ("::1", LOCAL, 400),
        ("", LOCAL, 400),
        (" ", LOCAL, 400),
        ("lo\tcalhost", LOCAL, 400),
        ("löcalhost", LOCAL, 400),
        ("%31%32%37.0.0.1", LOCAL, 400),
        ("a" * 254, PUBLIC, 400),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_hosts(method: str, host: str, options: ServerOptions, status: int) -> None:
    assert status_for(scope_of(method, [("host", host)]), options) == status


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ([], "1.1", 400),
        # Health checks of proxies; no browser leaves Host out.
        ([], "1.0", 200),
        ([("host", "evil.example")], "1.0", 403),
        ([("host", "localhost"), ("host", "evil.example")], "1.1", 400),
        ([("host", "localhost"), ("host", "localhost")], "1.1", 400),
        ([("host", "localhost"), ("origin", "http://a"), ("origin", "http://b")], "1.1", 400),
        ([("host", "localhost"), ("authorization", "a"), ("authorization", "b")], "1.1", 400),
    ],
)
def test_a_header_that_decides_stands_once(
    headers: list[tuple[str, str]], version: str, status: int
) -> None:
    assert status_for(scope_of("GET", headers, version=version)) == status


OWN = "http://localhost:8000"


@pytest.mark.parametrize(
    ("origin", "site", "options", "status"),
    [
        (None, None, LOCAL, 200),  # A program.
        (None, "none", LOCAL, 200),  # Typed into the address bar.
        (None, "same-origin", LOCAL, 200),
        (OWN, "same-origin", LOCAL, 200),
        (OWN.upper(), None, LOCAL, 200),
        ("https://localhost:8000", None, LOCAL, 200),  # A proxy ends TLS.
        ("https://app.example.org", "cross-site", FRIENDLY, 200),
        (None, "cross-site", LOCAL, 403),
        (None, "same-site", LOCAL, 403),
        (None, "unheard-of", LOCAL, 403),
        ("null", None, LOCAL, 403),
        ("http://evil.example", None, LOCAL, 403),
        ("http://localhost", None, LOCAL, 403),
        ("http://localhost:8001", None, LOCAL, 403),
        ("http://127.0.0.1:8000", None, LOCAL, 403),
        ("https://app.example.org.evil.example", None, FRIENDLY, 403),
        ("http://app.example.org", None, FRIENDLY, 403),
        ("http://[", None, LOCAL, 400),
        ("http://", None, LOCAL, 400),
        ("", None, LOCAL, 400),
        ("localhost:8000", None, LOCAL, 400),
        ("http://localhost:8000/", None, LOCAL, 400),
        ("http://user@localhost:8000", None, LOCAL, 400),
        ("http://localhost:8000 http://evil.example", None, LOCAL, 400),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_origins(
    method: str, origin: str | None, site: str | None, options: ServerOptions, status: int
) -> None:
    headers = [("host", "localhost:8000")]
    headers += [("origin", origin)] if origin is not None else []
    headers += [("sec-fetch-site", site)] if site is not None else []
    assert status_for(scope_of(method, headers), options) == status


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("photos.example.org", "https://photos.example.org", 200),
        ("photos.example.org:443", "https://photos.example.org", 200),
        ("photos.example.org", "https://photos.example.org:443", 200),
        ("photos.example.org", "https://photos.example.org:8443", 403),
        ("photos.example.org:443", "http://photos.example.org", 403),
    ],
)
def test_a_port_that_is_the_default_may_be_left_out(host: str, origin: str, status: int) -> None:
    assert status_for(scope_of("POST", [("host", host), ("origin", origin)]), NAMED) == status


def test_administration_is_not_for_allowed_origins() -> None:
    scope = scope_of("POST", [("host", "localhost"), ("origin", "https://app.example.org")])
    check_sender(Head.of(scope), scope, FRIENDLY)
    with pytest.raises(RequestError) as refused:
        check_same_origin(Head.of(scope), scope, FRIENDLY)
    assert refused.value.status == 403


def test_cors_is_off_unless_an_origin_is_named() -> None:
    asked = [("host", "localhost"), ("origin", "https://app.example.org")]
    head = Head.of(scope_of("GET", asked))
    assert cors_headers(head, LOCAL) == []
    assert (b"access-control-allow-origin", b"https://app.example.org") in cors_headers(
        head, FRIENDLY
    )
    other = Head.of(scope_of("GET", [("host", "localhost"), ("origin", "https://evil.example")]))
    assert cors_headers(other, FRIENDLY) == [(b"vary", b"Origin")]


_WIRE = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=80)
_PIECES = st.lists(
    st.sampled_from(
        "http https : // / [ ] @ ::1 localhost 127.0.0.1 8000 evil.example % ? # null * , .".split()
    ),
    max_size=8,
).map("".join)
_VALUES = st.one_of(_WIRE, _PIECES)


@given(
    method=st.sampled_from(["GET", "POST", "OPTIONS", "DELETE"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                "host origin sec-fetch-site content-encoding authorization x-request-id "
                "access-control-request-method traceparent".split()
            ),
            _VALUES,
        ),
        max_size=5,
    ),
    version=st.sampled_from(["1.0", "1.1"]),
    options=st.sampled_from([LOCAL, NAMED, FRIENDLY, PUBLIC]),
)
def test_nothing_in_a_head_is_an_error_of_the_server(
    method: str,
    headers: list[tuple[str, str]],
    version: str,
    options: ServerOptions,
) -> None:
    scope = scope_of(method, headers, version)
    assert status_for(scope, options) in (200, 400, 403, 415)


@given(host=_VALUES, origin=_VALUES)
def test_only_the_own_origin_may_post(host: str, origin: str) -> None:
    scope = scope_of("POST", [("host", host), ("origin", origin)])
    if status_for(scope) == 200:
        assert host.lower().startswith(("localhost", "127.0.0.1", "[::1]"))
        assert urlsplit(origin).hostname == urlsplit(f"//{host}").hostname


def exchange(url: str, request: bytes) -> bytes:
    """Send bytes and return the whole answer."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        (b"GET /healthz HTTP/1.1", b"Host: localhost", 200),
        (b"GET /healthz HTTP/1.1", b"X: y", 400),
        (b"GET /healthz HTTP/1.1", b"Host: localhost\r\nHost: evil.example", 400),
        (b"GET /healthz HTTP/1.1", b"Host: evil@127.0.0.1", 400),
        (b"GET http://evil.example/healthz HTTP/1.1", b"Host: localhost", 403),
        (b"GET http://evil@127.0.0.1/healthz HTTP/1.1", b"Host: localhost", 400),
        (b"GET http://[/healthz HTTP/1.1", b"Host: localhost", 400),
        (b"GET ftp://localhost/healthz HTTP/1.1", b"Host: localhost", 400),
        (b"GET http://localhost/healthz HTTP/1.1", b"Host: localhost", 200),
        (b"POST /healthz HTTP/1.1", b"Host: localhost\r\nOrigin: http://[", 400),
    ],
)
def test_over_the_wire(
    server: ServerHandle, request_line: bytes, headers: bytes, status: int
) -> None:
    answer = exchange(
        server.url, request_line + b"\r\n" + headers + b"\r\nConnection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_page_of_an_allowed_origin_may_ask_and_read(
    predictor: Predictor, dark_png: bytes
) -> None:
    origin = "https://app.example.org"
    with (
        start_in_thread({"tiny": predictor}, port=0, allowed_origins=(origin,)) as handle,
        httpx.Client(base_url=handle.url, trust_env=False, timeout=None) as client,
    ):
        asked = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        preflight = client.options("/predict/tiny", headers=asked)
        foreign = client.options("/predict/tiny", headers={**asked, "origin": "https://b.example"})
        sent = {"origin": origin, "sec-fetch-site": "cross-site"}
        answer = client.post("/predict/tiny", content=dark_png, headers=sent)

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers
    assert answer.json()["label"] == "circle"
    assert answer.headers["access-control-allow-origin"] == origin
    assert "origin" in answer.headers["vary"].lower()
