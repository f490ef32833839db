"""Listening: TLS files and their renewal, sockets of systemd, and Unix sockets."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import foveal
from foveal.bundle import Bundle
from foveal.errors import UsageError
from foveal.predict import Predictor
from foveal.server import ServerHandle, ServerOptions, start_in_thread
from foveal.server.http.listen import listen
from foveal.server.http.tls import TlsFiles

_TLS = Path(__file__).parents[1] / "tls"


def subject_of(handle: ServerHandle) -> str:
    """Return the name in the certificate that a new connection gets, after asking for health."""
    context = ssl.create_default_context()
    for name in ("first", "second"):
        context.load_verify_locations(_TLS / f"{name}.pem")
    port = int(handle.url.rsplit(":", 1)[1])
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        certificate = connection.getpeercert() or {}
        return str(dict(pair[0] for pair in certificate["subject"])["commonName"])  # type: ignore[arg-type, misc]


def test_a_renewed_certificate_is_read_on_reload(predictor: Predictor, tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    shutil.copy(_TLS / "first.pem", certificate)
    shutil.copy(_TLS / "first.key", key)
    with start_in_thread({"tiny": predictor}, port=0, tls_cert=certificate, tls_key=key) as handle:
        assert handle.url.startswith("https://127.0.0.1:")
        assert subject_of(handle) == "first"
        # Half of a renewal: what was there stays.
        shutil.copy(_TLS / "second.pem", certificate)
        handle.reload()
        assert subject_of(handle) == "first"
        shutil.copy(_TLS / "second.key", key)
        handle.reload()
        assert subject_of(handle) == "second"


def test_large_bodies_and_answers_pass_through_tls(predictor: Predictor) -> None:
    files = {"tls_cert": _TLS / "first.pem", "tls_key": _TLS / "first.key"}
    context = ssl.create_default_context(cafile=str(_TLS / "first.pem"))
    with (
        start_in_thread({"tiny": predictor}, port=0, **files) as handle,
        httpx.Client(base_url=handle.url, verify=context, timeout=None, trust_env=False) as client,
    ):
        assert client.post("/predict/tiny", content=bytes(3_000_000)).status_code == 415
        assert client.get("/openapi.json").status_code == 200
        assert client.post("/predict/tiny", content=bytes(20_000_000)).status_code == 413


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("none.pem", "first.key", "The file .*none.pem does not exist"),
        ("", "first.key", "tls is a folder"),
        ("first.pem", "", "tls is a folder"),
        ("first.pem", "second.key", "Cannot use .*first.pem with .*second.key"),
        ("first.key", "first.key", "Cannot use .*first.key"),
    ],
)
def test_tls_files_that_cannot_be_used_are_a_usage_error(
    predictor: Predictor, certificate: str, key: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        start_in_thread(
            {"tiny": predictor}, port=0, tls_cert=_TLS / certificate, tls_key=_TLS / key
        )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("expired.pem", r"certificate .*c.pem expired on 2021-02-01 00:00 UTC\."),
        ("early.pem", r"certificate .*c.pem is not valid before 2991-01-01 00:00 UTC\."),
    ],
)
def test_a_certificate_that_clients_refuse_is_warned_of_each_time(
    name: str, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = tmp_path / "c.pem"
    shutil.copy(_TLS / name, certificate)
    files = TlsFiles(certificate, _TLS / "first.key")
    assert re.search(message, caplog.text)
    shutil.copy(_TLS / "first.pem", certificate)
    caplog.clear()
    files.reload()
    assert not re.search("certificate .*(expired|not valid)", caplog.text)
    shutil.copy(_TLS / name, certificate)
    files.reload()
    assert len(re.findall(message, caplog.text)) == 1


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(UsageError, match="must be given together"):
        ServerOptions(tls_cert=_TLS / "first.pem")


# What systemd does: the socket as file 3, and the process told that it is meant.
_HANDING_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "foveal", "serve", *sys.argv[2:]])
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_socket_that_systemd_opened_is_used(tiny_bundle: Bundle, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        file = listener.fileno()
        command = [sys.executable, "-c", _HANDING_OVER, str(file), str(tiny_bundle.path)]
        with subprocess.Popen(
            [*command, "--workers", workers],
            pass_fds=(file,),
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(foveal.__file__).parents[1])},
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{url}\n"
            for _ in range(3):
                assert httpx.get(f"{url}/healthz", timeout=None).status_code == 200
            process.send_signal(signal.SIGINT)
            process.wait()
    assert process.returncode == 0


def test_a_unix_socket_is_used_and_a_dead_one_replaced(
    predictor: Predictor, tmp_path: Path
) -> None:
    host = f"unix:{tmp_path / 'server.sock'}"
    for _ in range(2):
        with start_in_thread({"tiny": predictor}, host=host) as handle:
            transport = httpx.HTTPTransport(uds=host.removeprefix("unix:"))
            with httpx.Client(transport=transport, base_url="http://any.example") as client:
                assert client.get("/healthz").status_code == 200
            assert handle.url == host
            with pytest.raises(UsageError, match="Address already in use"):
                listen(ServerOptions(host=host))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_grpc_port_of_another_server_is_not_shared(workers: int) -> None:
    # As its workers do, which share the port with each other.
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        options = ServerOptions(port=0, grpc_port=port, workers=workers)
        with pytest.raises(UsageError, match=f"127.0.0.1:{port} for gRPC: the port is in use"):
            listen(options, workers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 8001, "grpc_port": 8001}, "HTTP and gRPC cannot share the port 8001"),
        ({"host": "unix:/tmp/server.sock", "grpc_port": 8001}, "gRPC needs an address"),
    ],
)
def test_where_grpc_cannot_listen_is_a_usage_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ServerOptions(**options)


@pytest.mark.parametrize(
    ("options", "why", "hint"),
    [
        (
            {"host": "192.0.2.1", "port": 0},
            "192.0.2.1:0: Cannot assign requested address",
            "--host",
        ),
        (
            {"host": "192.0.2.1", "grpc_port": 8001},
            "192.0.2.1:8001 for gRPC: Cannot assign requested address",
            "--host",
        ),
        ({"host": "unix:/" + 120 * "a"}, f"unix:/{120 * 'a'}: AF_UNIX path too long", ""),
    ],
)
def test_an_address_that_cannot_be_listened_on_says_why(
    options: dict[str, Any], why: str, hint: str
) -> None:
    with pytest.raises(UsageError) as raised:
        listen(ServerOptions(**options, insecure=True))
    assert raised.value.message == f"Cannot listen on {why}."
    assert hint in (raised.value.hint or "")


def test_a_unix_socket_needs_a_path() -> None:
    with pytest.raises(UsageError, match="Expected unix:PATH"):
        ServerOptions(host="unix:")
