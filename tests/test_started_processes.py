"""Processes that work together, and errors on their way between them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foveal.errors import DataError, FovealError, RemoteError, UsageError, unpacked
from foveal.rest import ServiceError
from foveal.workers import started

WRITES = """
import os, pathlib, sys, threading
from foveal.workers import take_order

told = threading.Event()

def leave():
    told.wait()
    pathlib.Path(order["left"]).touch()
    os._exit(0)

order = take_order(leave)
told.set()
print(order["number"], os.environ["OMP_NUM_THREADS"], flush=True)
if order["number"] < 2:
    threading.Event().wait()
"""

STARTS = """
import os, sys
from foveal.workers import started

with started("written", [{"number": 0, "left": sys.argv[1]}]) as processes:
    processes[0].stdin.flush()
    os._exit(0)
"""


@pytest.fixture(autouse=True)
def _written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "written.py").write_text(WRITES)
    # What only this process has on its path is found by the others.
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")


def test_each_process_gets_its_order_and_ends_with_the_block(tmp_path: Path) -> None:
    orders = [{"number": n, "left": str(tmp_path / f"left-{n}")} for n in range(3)]
    with (tmp_path / "log").open("wb") as log:
        with started("written", orders, log=log, grace_s=60) as processes:
            assert processes[2].wait(60) == 0
            assert processes[0].poll() is None
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted((tmp_path / "log").read_text().split("\n")) == ["", "0 3", "1 3", "2 3"]
    assert [(tmp_path / f"left-{n}").exists() for n in range(3)] == [True, True, False]


def test_without_grace_they_are_killed(tmp_path: Path) -> None:
    (tmp_path / "written.py").write_text(WRITES.replace("leave)", "lambda: None)"))
    with started("written", [{"number": 0}]) as processes:
        assert processes[0].poll() is None
    assert processes[0].returncode == -9


def test_they_hear_that_the_one_that_started_them_was_killed(tmp_path: Path) -> None:
    left = tmp_path / "left"
    path = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", STARTS, str(left)]
    # The output ends when the last process that could write to it has ended.
    subprocess.run(command, env=path, stdout=subprocess.PIPE, check=True, timeout=60)
    assert left.exists()


@pytest.mark.parametrize(
    "error",
    [
        UsageError("no", hint="yes"),
        DataError("no", code="data_empty"),
        RemoteError("Cannot read s3://b: gone.", why="gone"),
        ServiceError("X answered 500: no", status=500, hint="later"),
    ],
)
def test_an_error_arrives_as_the_class_that_it_was(error: FovealError) -> None:
    arrived = unpacked(error.packed())
    assert type(arrived) is type(error)
    assert arrived.to_json() == error.to_json()


def test_an_error_of_a_class_that_is_not_known_here_is_told_too() -> None:
    packed = {"kind": "Unknown", "code": "toy_failed", "message": "no", "hint": None}
    arrived = unpacked(packed)
    assert type(arrived) is FovealError
    assert (arrived.message, arrived.error_code) == ("no", "toy_failed")
