"""The servers that are compared: how each is installed, started, asked and stopped."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from untrained_classifiers import Model

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_START_S = 120.0
_MARK = "FOVEAL_BENCH_MARK"


@dataclass(frozen=True)
class Program:
    """A server.

    Attributes:
        name: In the results.
        line: The command line after Python's name, for a port.
        path: Where a picture is posted.
        body: The body for the bytes of a JPEG, with its content type.
        requirements: The file that pins its packages; None is this environment.
    """

    name: str
    line: Callable[[int, Path, Model, int], Sequence[str]]
    path: str = "/predict"
    body: Callable[[bytes], tuple[str, bytes]] = lambda data: ("image/jpeg", data)
    requirements: str | None = None
    prepare: Callable[[Path, int, int], None] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def _litserve_body(data: bytes) -> tuple[str, bytes]:
    return "application/json", json.dumps({"image": base64.b64encode(data).decode()}).encode()


def _oip_body(data: bytes) -> tuple[str, bytes]:
    tensor = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "data": [base64.b64encode(data).decode()],
    }
    return "application/json", json.dumps({"inputs": [tensor]}).encode()


def _mlserver_files(folder: Path, port: int, workers: int) -> None:
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": workers,
        "debug": False,
        "use_structured_logging": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "pictures", "implementation": "mlserver_model.Pictures"}
    (folder / "model-settings.json").write_text(json.dumps(model))


def _gunicorn(port: int, bundle: Path, model: Model, workers: int) -> list[str]:
    line = ["-m", "gunicorn", "--workers", str(workers), "--bind", f"127.0.0.1:{port}"]
    return [*line, "--log-level", "error", "flask_app:app"]


PROGRAMS = (
    Program(
        "foveal",
        lambda port, bundle, model, workers: [
            *("-m", "foveal", "serve", str(bundle), "--port", str(port), "--quiet"),
        ],
        path="/predict/{model}",
    ),
    Program("flask", _gunicorn, requirements="flask.txt"),
    Program(
        "flask, tuned",
        lambda port, bundle, model, workers: [
            *_gunicorn(port, bundle, model, workers),
            *("--worker-class", "gthread", "--threads", "2", "--keep-alive", "75"),
        ],
        requirements="flask.txt",
        environment={"BENCH_DECODER": "simplejpeg"},
    ),
    Program(
        "litserve",
        lambda port, bundle, model, workers: ["litserve_app.py"],
        body=_litserve_body,
        requirements="litserve.txt",
    ),
    Program(
        "bentoml",
        lambda port, bundle, model, workers: [
            *("-m", "bentoml", "serve", "bento_service:Pictures"),
            *("--host", "127.0.0.1", "--port", str(port)),
        ],
        requirements="bentoml.txt",
    ),
    Program(
        "mlserver",
        lambda port, bundle, model, workers: ["-m", "mlserver.cli.main", "start", "."],
        path="/v2/models/pictures/infer",
        body=_oip_body,
        requirements="mlserver.txt",
        prepare=_mlserver_files,
    ),
    Program(
        "ray",
        lambda port, bundle, model, workers: ["ray_app.py"],
        requirements="ray.txt",
    ),
)


class Running:
    """A started server: a process and all that it started.

    Attributes:
        port: Where it answers.
        mark: What the environment of each of its processes contains.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, mark: str) -> None:
        self.process, self.port, self.mark = process, port, mark

    def processes(self) -> list[int]:
        """Return the ids of its processes, also of those that left the family."""
        found = []
        wanted = f"{_MARK}={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def cpu_s(self) -> float:
        """Return the processor time that its processes have used."""
        ticks = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Return the memory of its processes: each page once (proportional set size)."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total / 1024

    def stop(self) -> None:
        """End it and all that it started."""
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def install(program: Program, folder: Path) -> Path:
    """Return the Python of a program's own environment, which is made when it is not there."""
    if program.requirements is None:
        return Path(sys.executable)
    place = folder / Path(program.requirements).stem
    python, done = place / "bin" / "python", place / "installed"
    wanted = HERE / "requirements" / program.requirements
    if not done.is_file() or done.read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
        done.write_text(wanted.read_text())
    return python


@contextmanager
def started(
    program: Program,
    python: Path,
    bundle: Path,
    model: Model,
    *,
    workers: int,
    scratch: Path,
    request: bytes,
) -> Iterator[Running]:
    """Start a program that serves a bundle; yield when it answers a request, stop it after."""
    port, mark = free_port(), secrets.token_hex(8)
    folder = scratch / f"{program.name}-{mark}"
    folder.mkdir(parents=True)
    if program.prepare is not None:
        program.prepare(folder, port, workers)
    servers = str(HERE / "servers")
    own = program.requirements is not None
    environment = {
        **os.environ,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": servers if own else str(ROOT / "src"),
        "PYTHONWARNINGS": "ignore",
        "BENCH_MODEL": str(bundle / "model.onnx"),
        "BENCH_SIDE": str(model.side),
        "BENCH_WORKERS": str(workers),
        "BENCH_THREADS": "1",
        "BENCH_PORT": str(port),
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "RAY_USAGE_STATS_ENABLED": "0",
        **program.environment,
        _MARK: mark,
    }
    line = [str(python), *program.line(port, bundle, model, workers)]
    where = folder if program.prepare is not None else Path(servers)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(line, cwd=where, env=environment, stdout=log, stderr=log)
        running = Running(process, port, mark)
        try:
            _wait(running, request, folder / "log")
            yield running
        finally:
            running.stop()


def _wait(running: Running, request: bytes, log: Path) -> None:
    """Return when the request is answered: some listen long before they have a model."""
    until, answer = time.monotonic() + _START_S, b""
    while time.monotonic() < until and running.process.poll() is None:
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", running.port), timeout=10) as asked:
                asked.sendall(request)
                answer = asked.recv(1 << 16)
            if answer.startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.2)
    said = log.read_text(errors="replace")[-3000:]
    raise SystemExit(f"the server did not start:\n{said}\n{answer[:1000]!r}")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def requests_for(program: Program, model: Model, pictures: Sequence[bytes]) -> list[bytes]:
    """Return the HTTP requests that ask a program for the pictures."""
    return [_request(program, model, data) for data in pictures]


def _request(program: Program, model: Model, data: bytes) -> bytes:
    kind, body = program.body(data)
    head = (
        f"POST {program.path.format(model=model.name)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
