"""Two processes never work on one run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foveal.cli.main import run as foveal_run
from foveal.errors import UsageError
from foveal.workflow.lock import working_on
from foveal.workflow.rundir import RunDirectory

_HOLD = """
import sys, time
from pathlib import Path
from foveal.workflow.lock import working_on
from foveal.workflow.rundir import RunDirectory

with working_on(RunDirectory(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    (tmp_path / "recipe.yaml").write_text("task: classify\n")
    return RunDirectory(tmp_path)


def test_a_run_that_is_worked_on_is_busy(run: RunDirectory) -> None:
    with working_on(run), pytest.raises(UsageError, match=str(os.getpid())) as caught:
        with working_on(run):
            pass
    assert caught.value.error_code == "run_busy"
    assert caught.value.hint is not None
    assert f"foveal watch {run.path}" in caught.value.hint


def test_a_run_is_free_again_when_its_process_was_killed(run: RunDirectory) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"process id {other.pid}"), working_on(run):
            pass
    finally:
        other.kill()
        other.communicate()
    with working_on(run):
        assert run.lock.read_text() == str(os.getpid())


@pytest.mark.parametrize("option", ["--resume", "--finish"])
def test_resuming_a_busy_run_is_one_line(
    option: str, run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    with working_on(run):
        assert foveal_run(["train", option, str(run.path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-2].startswith("error: Another process (process id ")
    assert said[-1] == f"hint: wait for it; to follow it: foveal watch {run.path}"
