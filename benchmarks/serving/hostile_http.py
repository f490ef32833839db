"""Send thousands of hostile requests to a real server: none crashes, blocks or fills it.

    python benchmarks/serving/hostile_http.py MODEL

MODEL is a bundle that classifies. The server has two worker processes; each request is sent over
a connection of its own. An answer to the picture, or 400 to 499, is right, and 501 to an unknown
transfer encoding (RFC 9112, 6.1); every other 500 to 599 is not.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hostile_requests import Request, requests
from wire import memory_mb, served

from outcome import Outcome, add_out, report

_SLOWEST_S, _RISE_MIB = 5.0, 64.0
_GIVE_UP_S = 30.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
# By then, libraries have loaded what they need, and the allocator knows large pictures.
_SETTLED = 1000


@dataclass
class Found:
    """What happened.

    Attributes:
        statuses: How often which status came first; `closed` where none did.
        failed: Names of requests that were answered with 500 to 599, or not at all.
        slow: The slowest: (seconds, name).
    """

    statuses: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    slow: list[tuple[float, str]] = field(default_factory=list)

    def add(self, request: Request, status: str, seconds: float) -> None:
        """Note what came of a request."""
        self.statuses[status] += 1
        is_bad = status[0] == "5" and (status != "501" or request.is_whole)
        if is_bad or status == "none" or (status == "closed" and request.is_whole):
            self.failed[request.name] = status
        self.slow = sorted([*self.slow, (seconds, request.name)], reverse=True)[:10]


def send(port: int, request: Request) -> tuple[str, float]:
    """Return the first status, `closed` or `none` (nothing in time), and the seconds it took."""
    begun = time.perf_counter()
    data = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_GIVE_UP_S) as connection:
        try:
            connection.sendall(request.data)
            if not request.is_whole:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                data += part
        except TimeoutError:
            return "none", time.perf_counter() - begun
        except OSError:
            # It answers and closes before it has read everything.
            pass
    found = _STATUS.match(data)
    return found[1].decode() if found else "closed", time.perf_counter() - begun


def send_all(port: int, hostile: Iterator[Request], found: Found, clients: int) -> None:
    """Send requests from several threads."""
    lock = threading.Lock()

    def run() -> None:
        while True:
            with lock:
                request = next(hostile, None)
            if request is None:
                return
            status, seconds = send(port, request)
            with lock:
                found.add(request, status, seconds)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _taken(hostile: Iterator[Request], count: int) -> Iterator[Request]:
    for _ in range(count):
        request = next(hostile, None)
        if request is None:
            return
        yield request


def fetched(port: int, path: str) -> str:
    """Return what the server has under a path."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=_GIVE_UP_S) as reply:
        return str(reply.read().decode())


def metric(port: int, name: str) -> float:
    """Return a figure of the server."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", fetched(port, "/metrics"), re.MULTILINE)
    return float(found[1]) if found else 0.0


def main() -> None:
    """Send everything and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model")
    add_out(parser)
    parser.add_argument("--counts", type=int, nargs=3, default=(10_000, 2_000, 2_000))
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("options", nargs="*", help="of foveal serve, after --")
    given = parser.parse_args()
    found = Found()
    with served(given.model, "--workers", "2", *given.options) as (port, process, _):
        name = json.loads(fetched(port, "/models"))["models"][0]["name"]
        hostile = requests(name, tuple(given.counts))
        send_all(port, _taken(hostile, _SETTLED), found, given.clients)
        settled = sum(pss for _, pss in memory_mb(process))
        send_all(port, hostile, found, given.clients)
        rise = sum(pss for _, pss in memory_mb(process)) - settled
        deaths = metric(port, "foveal_worker_deaths_total")
    report(
        Outcome(
            claim="hostile_requests",
            what=f"slowest answer to {sum(found.statuses.values()):,} hostile requests",
            unit="s",
            values=(found.slow[0][0],),
            target=_SLOWEST_S,
            better="low",
            limits={
                "workers that died": (deaths, 0),
                "requests answered with 500 to 599, or not": (len(found.failed), 0),
                "rise of the memory, MiB": (rise, _RISE_MIB),
            },
            detail={
                "statuses": dict(sorted(found.statuses.items())),
                "failed": dict(list(found.failed.items())[:50]),
                "slowest": found.slow,
                "settled_mib": settled,
            },
        ),
        given.out,
    )


if __name__ == "__main__":
    main()
