"""Whatever is sent, the answer is `{"error": …}` with the right status, and the server lives."""

from __future__ import annotations

import base64
import socket
import struct
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from foveal.bundle import Bundle
from foveal.data.decode import DEFAULT_LIMITS, DecodeLimits, decode
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread


@pytest.fixture(scope="module")
def strict_server(predictor: Predictor) -> Iterator[ServerHandle]:
    """Return a server with small limits."""
    handle = start_in_thread(
        {"tiny": predictor},
        port=0,
        max_body_bytes=20_000,
        max_pixels=10_000,
    )
    with handle:
        yield handle


@pytest.fixture
def strict(strict_server: ServerHandle) -> Iterator[httpx.Client]:
    """Return a client of the strict server."""
    with httpx.Client(base_url=strict_server.url, timeout=None, trust_env=False) as client:
        yield client


def png_that_claims(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def assert_error(response: httpx.Response, status: int) -> str:
    """Check the shape and return the sentence."""
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    message = response.json()["error"]
    assert message
    assert "/work" not in message
    assert "Traceback" not in message
    return str(message)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "image/jpeg", 400),
        (b"", "application/json", 400),
        (b"garbage" * 100, "image/jpeg", 415),
        (b"\x00", "image/png", 415),
        # A directory at an offset that no C integer holds: an OverflowError inside.
        (b"II+\0\x08\0\0\0" + b"\xff" * 8, "image/tiff", 400),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 415),
        (b"%PDF-1.7", "application/pdf", 415),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "image/png", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"image": 5}', "application/json", 400),
        (b'{"image": "@@@"}', "application/json", 400),
        (b'{"image": ""}', "application/json", 400),
        (b'{"image": "aGVsbG8="}', "application/json", 415),
        (b'{"image": "aGVsbG8=", "file": "aGVsbG8="}', "application/json", 400),
        (b"[" * 20_000, "application/json", 400),
        (b'{"image":' * 2_000, "application/json", 400),
        (b"\xff\xfe{", "application/json", 400),
        (b"--x\r\n\r\n", "multipart/form-data", 400),
        (b"no boundary here", "multipart/form-data; boundary=x", 400),
        (b"--x\r\nno end of head", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b'--x\r\nA: name="file"\r\n\r\n\r\n--x--', "multipart/form-data; boundary=x", 400),
        (b'--x\r\nA: name="other"\r\n\r\n1\r\n--x--', "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\n1\r\n" * 100 + b"--x--", "multipart/form-data; boundary=x", 400),
    ],
)
def test_bad_bodies(strict: httpx.Client, body: bytes, content_type: str, status: int) -> None:
    headers = {"content-type": content_type}
    assert_error(strict.post("/predict/tiny", content=body, headers=headers), status)


def test_truncated_pictures_are_bad_requests_at_every_length(
    client: httpx.Client, bright_jpeg: bytes, dark_png: bytes
) -> None:
    for whole in (bright_jpeg, dark_png):
        statuses = {
            client.post("/predict/tiny", content=whole[:length]).status_code
            for length in range(1, len(whole) - 60, 37)
        }
        assert statuses <= {400, 415}


def test_a_picture_that_claims_a_huge_size_is_refused_before_decoding(
    client: httpx.Client,
) -> None:
    bomb = png_that_claims(30_000, 30_000)
    for data in (
        client.post("/predict/tiny", content=bomb),
        client.post("/predict/tiny?explain=true", content=bomb),
        client.post("/predict/tiny", json={"image": base64.b64encode(bomb).decode()}),
    ):
        assert_error(data, 413)


def test_a_limit_on_pixels_that_the_operator_sets_holds(strict: httpx.Client) -> None:
    assert_error(strict.post("/predict/tiny", content=png_that_claims(101, 100)), 413)
    assert strict.get("/models").json()["limits"]["max_pixels"] == 10_000


def test_without_one_each_model_has_that_of_its_training(
    tiny_bundle: Bundle, dark_png: bytes
) -> None:
    height, width = decode(dark_png, DEFAULT_LIMITS).pixels.shape[:2]
    pixels = height * width
    models = {
        name: Predictor(tiny_bundle, threads=1, limits=DecodeLimits(10**6, limit))
        for name, limit in {"enough": pixels, "less": pixels - 1}.items()
    }
    with (
        start_in_thread(models, port=0) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        assert client.post("/predict/enough", content=dark_png).status_code == 200
        assert_error(client.post("/predict/less", content=dark_png), 413)
        described = client.get("/models").json()
    assert {m["name"]: m["max_pixels"] for m in described["models"]} == {
        "enough": pixels,
        "less": pixels - 1,
    }
    assert described["limits"]["max_pixels"] == pixels - 1


def test_an_operator_may_raise_the_limit_of_a_model(tiny_bundle: Bundle, dark_png: bytes) -> None:
    models = {"tiny": Predictor(tiny_bundle, threads=1, limits=DecodeLimits(10**6, 1))}
    with (
        start_in_thread(models, port=0, max_pixels=10**6) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        assert client.post("/predict/tiny", content=dark_png).status_code == 200


def test_a_body_over_the_limit_is_refused_by_its_length(strict: httpx.Client) -> None:
    message = assert_error(strict.post("/predict/tiny", content=bytes(20_001)), 413)
    assert "20000 bytes" in message


def test_a_body_without_a_length_is_counted(strict: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(25):
            yield bytes(1000)

    assert_error(strict.post("/predict/tiny", content=chunks()), 413)


def test_a_body_far_over_the_limit_is_not_received(strict_server: ServerHandle) -> None:
    head = b"POST /predict/tiny HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
    answer = _exchange(strict_server.url, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_a_body_that_does_not_arrive_is_given_up(predictor: Predictor) -> None:
    head = b"POST /predict/tiny HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc"
    with start_in_thread({"tiny": predictor}, port=0, body_timeout_s=0.3) as hasty:
        answer = _exchange(hasty.url, head)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":' in answer


def test_a_head_that_does_not_arrive_is_given_up(predictor: Predictor) -> None:
    with start_in_thread({"tiny": predictor}, port=0, header_timeout_s=0.3) as hasty:
        assert _exchange(hasty.url, b"POST /predict/tiny HTTP/1.1\r\nHost: loc") == b""


@pytest.mark.parametrize("length", [b"-5", b"abc", b"1e3", b"99999999999999999999999"])
def test_odd_lengths_are_bad_requests(strict_server: ServerHandle, length: bytes) -> None:
    head = b"POST /predict/tiny HTTP/1.1\r\nHost: localhost\r\nContent-Length: %s\r\n\r\n"
    assert _exchange(strict_server.url, head % length).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "tiny%00", "a" * 300, "tiny%20", "%F0%9F%90%B1"]
)
def test_odd_model_names_are_not_found(client: httpx.Client, dark_png: bytes, name: str) -> None:
    message = assert_error(client.post(f"/predict/{name}", content=dark_png), 404)
    assert len(message) < 400


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/gate.py", "/static/x.js"]
)
def test_only_the_pages_own_files_are_given(client: httpx.Client, path: str) -> None:
    assert_error(client.get(path), 404)


def test_wrong_methods_name_the_right_one(client: httpx.Client) -> None:
    response = client.put("/predict/tiny", content=b"x")
    assert "POST" in assert_error(response, 405)
    assert response.headers["allow"] == "POST"


def test_unknown_addresses_are_json_errors(client: httpx.Client) -> None:
    assert_error(client.get("/nothing"), 404)


def test_an_odd_value_of_explain_is_refused(client: httpx.Client, dark_png: bytes) -> None:
    assert_error(client.post("/predict/tiny?explain=maybe", content=dark_png), 400)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8000"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_foreign_pages_cannot_post(
    client: httpx.Client, dark_png: bytes, headers: dict[str, str]
) -> None:
    assert_error(client.post("/predict/tiny", content=dark_png, headers=headers), 403)


def test_a_rebound_name_cannot_even_read(client: httpx.Client) -> None:
    assert_error(client.get("/models", headers={"host": "evil.example"}), 403)


def test_the_servers_own_page_can_post(
    client: httpx.Client, server: ServerHandle, dark_png: bytes
) -> None:
    headers = {"origin": server.url, "sec-fetch-site": "same-origin"}
    assert client.post("/predict/tiny", content=dark_png, headers=headers).status_code == 200


def test_no_answer_allows_other_origins(client: httpx.Client) -> None:
    response = client.get("/models", headers={"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in response.headers


def test_encoded_bodies_are_refused(client: httpx.Client) -> None:
    headers = {"content-encoding": "gzip"}
    assert_error(client.post("/predict/tiny", content=b"\x1f\x8b", headers=headers), 415)


def _exchange(url: str, request: bytes) -> bytes:
    """Send raw bytes and return everything until the server closes the connection."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
            if b"\r\n\r\n" in answer and b"connection: close" not in answer.lower():
                break
        return answer
