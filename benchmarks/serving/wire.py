"""What hostile connections and dying workers do to a server: figures for docs/serving.md.

    python benchmarks/serving/wire.py MODEL

MODEL is a bundle that classifies; the picture sent is drawn here. Prints one line for each trial:
time from start to ready, memory of each process, p50 and p99 of good clients beside 500 slow heads
and 500 slow bodies, 2,000 connections at once, a worker killed every three seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from load_client import Load, measure
from PIL import Image

_SECONDS, _WARM_UP_S = 8.0, 2.0
_ATTACKERS, _AT_ONCE = 500, 2000
_KILL_EVERY_S, _KILLING_S = 3.0, 60.0


def picture() -> bytes:
    """Return a JPEG of 256 x 256 noise over a gradient."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, 256)[:, None, None]
    pixels = ramp + rng.integers(0, 50, (256, 256, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@contextmanager
def served(model: str, *options: str) -> Iterator[tuple[int, psutil.Process, float]]:
    """Start `foveal serve`; gives the port, its process, and the seconds until it answered."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "foveal", "serve", model, "--port", "0", "--drain-delay", "0"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101
            port = int(process.stdout.readline().rsplit(":", 1)[1])
            yield port, psutil.Process(process.pid), time.perf_counter() - begun
        finally:
            process.send_signal(signal.SIGTERM)


def memory_mb(process: psutil.Process) -> list[tuple[float, float]]:
    """Return resident and proportional memory of the supervisor and of each worker."""
    found = []
    for one in (process, *process.children()):
        with contextlib.suppress(psutil.Error):
            info = one.memory_full_info()
            found.append((info.rss / 2**20, info.pss / 2**20))
    return found


def shown(figures: dict[str, object]) -> str:
    """Return the figures of a load in one line."""
    failures = figures["failures"] or "none"
    if figures["p50_ms"] is None:
        return f"no answer, failures {failures}"
    return (
        f"{figures['rate']:.0f} requests/s, p50 {figures['p50_ms']:.1f} ms, "
        f"p99 {figures['p99_ms']:.1f} ms, failures {failures}"
    )


class Attack(threading.Thread):
    """Holds connections open and sends a byte over each every second."""

    def __init__(self, port: int, start: bytes) -> None:
        super().__init__(daemon=True)
        self._port, self._start_bytes = port, start
        self._ending = threading.Event()
        self.reconnected = 0

    def run(self) -> None:
        """Attack until stopped; what the server closes is opened again."""
        held = [self._connect() for _ in range(_ATTACKERS)]
        while not self._ending.wait(1.0):
            for at, connection in enumerate(held):
                try:
                    connection.send(b"a")
                    if connection.recv(65536) == b"":
                        raise ConnectionError
                except BlockingIOError:
                    continue
                except OSError:
                    connection.close()
                    held[at] = self._connect()
                    self.reconnected += 1
        for connection in held:
            connection.close()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.setblocking(False)
        connection.send(self._start_bytes)
        return connection

    def stop(self) -> None:
        """End it."""
        self._ending.set()
        self.join()


def at_once(port: int) -> int:
    """Open 2,000 connections, then ask over all of them; return how many were answered."""
    selector = selectors.DefaultSelector()
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(_AT_ONCE)]
    answered = 0
    for connection in held:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        selector.register(connection, selectors.EVENT_READ)
    end = time.monotonic() + 30
    while answered < _AT_ONCE and selector.get_map() and time.monotonic() < end:
        for key, _ in selector.select(1.0):
            found = key.fileobj
            selector.unregister(found)
            answered += found.recv(65536).startswith(b"HTTP/1.1 200 ")  # type: ignore[union-attr]
    for connection in held:
        connection.close()
    return answered


def killing(process: psutil.Process) -> Callable[[], int]:
    """Kill a worker every few seconds; return what stops that and tells how many."""
    ending = threading.Event()
    killed: list[int] = []

    def run() -> None:
        while not ending.wait(_KILL_EVERY_S):
            workers = process.children()
            victim = workers[len(killed) % len(workers)].pid
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def stop() -> int:
        ending.set()
        thread.join()
        return len(killed)

    return stop


def main() -> None:
    """Run the trials."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("model")
    made.add_argument("--workers", default="2")
    made.add_argument("--clients", type=int, default=8)
    given = made.parse_args()
    name = Path(given.model).name.removesuffix(".foveal")
    body = picture()
    head = f"POST /predict/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
    request = f"{head}{len(body)}\r\n\r\n".encode() + body

    def run(port: int, seconds: float = _SECONDS) -> dict[str, object]:
        load = Load(("127.0.0.1", port), [request], given.clients)
        return measure(load, warm_up_s=_WARM_UP_S, seconds=seconds)

    with served(given.model, "--workers", given.workers) as (port, process, ready_s):
        print(f"ready after {ready_s:.2f} s")
        for what, (rss, pss) in enumerate(memory_mb(process)):
            print(f"  process {what}: {rss:.0f} MiB resident, {pss:.0f} MiB proportional")
        print(f"alone: {shown(run(port))}")
        slow_head = b"GET /healthz HTTP/1.1\r\nX: "
        slow_body = f"{head}16000000\r\n\r\n".encode()
        for kind, start in (("heads", slow_head), ("bodies", slow_body)):
            attack = Attack(port, start)
            attack.start()
            time.sleep(1.0)
            print(f"beside {_ATTACKERS} slow {kind}: {shown(run(port))}")
            attack.stop()
        print(f"{_AT_ONCE} connections at once: {at_once(port)} answered")
        stop = killing(process)
        print(f"workers killed: {shown(run(port, _KILLING_S))}; {stop()} killed")
        print(f"memory at the end: {[round(pss) for _, pss in memory_mb(process)]} MiB")


if __name__ == "__main__":
    main()
