"""A client that costs little: one thread, epoll, raw sockets, whole answers checked.

It keeps as many connections as there are clients; each sends its next request when its answer is
whole. On the reference machine it costs about 0.04 ms of processor time per request, which is
printed beside every result. It uses nothing but the standard library, so it can run anywhere.

    python benchmarks/serving/load_client.py REQUESTS --port 8000 --clients 16 --seconds 5

REQUESTS is a file of whole HTTP requests, each behind its length as 4 big-endian bytes.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_BUFFER = 1 << 18


@dataclass(eq=False)
class Connection:
    """One client: its socket, what is left to send, and what has come of the answer."""

    turn: int
    pause_s: float
    socket: socket.socket = field(init=False)
    unsent: memoryview = field(default=memoryview(b""))
    answer: bytes = b""
    sent_at: float = 0.0
    due_at: float = 0.0


class Load:
    """Requests over keep-alive connections, counted.

    Args:
        address: Host and port.
        requests: Whole HTTP requests, sent in turn.
        clients: Connections.
        rate: Requests a second in all; None sends the next one at once.
    """

    def __init__(
        self,
        address: tuple[str, int],
        requests: Sequence[bytes],
        clients: int,
        rate: float | None = None,
    ) -> None:
        self._address = address
        self._requests = requests
        pause = clients / rate if rate else 0.0
        self._connections = [Connection(i, pause) for i in range(clients)]
        self._poll = select.epoll()
        self._by_number: dict[int, Connection] = {}
        self.answers: list[tuple[float, float]] = []
        self.failures: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Send requests for `seconds`."""
        begun = time.perf_counter()
        until = begun + seconds
        waiting = []
        for i, connection in enumerate(self._connections):
            self._connect(connection)
            # Spread over the pause, or all would come at once for ever.
            connection.due_at = begun + connection.pause_s * i / len(self._connections)
            waiting.append(connection)
        while (now := time.perf_counter()) < until:
            waiting = [c for c in waiting if not self._start(c, now)]
            first = min((c.due_at for c in waiting), default=until)
            for number, event in self._poll.poll(max(0.0, min(first, until) - now)):
                connection = self._by_number[number]
                if event & select.EPOLLOUT:
                    self._send(connection)
                if event & ~select.EPOLLOUT and self._receive(connection):
                    waiting.append(connection)
        for connection in self._connections:
            connection.socket.close()

    def _connect(self, connection: Connection) -> None:
        connection.socket = socket.create_connection(self._address, timeout=30)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket.setblocking(False)
        number = connection.socket.fileno()
        self._by_number[number] = connection
        self._poll.register(number, select.EPOLLIN)

    def _start(self, connection: Connection, now: float) -> bool:
        if connection.due_at > now:
            return False
        connection.due_at = max(now, connection.due_at + connection.pause_s)
        connection.unsent = memoryview(self._requests[connection.turn % len(self._requests)])
        connection.turn += len(self._connections)
        # With a rate, a request that could not leave in time has waited for the server too.
        connection.sent_at = time.perf_counter()
        self._send(connection)
        return True

    def _send(self, connection: Connection) -> None:
        try:
            sent = connection.socket.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # Told by the next read.
        connection.unsent = connection.unsent[sent:]
        wanted = select.EPOLLIN | (select.EPOLLOUT if connection.unsent else 0)
        self._poll.modify(connection.socket.fileno(), wanted)

    def _receive(self, connection: Connection) -> bool:
        """Take what has come; return whether the answer is whole."""
        try:
            part = connection.socket.recv(_BUFFER)
        except BlockingIOError:
            return False
        except OSError:
            part = b""
        if not part:
            self.failures["closed"] += 1
            self._reconnect(connection)
            return True
        connection.answer += part
        if not is_whole(connection.answer):
            return False
        answer, connection.answer = connection.answer, b""
        if answer[9:12] == b"200":
            self.answers.append((connection.sent_at, time.perf_counter()))
        else:
            self.failures[answer[9:12].decode("latin-1")] += 1
        if b"connection: close" in answer[: answer.find(b"\r\n\r\n")].lower():
            self._reconnect(connection)
        return True

    def _reconnect(self, connection: Connection) -> None:
        self._poll.unregister(connection.socket.fileno())
        connection.socket.close()
        connection.answer = b""
        self._connect(connection)


def is_whole(answer: bytes) -> bool:
    """Return whether the bytes are a whole HTTP answer, by its length or its last chunk."""
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    head = answer[:head_end].lower()
    at = head.find(b"content-length:")
    if at >= 0:
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        return len(answer) >= head_end + 4 + length
    return answer.endswith(b"0\r\n\r\n")


def read_requests(path: Path) -> list[bytes]:
    """Return the requests of a file."""
    return list(_parts(path.read_bytes()))


def _parts(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def write_requests(path: Path, requests: Sequence[bytes]) -> None:
    """Write what `read_requests` reads."""
    path.write_bytes(b"".join(struct.pack(">I", len(r)) + r for r in requests))


def measure(load: Load, *, warm_up_s: float, seconds: float) -> dict[str, object]:
    """Run a load and return its figures, without the first `warm_up_s`.

    A request counts when its answer came within the measured time.
    """
    cpu, begun = time.process_time(), time.perf_counter()
    load.run(warm_up_s + seconds)
    used = time.process_time() - cpu
    counted = [(sent, got) for sent, got in load.answers if got >= begun + warm_up_s]
    took = sorted(1000 * (got - sent) for sent, got in counted)
    return {
        "answered": len(load.answers),
        "rate": len(counted) / seconds,
        "p50_ms": took[len(took) // 2] if took else None,
        "p99_ms": took[int(0.99 * len(took))] if took else None,
        "failures": dict(load.failures),
        "client_cpu_ms": 1000 * used / max(1, len(load.answers)),
    }


def main() -> None:
    """Send the requests of a file and print one JSON line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("requests", type=Path)
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, required=True)
    made.add_argument("--clients", type=int, default=16)
    made.add_argument("--seconds", type=float, default=5.0)
    made.add_argument("--warm-up", type=float, default=1.0)
    made.add_argument("--rate", type=float, help="requests a second in all")
    options = made.parse_args()
    address = (options.host, options.port)
    load = Load(address, read_requests(options.requests), options.clients, options.rate)
    json.dump(measure(load, warm_up_s=options.warm_up, seconds=options.seconds), sys.stdout)
    print()


if __name__ == "__main__":
    main()
