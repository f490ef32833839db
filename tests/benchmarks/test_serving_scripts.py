"""What the serving benchmarks count as an answer, and how they read memory."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from load_client import Load, is_whole, measure, read_requests, write_requests
from soak import summary

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"", False),
        (OK[:20], False),
        (OK[:-1], False),
        (OK, True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
    ],
)
def test_an_answer_is_whole_by_its_length_or_its_last_chunk(answer: bytes, whole: bool) -> None:
    assert is_whole(answer) is whole


def test_requests_are_read_as_they_were_written(tmp_path: Path) -> None:
    requests = [b"", b"\n\r\n", bytes(range(256)) * 3]
    write_requests(tmp_path / "requests", requests)
    assert read_requests(tmp_path / "requests") == requests


def test_every_answer_is_counted_once_and_every_failure_by_its_status() -> None:
    # Closes its connection after every second answer, every third of which is a refusal.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        counted = {"answers": 0}

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    for last in (False, True):
                        got = b""
                        while not got.endswith(b"abc"):
                            part = connection.recv(1000)
                            if not part:
                                return
                            got += part
                        counted["answers"] += 1
                        answer = OK
                        if counted["answers"] % 3 == 0:
                            answer = answer.replace(b"200 OK", b"503 Busy")
                        if last:
                            answer = answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        load = Load(listener.getsockname(), [REQUEST], clients=1)
        report = measure(load, warm_up_s=0.0, seconds=0.2)
    failures = report["failures"]
    assert isinstance(failures, dict)
    assert set(failures) == {"503"}
    assert report["answered"] == len(load.answers)
    # The last one may still have been on its way.
    assert counted["answers"] - 1 <= len(load.answers) + failures["503"] <= counted["answers"]


def test_the_slope_of_the_memory_leaves_out_the_warm_up() -> None:
    warm_up = [(0.0, 50.0), (5.0, 90.0)]
    # Half a megabyte a minute.
    steady = [(float(t), 100.0 + t / 120) for t in range(20, 101, 5)]
    found = summary([*warm_up, *steady])
    assert found["slope_mb_per_minute"] == pytest.approx(0.5)
    assert found["readings"] == len(steady)
    with pytest.raises(SystemExit, match="too few readings"):
        summary(warm_up)
