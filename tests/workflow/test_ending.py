import errno
import os
from pathlib import Path

import pytest

from foveal.errors import DataError, FovealError, TrainingInterrupted
from foveal.workflow.ending import ending
from foveal.workflow.rundir import RunDirectory

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path, "classify", "photos")


def test_an_interrupted_run_stays_and_is_named(run: RunDirectory) -> None:
    with pytest.raises(TrainingInterrupted) as caught, ending(run, is_new=True):
        raise KeyboardInterrupt
    assert caught.value.run == run.path
    assert f"foveal.resume({str(run.path)!r})" in str(caught.value)
    assert run.path.is_dir()


def test_a_run_that_fails_before_its_first_checkpoint_is_removed(run: RunDirectory) -> None:
    with pytest.raises(DataError, match="nothing to learn"), ending(run, is_new=True):
        raise DataError("nothing to learn")
    assert not run.path.exists()
    assert not run.path.parent.exists()


def test_a_run_that_was_there_before_stays(run: RunDirectory) -> None:
    with pytest.raises(DataError), ending(run, is_new=False):
        raise DataError("the data has moved")
    assert run.path.is_dir()


def test_a_full_disk_stops_a_run_that_can_go_on(run: RunDirectory) -> None:
    run.checkpoints.mkdir()
    with pytest.raises(FovealError, match="No space left") as caught, ending(run, is_new=True):
        raise NO_SPACE
    assert caught.value.hint == f"free some disk space, then: foveal train --resume {run.path}"
    assert run.path.is_dir()


def test_a_disk_that_is_gone_is_not_called_full(run: RunDirectory) -> None:
    run.checkpoints.mkdir()
    gone = OSError(errno.EIO, "Input/output error", "photos/1.jpg")
    with pytest.raises(FovealError, match=r"output error: photos/1\.jpg") as caught:
        with ending(run, is_new=True):
            raise gone
    assert caught.value.hint == f"foveal train --resume {run.path}"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        # How torch says it of the processor's memory.
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    ],
)
def test_memory_that_is_not_enough_is_no_bug(run: RunDirectory, error: Exception) -> None:
    with pytest.raises(FovealError, match="not enough memory"), ending(run, is_new=True):
        raise error


def test_a_bug_stays_a_bug(run: RunDirectory) -> None:
    with pytest.raises(ZeroDivisionError), ending(run, is_new=True):
        raise ZeroDivisionError
    assert not run.path.exists()


def test_a_name_that_is_taken_is_announced(
    run: RunDirectory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="foveal"):
        second = RunDirectory.create(tmp_path, "classify", "photos")
    assert second.name == "photos-2"
    assert f"{run.path} is taken; this run is named {second.path}" in caplog.text
