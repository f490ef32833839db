"""Several worker processes behind one port: they are watched, replaced, counted and drained."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

import foveal
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.curation.feedback import read_feedback

_SOURCE = Path(foveal.__file__).parents[1]
_FAILING = """
import sys
from foveal.errors import BundleError
from foveal.server.options import ServerOptions
from foveal.server.supervisor import supervise

def open_models():
    raise {error}

try:
    supervise(open_models, ServerOptions(port=0, workers=2))
except BundleError as error:
    print(type(error).__name__, error.message, error.hint)
"""


def start(*command: str) -> subprocess.Popen[str]:
    """Start Python with arguments, its output in pipes."""
    environment = {**os.environ, "PYTHONPATH": str(_SOURCE)}
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.fixture
def supervisor(tiny_bundle: Bundle) -> Iterator[subprocess.Popen[str]]:
    """Return the supervisor of two workers; its first line of output is its URL."""
    options = ["--port", "0", "--workers", "2", "--drain-delay", "4"]
    with start("-m", "foveal", "serve", str(tiny_bundle.path), *options) as process:
        yield process
        process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    """Wait for the URL."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def workers_of(process: subprocess.Popen[str]) -> set[int]:
    """Return the process ids of the workers."""
    return {child.pid for child in psutil.Process(process.pid).children()}


def await_that(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    while not holds():
        time.sleep(0.02)


def ask(url: str, picture: bytes, timeout_s: float | None = None) -> int:
    """Send a picture over a connection of its own, and return the status."""
    return httpx.post(f"{url}/predict/tiny", content=picture, timeout=timeout_s).status_code


def metric(url: str, name: str) -> float:
    """Return the value of one line of the metrics."""
    text = httpx.get(f"{url}/metrics", timeout=None).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_feedback_of_all_workers_is_in_one_folder_and_within_one_quota(
    tiny_bundle: Bundle, bright_jpeg: bytes, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    options = ["--port", "0", "--workers", "2", "--drain-delay", "0", "--collect", str(kept)]
    limits = ["--collect-rate", "12/day", "--collect-new-labels"]
    command = ("-m", "foveal", "serve", str(tiny_bundle.path), *options, *limits)
    with start(*command) as process:
        url = url_of(process)

        def send(label: str) -> int:
            files, data = {"file": bright_jpeg}, {"label": label}
            return httpx.post(f"{url}/feedback", files=files, data=data, timeout=None).status_code

        statuses = [send(f"class {number}") for number in range(6)]
        for worker in workers_of(process):
            os.kill(worker, signal.SIGKILL)
        statuses += [send(f"class {number}") for number in range(3, 12)]
        process.terminate()
    assert statuses == [201] * 6 + [200] * 3 + [201] * 3 + [429] * 3
    lines = list(read_feedback(kept))
    assert [line.id for line in lines] == list(range(1, 10))
    assert {line.image for line in lines} == {lines[0].image}


def test_counters_are_those_of_all_workers_and_outlive_them(
    supervisor: subprocess.Popen[str], bright_jpeg: bytes
) -> None:
    url = url_of(supervisor)
    name = 'foveal_requests_total{route="predict",status="200"}'
    assert {ask(url, bright_jpeg) for _ in range(20)} == {200}
    # The answer may arrive before it is counted.
    await_that(lambda: metric(url, name) == 20)
    assert (metric(url, "foveal_workers"), metric(url, "foveal_ready")) == (2, 2)

    before = workers_of(supervisor)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    # Not one connection is refused: what comes meanwhile waits in the queues.
    assert {ask(url, bright_jpeg) for _ in range(20)} == {200}
    await_that(lambda: metric(url, "foveal_workers") == 2)

    await_that(lambda: metric(url, name) == 40)
    assert metric(url, "foveal_worker_deaths_total") == 2
    assert workers_of(supervisor).isdisjoint(before)
    supervisor.send_signal(signal.SIGINT)
    _, errors = supervisor.communicate()
    assert errors.count("was killed by SIGKILL; starting another") == 2


def test_a_worker_that_hangs_is_replaced(tiny_bundle: Bundle, bright_jpeg: bytes) -> None:
    options = ["--port", "0", "--workers", "2", "--worker-timeout", "3", "--drain-delay", "0"]
    with start("-m", "foveal", "serve", str(tiny_bundle.path), *options) as process:
        url = url_of(process)
        before = workers_of(process)
        for worker in before:
            os.kill(worker, signal.SIGSTOP)
        # What comes meanwhile waits in the queues of their sockets.
        assert {ask(url, bright_jpeg) for _ in range(6)} == {200}
        await_that(lambda: metric(url, "foveal_workers") == 2)
        assert metric(url, "foveal_worker_deaths_total") >= 2
        assert workers_of(process).isdisjoint(before)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert "worker 1 has not responded for 3 s; killing it" in errors
    assert "worker 2 was killed by SIGKILL; starting another" in errors


def test_no_client_waits_for_a_worker_that_cannot_start(
    tiny_bundle: Bundle, bright_jpeg: bytes, tmp_path: Path
) -> None:
    bundle = shutil.copytree(tiny_bundle.path, tmp_path / "tiny")
    model, away = bundle / "model.onnx", tmp_path / "model.onnx"
    options = ["--port", "0", "--workers", "2", "--drain-delay", "0"]
    with (
        start("-m", "foveal", "serve", str(bundle), *options) as process,
        ExitStack() as ending,
    ):
        ending.callback(process.kill)
        url, errors = url_of(process), process.stderr
        assert errors is not None
        model.rename(away)
        os.kill(min(workers_of(process)), signal.SIGKILL)
        await_that(lambda: "ended with status" in errors.readline())
        # Half of them would wait at a socket from which nobody accepts.
        assert {ask(url, bright_jpeg, timeout_s=20) for _ in range(20)} == {200}
        away.rename(model)
        await_that(lambda: metric(url, "foveal_workers") == 2)
        assert {ask(url, bright_jpeg, timeout_s=20) for _ in range(20)} == {200}


def test_sigterm_drains_all_workers(supervisor: subprocess.Popen[str], bright_jpeg: bytes) -> None:
    url = url_of(supervisor)
    workers = workers_of(supervisor)
    supervisor.send_signal(signal.SIGTERM)
    await_that(lambda: httpx.get(f"{url}/readyz", timeout=None).status_code == 503)
    # Still accepted, for who routes requests here has not heard of it.
    draining = httpx.post(f"{url}/predict/tiny", content=bright_jpeg, timeout=None)
    output, _ = supervisor.communicate()

    assert (draining.status_code, draining.headers["connection"]) == (200, "close")
    assert (supervisor.returncode, output) == (0, "")
    assert not any(psutil.pid_exists(worker) for worker in workers)


def test_an_expired_certificate_is_warned_of_once(tiny_bundle: Bundle) -> None:
    tls = Path(__file__).parent / "tls"
    files = ["--tls-cert", str(tls / "expired.pem"), "--tls-key", str(tls / "first.key")]
    options = ["--port", "0", "--workers", "2", "--drain-delay", "0", *files]
    with start("-m", "foveal", "serve", str(tiny_bundle.path), *options) as process:
        assert url_of(process).startswith("https://")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert said.count("expired.pem expired on 2021-02-01 00:00 UTC.") == 1


class Client(threading.Thread):
    """Asks again and again, with a new connection after each that the server closes."""

    def __init__(self, url: str, picture: bytes) -> None:
        super().__init__()
        self._url, self._picture = url, picture
        self.is_ending = threading.Event()
        self.answers: list[int] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Ask until told to end."""
        with httpx.Client(base_url=self._url, timeout=None, trust_env=False) as client:
            while not self.is_ending.is_set():
                try:
                    answer = client.post("/predict/tiny", content=self._picture)
                    self.answers.append(answer.status_code)
                except httpx.TransportError as error:
                    self.errors.append(repr(error))


def test_nothing_is_refused_or_reset_within_the_grace(
    tiny_bundle: Bundle, bright_jpeg: bytes
) -> None:
    options = ["--port", "0", "--workers", "2", "--drain-delay", "6"]
    with start("-m", "foveal", "serve", str(tiny_bundle.path), *options) as process:
        url = url_of(process)
        clients = [Client(url, bright_jpeg) for _ in range(8)]
        for client in clients:
            client.start()
        await_that(lambda: all(len(client.answers) > 3 for client in clients))
        process.send_signal(signal.SIGTERM)
        await_that(lambda: httpx.get(f"{url}/readyz", timeout=None).status_code == 503)
        counts = [len(client.answers) for client in clients]
        await_that(
            lambda: all(len(c.answers) > n + 3 for c, n in zip(clients, counts, strict=True))
        )
        # What routes requests here has heard by now.
        for client in clients:
            client.is_ending.set()
        for client in clients:
            client.join()
        process.wait()

    assert [client.errors for client in clients] == [[]] * 8
    assert {status for client in clients for status in client.answers} == {200}
    assert process.returncode == 0


# A terminal whose window is closed once the server has said where it answers.
_IN_A_TERMINAL = """
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-m", "foveal", "serve", *sys.argv[1:]])
said = b""
while b"Ctrl-C" not in said:
    said += os.read(terminal, 1024)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_ends_with_its_terminal(tiny_bundle: Bundle, workers: str) -> None:
    options = [str(tiny_bundle.path), "--port", "0", "--workers", workers]
    with start("-c", _IN_A_TERMINAL, *options) as process:
        output, _ = process.communicate()
    assert output == "0\n"


def test_workers_end_when_the_supervisor_is_killed(supervisor: subprocess.Popen[str]) -> None:
    url_of(supervisor)
    workers = workers_of(supervisor)
    supervisor.kill()
    await_that(lambda: not any(psutil.pid_exists(worker) for worker in workers))


def test_what_keeps_a_worker_from_starting_is_the_supervisors_error() -> None:
    failure = 'BundleError("There is no model.", hint="train one")'
    with start("-c", _FAILING.format(error=failure)) as process:
        output, errors = process.communicate()
    assert output == "BundleError There is no model. train one\n"
    assert "Traceback" not in errors


def test_a_port_in_use_is_one_line(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = str(taken.getsockname()[1])
        command = ["-m", "foveal", "serve", str(tiny_bundle.path), "--port", port]
        with start(*command, "--workers", "2") as process:
            _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.splitlines()[0].endswith(
        f"Cannot listen on 127.0.0.1:{port}: the port is in use."
    )


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_an_odd_number_of_workers_is_a_usage_error(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    assert run(["serve", str(tiny_bundle.path), f"--workers={number}"]) == 2
    assert "a number above 0, or auto" in capsys.readouterr().err
