"""Jobs in the background of this machine."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from foveal.errors import UsageError
from foveal.jobs import Job, JobState, Target, Work
from foveal.jobs.local import PROCESS
from foveal.jobs.process import started_at
from foveal.jobs.register import Register
from foveal.jobs.submit import find_job, known_jobs, submit
from foveal.jobs.work import OUTPUT

pytestmark = pytest.mark.slow

# Waits on its standard input's absence: a pipe that is never written to.
WAITING = """
import os, sys
print("begun", flush=True)
os.read(os.pipe()[0], 1)
"""
# Ends as a training does on Ctrl-C.
STOPPABLE = """
import os, sys
print("begun", flush=True)
try:
    os.read(os.pipe()[0], 1)
except KeyboardInterrupt:
    print("kept", flush=True)
    sys.exit(130)
"""

Send = Callable[..., Job]


@pytest.fixture
def send(tmp_path: Path) -> Send:
    """Return a function that sends a program to the background of this machine."""

    def send(code: str, *args: str, **more: object) -> Job:
        work = Work("task", "program", args, {"program.py": code.encode()})
        return submit(work, Target("local"), register=Register(tmp_path / "jobs"), **more)

    return send


def begun(job: Job) -> None:
    """Wait until the program of a job runs."""
    next(job.logs(follow=True))


def test_a_job_ends_with_its_log_and_its_results(send: Send, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "print('to', sys.argv[1] == os.environ['FOVEAL_OUTPUT'])\n"
        "os.mkdir(sys.argv[1])\n"
        "open(sys.argv[1] + '/answer.txt', 'w').write('42')\n"
        "print('half a line', end='')\n"
    )
    job = send(code, OUTPUT)
    assert list(job.logs(follow=True)) == ["to True", "half a line"]
    assert job.state is JobState.SUCCEEDED
    out = job.fetch(tmp_path / "runs")
    assert out == tmp_path / "runs" / "task"
    assert (out / "answer.txt").read_text() == "42"
    assert job.fetch(tmp_path / "runs") == out


def test_a_job_is_found_again_and_shows_itself(send: Send, tmp_path: Path) -> None:
    job = send("print('<b>')")
    job.wait()
    register = Register(tmp_path / "jobs")
    found = find_job("task", register)
    assert repr(found) == "Job('task', on='local', succeeded)"
    assert "&lt;b&gt;" in found._repr_html_()
    assert found.to_json()["state"] == "succeeded"
    assert [each.name for each in known_jobs(register)] == ["task"]


def test_a_program_that_fails_is_a_failed_job(send: Send) -> None:
    job = send("raise SystemExit(3)")
    assert job.wait() is JobState.FAILED
    assert job.why() == "its process ended with status 3"
    assert job.to_json()["why"] == job.why()


def test_a_job_that_is_killed_names_the_signal(send: Send) -> None:
    job = send("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert job.wait() is JobState.FAILED
    assert job.why() == "its process was ended by SIGKILL, perhaps because memory ran out"


def test_stopping_is_what_ctrl_c_is(send: Send) -> None:
    job = send(STOPPABLE)
    begun(job)
    assert job.state is JobState.RUNNING
    job.stop()
    assert job.wait() is JobState.STOPPED
    assert list(job.logs()) == ["begun", "kept"]
    # Once more is no error.
    job.stop()


def test_a_job_that_was_killed_is_seen_to_be_dead(send: Send, tmp_path: Path) -> None:
    job = send(WAITING)
    begun(job)
    leader = os.getsid(read_pid(tmp_path))
    assert leader != os.getsid(0), "it would end with the terminal"
    os.killpg(leader, signal.SIGKILL)
    assert job.wait() is JobState.FAILED
    assert "killed" in job.why()


def test_a_job_whose_supervisor_was_killed_runs_on(send: Send, tmp_path: Path) -> None:
    job = send(STOPPABLE)
    begun(job)
    os.kill(os.getsid(read_pid(tmp_path)), signal.SIGKILL)
    assert job.state is JobState.RUNNING
    job.stop()
    # Nobody is left to say how it ended.
    assert job.wait() is JobState.FAILED
    assert list(job.logs()) == ["begun", "kept"]


def test_a_number_that_another_process_has_by_now_is_not_signalled(
    send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = send(STOPPABLE)
    begun(job)
    path = tmp_path / "jobs" / "task" / PROCESS
    right = path.read_text()
    path.write_text(right.replace('"started": "', '"started": "1'))
    job.stop()
    assert job.state is JobState.RUNNING
    path.write_text(right)
    job.stop()
    assert job.wait() is JobState.STOPPED


def test_nothing_can_be_fetched_where_nothing_came_of_it(send: Send, tmp_path: Path) -> None:
    job = send("pass")
    job.wait()
    with pytest.raises(UsageError, match="The job task has no results yet"):
        job.fetch(tmp_path / "runs")


def test_a_job_that_cannot_be_sent_is_forgotten(tmp_path: Path) -> None:
    register = Register(tmp_path / "jobs")
    work = Work("task", "program", (), {"program.py": tmp_path / "missing.py"})
    with pytest.raises(FileNotFoundError):
        submit(work, Target("local"), register=register)
    assert register.names() == []


def test_processes_are_told_apart_by_when_they_began(tmp_path: Path) -> None:
    assert started_at(os.getpid()) == started_at(os.getpid()) != ""
    assert started_at(2**22 + 1) == ""
    # Made by hand: a real process and its parent may begin within one tick.
    for pid, ticks in ((7, 100), (8, 101)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b) S {'0 ' * 18}{ticks} 0 0\n")
    assert [started_at(pid, tmp_path) for pid in (7, 8)] == ["100", "101"]


def read_pid(tmp_path: Path) -> int:
    """Return the number of the process of the job `task`."""
    import json

    path = tmp_path / "jobs" / "task" / PROCESS
    return int(json.loads(path.read_text())["pid"])
