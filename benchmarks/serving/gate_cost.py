"""What it costs a request to pass the gate: Host and Origin, a key, quotas, the access log.

Calls the gate in this process, around an application that answers at once, without a network: what
is left is the time of the gate itself. The set-ups take turns, round after round, so that whatever
else the machine does hits all of them; the medians over the rounds and their spread are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import Message, Receive, Scope, Send

from foveal.access import KeyFile, Rate
from foveal.server.access.accesslog import AccessLog
from foveal.server.access.auth import Access
from foveal.server.gate import Gate
from foveal.server.options import ServerOptions
from foveal.server.telemetry.counters import Telemetry

_REQUESTS = 2000


@dataclass
class State:
    """What the gate knows of the application behind it."""

    options: ServerOptions
    access_log: AccessLog | None = None
    draining: bool = False
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(dict))

    def __post_init__(self) -> None:
        """Read the keys."""
        self.access = Access(self.options)


async def answer(_: Scope, __: Receive, send: Send) -> None:
    """Answer at once."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def receive() -> Message:
    """Give no body."""
    return {"type": "http.request", "body": b""}


async def forget(_: Message) -> None:
    """Send nowhere."""


def scope_with(key: str | None) -> Scope:
    """Return the scope of a request as a client library sends it."""
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"user-agent", b"python-httpx/0.28"),
        (b"content-length", b"48213"),
    ]
    if key is not None:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    return {
        "type": "http",
        "method": "POST",
        "path": "/predict/photos",
        "http_version": "1.1",
        "client": ("127.0.0.1", 50000),
        "headers": headers,
    }


@contextmanager
def setups(folder: Path) -> Iterator[dict[str, tuple[object, Scope]]]:
    """Give name → (application, scope)."""
    file = KeyFile(folder / "keys.json")
    plain, _ = file.create("plain")
    most = Rate(100_000_000, "s")
    limited, _ = file.create("limited", rate=most, concurrent=1000)
    shared = folder / "shared"
    shared.mkdir()
    open_to_all = State(ServerOptions())
    keyed = State(ServerOptions(keys=file.path))
    over_workers = State(ServerOptions(keys=file.path, runtime_dir=shared))
    log = AccessLog(str(folder / "access.jsonl"))
    logged = State(ServerOptions(keys=file.path), log)
    yield {
        "no gate": (answer, scope_with(None)),
        "no keys": (Gate(answer, open_to_all), scope_with(None)),
        "a key": (Gate(answer, keyed), scope_with(plain)),
        "a key with a rate and a number at once": (Gate(answer, keyed), scope_with(limited)),
        "the same, counted over all workers": (Gate(answer, over_workers), scope_with(limited)),
        "a key, and the access log": (Gate(answer, logged), scope_with(plain)),
    }
    log.close()


async def seconds_for(app: object, scope: Scope) -> float:
    """Return the processor time of one request, from many; that of the log's thread is in it."""
    begun = time.process_time()
    for _ in range(_REQUESTS):
        await app(dict(scope), receive, forget)  # type: ignore[operator]
    return (time.process_time() - begun) / _REQUESTS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, setups(Path(folder)) as measured:
        times: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(rounds):
            for name, (app, scope) in measured.items():
                times[name].append(1e6 * asyncio.run(seconds_for(app, scope)))
    for name, values in times.items():
        print(
            json.dumps(
                {
                    "setup": name,
                    "us_median": round(statistics.median(values), 2),
                    "us_low": round(min(values), 2),
                    "us_high": round(max(values), 2),
                    "n": f"{rounds} x {_REQUESTS}",
                }
            )
        )


if __name__ == "__main__":
    main()
