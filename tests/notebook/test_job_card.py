"""The card of a job."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from foveal.bundle import Bundle
from foveal.errors import FovealError, UsageError
from foveal.jobs.job import Job, JobState
from foveal.jobs.register import Record, Register
from foveal.jobs.results import NothingYet
from foveal.jobs.target import Target
from foveal.notebook.job_card import Snapshot
from foveal.notebook.sent import JobFailed, SentJob


class Scripted(Job):
    """A job whose answers are given beforehand; an error among them is raised."""

    def __init__(
        self, state: JobState, lines: list[str | FovealError], results: Path | FovealError
    ) -> None:
        record = Record("task", Target("ray", "head"), "2026-01-01", output="/there/output")
        super().__init__(record, Register(Path("nowhere")))
        self.current, self.lines, self.results = state, lines, results

    @property
    def state(self) -> JobState:
        return self.current

    def why(self) -> str:
        return "out of memory"

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        for line in self.lines:
            if isinstance(line, FovealError):
                raise line
            yield line

    def stop(self) -> None:
        self.current = JobState.STOPPED

    def fetch(self, out: str | Path = "runs") -> Path:
        if isinstance(self.results, FovealError):
            raise self.results
        return self.results


def test_a_card_names_files_and_cannot_be_injected(tmp_path: Path) -> None:
    (tmp_path / "<b>.txt").write_text("123")
    card = Snapshot("a<b", "local", JobState.RUNNING, ("<script>",), tmp_path, "a & b")
    html = card._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "a&lt;b" in html and "a &amp; b" in html
    assert "&lt;b&gt;.txt" in html and "3 bytes" in html
    assert repr(card) == f"a<b on local: running\n<script>\nresults: {tmp_path}\na & b"


def test_a_card_ends_with_the_model_that_came_of_the_job(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "classify" / "tiny" / "bundle")
    html = Snapshot("a", "local", JobState.SUCCEEDED, (), tmp_path)._repr_html_()
    assert "circle, square" in html
    assert f"foveal.load(&#x27;{tmp_path}/classify/tiny&#x27;)" in html
    (tmp_path / "classify" / "tiny" / "bundle" / "bundle.json").write_text("{}")
    assert "bundle.json" in Snapshot("a", "local", None, (), tmp_path)._repr_html_()


def test_waiting_brings_the_results_and_tells_where_they_are(tmp_path: Path) -> None:
    job = SentJob(
        Scripted(JobState.SUCCEEDED, ["report: /there/output/report.html"], tmp_path), tmp_path
    )
    assert job.wait() is job
    assert (job.outputs, job.run, job.name) == (tmp_path, None, "task")
    assert f"report: {tmp_path}/report.html" in repr(job)
    assert job.logs() == "report: /there/output/report.html"


def test_a_job_without_results_is_no_trouble() -> None:
    job = SentJob(Scripted(JobState.SUCCEEDED, ["done"], NothingYet("task")), Path("out"))
    assert repr(job.wait()) == "task on ray://head: succeeded\ndone"
    assert job.outputs is None


def test_results_that_cannot_be_brought_are_told_on_the_card() -> None:
    job = SentJob(Scripted(JobState.SUCCEEDED, [], UsageError("The disk is full.")), Path("out"))
    assert repr(job.wait()) == "task on ray://head: succeeded\nThe disk is full."
    with pytest.raises(UsageError, match="disk is full"):
        job.fetch()


def test_a_job_that_fails_or_is_stopped_fails_who_waits() -> None:
    nothing = NothingYet("task")
    job = SentJob(Scripted(JobState.FAILED, ["one", "two"], nothing), Path("out"))
    with pytest.raises(JobFailed, match=r"on ray://head failed: out of memory; two\nhint: "):
        job.wait()
    job.stop()
    with pytest.raises(JobFailed, match="was stopped"):
        job.wait()


def test_a_log_that_breaks_off_can_be_followed_again(tmp_path: Path) -> None:
    scripted = Scripted(JobState.RUNNING, ["one", UsageError("The head is gone.")], tmp_path)
    job = SentJob(scripted, tmp_path)
    with pytest.raises(JobFailed, match="cannot be followed: The head is gone"):
        job.wait()
    scripted.lines, scripted.current = ["one", "two"], JobState.SUCCEEDED
    assert repr(job.wait()) == f"task on ray://head: succeeded\none\ntwo\nresults: {tmp_path}"
