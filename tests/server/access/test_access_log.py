"""The access log: what a line says, what it never says, and that it survives rotation."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from foveal.access import KeyFile, Rate
from foveal.errors import UsageError
from foveal.predict import Predictor
from foveal.server import start_in_thread
from foveal.server.access.accesslog import AccessLog, utc

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_asked_what_and_how_it_ended(
    predictor: Predictor, dark_png: bytes, tmp_path: Path
) -> None:
    log, file = tmp_path / "access.jsonl", KeyFile(tmp_path / "keys.json")
    text, key = file.create("shop")
    headers = {
        "authorization": f"Bearer {text}",
        "x-request-id": "abc-1",
        "traceparent": f"00-{_TRACE}-00f067aa0ba902b7-01",
    }
    with (
        start_in_thread({"tiny": predictor}, port=0, keys=file.path, access_log=str(log)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=None) as client,
    ):
        upload = {"file": ("holiday-secret.png", dark_png)}
        client.post("/predict/tiny?expected=circle", files=upload, headers=headers)
        client.post("/predict/tiny", content=dark_png)
        client.get("/healthz")
        client.get("/nothing", headers={**headers, "traceparent": "00-0-0-00"})

    answered, refused, health, missing = lines_of(log)
    assert datetime.fromisoformat(answered.pop("time")).tzinfo is not None
    assert answered.pop("ms") > 0
    assert answered.pop("bytes_in") > len(dark_png)
    assert answered.pop("bytes_out") > 50
    assert answered == {
        "request": "abc-1",
        "trace": _TRACE,
        "key": key.id,
        "address": "127.0.0.1",
        "method": "POST",
        "route": "predict",
        "model": "tiny",
        "version": 1,
        "status": 200,
    }
    assert (refused["status"], refused["key"], refused["model"]) == (401, None, None)
    assert refused["bytes_in"] == 0
    assert (health["route"], health["status"]) == ("healthz", 200)
    assert (missing["route"], missing["status"], missing["trace"]) == ("none", 404, None)
    whole = log.read_text()
    for secret in (text, text.split("_")[2], "holiday", "expected", "circle"):
        assert secret not in whole


def test_a_refused_request_is_logged_with_its_key(predictor: Predictor, tmp_path: Path) -> None:
    log, file = tmp_path / "access.jsonl", KeyFile(tmp_path / "keys.json")
    text, key = file.create("shop", rate=Rate(1, "day"))
    with (
        start_in_thread({"tiny": predictor}, port=0, keys=file.path, access_log=str(log)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=None) as client,
    ):
        for path in ("/metrics", "/models", "/models"):
            client.get(path, headers={"x-api-key": text})
    assert [(line["status"], line["key"]) for line in lines_of(log)] == [
        (403, key.id),
        (200, key.id),
        (429, key.id),
    ]


def test_a_log_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    log = AccessLog(str(path))
    log.add({"n": 1})
    log.flush()
    path.rename(tmp_path / "access.jsonl.1")
    log.add({"n": 2})
    log.flush()
    path.unlink()
    log.add({"n": 3})
    log.close()
    assert lines_of(tmp_path / "access.jsonl.1") == [{"n": 1}]
    assert lines_of(path) == [{"n": 3}]


def test_two_logs_of_one_file_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    logs = [AccessLog(str(path)) for _ in range(2)]
    for n in range(2000):
        logs[n % 2].add({"n": n, "pad": "x" * 200})
        if n % 100 < 2:
            logs[n % 2].flush()
    for log in logs:
        log.close()
    assert sorted(line["n"] for line in lines_of(path)) == list(range(2000))


def test_a_disk_that_refuses_is_said_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = AccessLog(str(folder / "access.jsonl"))
    (folder / "access.jsonl").unlink()
    folder.rmdir()
    for n in range(3):
        log.add({"n": n})
        log.flush()
    assert caplog.text.count("the access log cannot be written") == 1
    folder.mkdir()
    log.add({"n": 3})
    log.close()
    assert lines_of(folder / "access.jsonl") == [{"dropped": 3}, {"n": 3}]


@contextmanager
def files_end_after(size: int) -> Iterator[None]:
    """End all files of this process after so many bytes, as a full disk does.

    Not a fixture: pytest prints a test's result before fixtures end, maybe to a longer file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_lines_that_found_no_room_are_counted_and_break_no_other(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    log = AccessLog(str(path))
    # A line takes eight bytes: the first one fits, the second one does not.
    with files_end_after(12):
        for n in range(4):
            log.add({"n": n})
        log.flush()
        log.add({"n": 4})
        log.flush()
    assert path.read_text() == '{"n":0}\n{"n"'
    log.add({"n": 5})
    log.close()
    assert path.read_text() == '{"n":0}\n{"n"\n{"dropped":4}\n{"n":5}\n'


def test_a_line_that_a_killed_process_left_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    path.write_text('{"n":0}\n{"n"')
    log = AccessLog(str(path))
    log.add({"n": 1})
    log.close()
    assert path.read_text() == '{"n":0}\n{"n"\n{"n":1}\n'


def test_a_log_that_cannot_be_begun_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot write the access log"):
        AccessLog(str(tmp_path / "nowhere" / "access.jsonl"))


def test_times_are_in_utc_to_the_millisecond() -> None:
    assert utc(0.0) == "1970-01-01T00:00:00.000Z"
    assert utc(1_700_000_000.9996) == "2023-11-14T22:13:20.999Z"
