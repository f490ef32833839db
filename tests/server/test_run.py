"""Starting, stopping and draining: in a thread, and as a process that gets SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import foveal
from foveal.bundle import Bundle
from foveal.errors import UsageError
from foveal.predict import Predictor
from foveal.server import ServerOptions, create_app, start_in_thread

_SOURCE = Path(foveal.__file__).parents[1]

# A process that serves one bundle, with torch made impossible to import.
_PROGRAM = """
import sys
sys.modules["torch"] = None
from pathlib import Path
from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import serve
bundle = Bundle.open(Path(sys.argv[1]))
ready = lambda url: print(url, flush=True)
serve({"tiny": Predictor(bundle, threads=1)}, port=0, on_ready=ready, drain_delay_s=0.0)
print("drained", flush=True)
"""


@pytest.fixture
def process(tiny_bundle: Bundle) -> Iterator[subprocess.Popen[str]]:
    """Return a serving process; its first line of output is its URL."""
    environment = {**os.environ, "PYTHONPATH": str(_SOURCE)}
    command = [sys.executable, "-c", _PROGRAM, str(tiny_bundle.path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as started:
        yield started
        started.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    """Wait for the URL."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_process_without_torch_serves_and_ends_with_0_on_sigterm(
    process: subprocess.Popen[str], dark_png: bytes
) -> None:
    url = url_of(process)
    assert (
        httpx.post(f"{url}/predict/tiny", content=dark_png, timeout=None).json()["label"]
        == "circle"
    )
    assert (
        httpx.post(f"{url}/predict/tiny?explain=1", content=dark_png, timeout=None).status_code
        == 200
    )

    process.send_signal(signal.SIGTERM)
    output, problems = process.communicate()

    assert (process.returncode, output.strip(), problems) == (0, "drained", "")


def test_sighup_reloads_and_does_not_end_the_server(
    process: subprocess.Popen[str], tiny_bundle: Bundle, dark_png: bytes
) -> None:
    url = url_of(process)
    # The same bundle: nothing to load, and nothing breaks.
    process.send_signal(signal.SIGHUP)
    answer = httpx.post(f"{url}/predict/tiny", content=dark_png, timeout=None)
    assert answer.json()["label"] == "circle"
    process.send_signal(signal.SIGTERM)
    assert (process.wait(), process.stderr and process.stderr.read()) == (0, "")


def await_draining(url: str) -> None:
    """Wait until a signal was heard: new requests are turned away, or not even accepted."""
    with contextlib.suppress(httpx.TransportError):
        while httpx.get(f"{url}/readyz", timeout=None).status_code == 200:
            time.sleep(0.01)


def test_a_request_in_flight_is_finished_before_the_end(
    process: subprocess.Popen[str], dark_png: bytes
) -> None:
    host, port = url_of(process).removeprefix("http://").split(":")
    head = b"POST /predict/tiny HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head % len(dark_png) + dark_png[:100])
        # Answered only once the first connection is accepted too: both wait in one queue.
        assert httpx.get(f"http://{host}:{port}/healthz", timeout=None).status_code == 200
        process.send_signal(signal.SIGTERM)
        await_draining(f"http://{host}:{port}")
        connection.sendall(dark_png[100:])
        answer = b""
        while part := connection.recv(65536):
            answer += part
    output, _ = process.communicate()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"label":"circle"' in answer
    assert b"connection: close" in answer.lower()
    assert (process.returncode, output.strip()) == (0, "drained")


def test_a_draining_server_is_alive_but_not_ready(predictor: Predictor) -> None:
    with start_in_thread({"tiny": predictor}, port=0) as server:
        server.drain()
        ready = httpx.get(f"{server.url}/readyz", timeout=None)
        alive = httpx.get(f"{server.url}/healthz", timeout=None)
    assert (ready.status_code, list(ready.json()), alive.status_code) == (503, ["error"], 200)
    assert ready.headers["connection"] == "close"


def test_a_stopped_server_does_not_answer_and_may_be_stopped_again(predictor: Predictor) -> None:
    server = start_in_thread({"tiny": predictor}, port=0)
    assert server.is_running
    assert repr(server) == f"ServerHandle({server.url!r})"
    server.stop()
    server.stop()
    assert not server.is_running
    assert repr(server) == "ServerHandle(stopped)"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz", timeout=None)


def test_a_port_in_use_is_a_usage_error(predictor: Predictor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"Cannot listen on 127.0.0.1:{port}"):
            start_in_thread({"tiny": predictor}, port=port)


def test_an_unknown_option_names_the_nearest(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="Did you mean 'max_pixels'"):
        start_in_thread({"tiny": predictor}, max_pixel=5)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="max_batch"):
        ServerOptions(max_batch=0)


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b", "a b", "a" * 65])
def test_a_name_that_cannot_stand_in_a_route_is_refused(predictor: Predictor, name: str) -> None:
    with pytest.raises(UsageError, match="Invalid model name"):
        create_app({name: predictor})


def test_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match="No model"):
        create_app({})


@pytest.mark.parametrize(
    ("options", "host", "status"),
    [
        (ServerOptions(port=0), "127.0.0.1", 200),
        (ServerOptions(port=0), "[::1]:80", 200),
        (ServerOptions(port=0), "model.example", 403),
        (ServerOptions(port=0, allowed_hosts=("Model.example",)), "model.example:80", 200),
        (ServerOptions(port=0, allowed_hosts=("*",)), "any.example", 200),
    ],
)
def test_hosts_are_those_allowed(
    predictor: Predictor, options: ServerOptions, host: str, status: int
) -> None:
    with start_in_thread({"tiny": predictor}, options) as server:
        response = httpx.get(f"{server.url}/healthz", headers={"host": host}, timeout=None)
    assert response.status_code == status
