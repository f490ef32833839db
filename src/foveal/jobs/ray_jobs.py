"""Jobs on a Ray cluster, through the REST interface of its dashboard; no ray is needed here.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from foveal.errors import UsageError
from foveal.jobs import send
from foveal.jobs.job import Job, JobState
from foveal.jobs.options import JobOptions
from foveal.jobs.package import Package
from foveal.jobs.received import unpack
from foveal.jobs.register import Record, Register
from foveal.jobs.remote_results import fetched
from foveal.jobs.target import Target
from foveal.jobs.work import OUTPUT_VARIABLE, Work
from foveal.rest import Service, ServiceError
from foveal.urls import is_url
from foveal.wheel import write_zip

# The dashboard, and what Ray's own client of `ray://` listens on instead.
_PORT, _CLIENT_PORT = 8265, 10001
# The dashboard takes requests of 100 MiB; foveal's own code has a part of that.
_LIMIT_MB = 90
# On the disk of the head, where the entry point of a job runs.
_RESULTS = "/tmp/foveal-jobs"  # noqa: S108 - on the cluster, in a folder of the job's own
# A training writes a checkpoint when it is stopped; Ray's own limit is 3 s.
_STOP_S = 300
_FIRST_POLL_S, _LONGEST_POLL_S = 0.5, 5.0
# A wrong host or port is more likely than a head that takes longer.
_ANSWER_S = 10.0
_LOG_IN_MESSAGE = ", last available logs (truncated to 20,000 chars):"
_STATES = {
    "PENDING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "STOPPED": JobState.STOPPED,
}


@final
class RayJob(Job):
    """A job of a Ray cluster."""

    @classmethod
    def submit(
        cls,
        work: Work,
        target: Target,
        options: JobOptions,
        register: Register,
        output: str | None = None,
    ) -> RayJob:
        """Upload the work and start it, on the head of the cluster.

        Args:
            work: What to do.
            target: The cluster.
            options: Checked already; what the work needs of them is in its arguments.
            register: Where the job is kept.
            output: Folder that all nodes see, or URL, for its results; None takes a folder on the
                head, from which `fetch` brings them.

        Raises:
            ServiceError: If the cluster cannot be reached, or refuses the job.
            UsageError: If there is too much to send.
        """
        service = dashboard(target)
        package = Package.of(work, limit_mb=_LIMIT_MB, where="a Ray cluster")
        _check_answering(service)
        record = register.add(Record.new(work.name, target))
        # Names the job there, so that a request that is sent twice starts it once.
        submission = f"foveal-{record.name}-{uuid.uuid4().hex[:8]}"
        results = output or f"{_RESULTS}/{submission}"
        record = replace(
            record,
            command=work.command(results),
            output=results,
            facts={"submission_id": submission},
        )
        try:
            register.change(record)
            environment = {
                OUTPUT_VARIABLE: results,
                "PYTHONUNBUFFERED": "1",
                "RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_S),
            }
            runtime: dict[str, Any] = {
                "working_dir": _uploaded(service, package),
                "env_vars": environment,
            }
            if work.requirements:
                runtime["pip"] = list(work.requirements)
            _start(service, submission, record.command, runtime, record.name)
        except BaseException:
            register.remove(record.name)
            raise
        return cls(record, register)

    @property
    def service(self) -> Service:
        """The dashboard of its cluster."""
        return dashboard(self.target)

    @property
    def submission(self) -> str:
        """Name of the job there."""
        return str(self.record.facts["submission_id"])

    @property
    def state(self) -> JobState:
        """State of the job, as queried from the cluster."""
        return _STATES[self._about()["status"]]

    def why(self) -> str:
        """Return what the cluster says of it: of a log at its end, the error alone."""
        said, _, log = str(self._about().get("message") or "").partition(_LOG_IN_MESSAGE)
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        return " ".join(f"{said}: {(errors or lines)[-1]}".split() if lines else said.split())

    def _about(self) -> Any:
        return _about(self.service, self.submission)

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """Yield the lines of its log: all of it each time, of which what is new is given."""
        yield from _logs(self.service, self.submission, follow=follow)

    def stop(self) -> None:
        """Ask the cluster to end it; it has five minutes to do so."""
        if not self.state.is_final:
            self.service.post(f"/api/jobs/{self.submission}/stop", {}, repeatable=True)

    def fetch(self, out: str | Path = "runs") -> Path:
        """Bring its results from their URL, or from the head through a job that prints them."""
        with tempfile.TemporaryDirectory(prefix="foveal-fetch-") as folder:
            found = Path(folder) / "found"
            if is_url(self.record.output):
                fetched(self.record.output, found, self.name)
            else:
                # Closed at once, also for what is refused: that deletes the second job.
                with closing(self._sent()) as lines:
                    unpack(lines, found, self.name)
            return self.place(found, out)

    def _sent(self) -> Generator[str, None, None]:
        """Yield the lines that a second job prints, which is deleted afterwards."""
        service = self.service
        program = Path(str(send.__file__)).read_bytes()
        name = f"foveal-fetch-{uuid.uuid4().hex[:12]}"
        command = ("python", "send.py", self.record.output)
        runtime = {"working_dir": _uploaded(service, Package({"send.py": program}))}
        _start(service, name, command, runtime, name)
        try:
            while not _STATES[_about(service, name)["status"]].is_final:
                time.sleep(_FIRST_POLL_S)
            about = _about(service, name)
            if about["status"] != "SUCCEEDED":
                raise ServiceError(f"{service.name} could not send results: {about['message']}")
            yield from _logs(service, name, follow=False)
        finally:
            with suppress(ServiceError):
                service.delete(f"/api/jobs/{name}")


def dashboard(target: Target, variables: Mapping[str, str] = os.environ) -> Service:
    """Return the dashboard of a target's cluster.

    Args:
        target: `ray://HOST` with or without a port; that of Ray's own client means the dashboard.
        variables: `RAY_API_SERVER_ADDRESS` says that the dashboard of this host is asked by https,
            or at another port. `RAY_AUTH_TOKEN`, `RAY_AUTH_TOKEN_PATH` or `~/.ray/auth_token` has
            the token, unless `RAY_AUTH_MODE` is `disabled`.
    """
    parts = urlsplit(f"//{target.address}")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    port = _PORT if parts.port in (None, _CLIENT_PORT) else parts.port
    url = f"http://{host}:{port}"
    given = variables.get("RAY_API_SERVER_ADDRESS", "")
    if given.startswith(("http://", "https://")) and urlsplit(given).hostname == parts.hostname:
        url = given.rstrip("/")
    return Service(url, f"The Ray cluster {parts.hostname}", lambda: _authorized(variables))


def _authorized(variables: Mapping[str, str]) -> dict[str, str]:
    if variables.get("RAY_AUTH_MODE") == "disabled":
        return {}
    token = variables.get("RAY_AUTH_TOKEN", "")
    if not token:
        kept = variables.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
        with suppress(OSError):
            token = Path(kept).read_text(encoding="utf-8")
    return {"Authorization": f"Bearer {token.strip()}"} if token.strip() else {}


def _check_answering(service: Service) -> None:
    """Find within seconds that there is no dashboard, before anything is sent.

    Raises:
        ServiceError: If it cannot be reached, or refuses this user.
    """
    try:
        replace(service, timeout_s=_ANSWER_S, is_patient=False).get("/api/version")
    except ServiceError as error:
        if error.status:
            raise
        raise ServiceError(
            error.message,
            hint="on its head: ray start --head --dashboard-host ADDRESS; or here: --on ray:local",
        ) from error


def _uploaded(service: Service, package: Package) -> str:
    """Upload a package, unless it is there, and return its name on the cluster."""
    name = f"_ray_pkg_{package.digest()[:32]}.zip"
    try:
        service.ask("GET", f"/api/packages/gcs/{name}")
    except ServiceError as error:
        if error.status != 404:
            raise
        folder = Path(tempfile.mkdtemp(prefix="foveal-package-"))
        try:
            write_zip(package.contents, folder / name)
            data = (folder / name).read_bytes()
        finally:
            shutil.rmtree(folder)
        service.ask("PUT", f"/api/packages/gcs/{name}", data, kind="application/octet-stream")
    return f"gcs://{name}"


def _start(
    service: Service,
    submission: str,
    command: tuple[str, ...],
    runtime: Mapping[str, Any],
    name: str,
) -> None:
    body = {
        # A shell reads it, there.
        "entrypoint": shlex.join(command),
        "submission_id": submission,
        "runtime_env": runtime,
        "metadata": {"foveal_job": name},
    }
    try:
        service.post("/api/jobs/", body, repeatable=True)
    except ServiceError as error:
        # The first of two tries may have arrived although its answer did not.
        if "already exists" not in error.message:
            raise


def _about(service: Service, submission: str) -> Any:
    try:
        return service.get(f"/api/jobs/{submission}")
    except ServiceError as error:
        if error.status == 404:
            raise UsageError(
                f"{service.name} does not know the job {submission}: the cluster was restarted, "
                "or the job was deleted there.",
                hint="foveal jobs list",
            ) from error
        raise


def _logs(service: Service, submission: str, *, follow: bool) -> Iterator[str]:
    given, pause = 0, _FIRST_POLL_S
    while True:
        has_ended = not follow or _STATES[_about(service, submission)["status"]].is_final
        text = str(service.get(f"/api/jobs/{submission}/logs").get("logs") or "")
        # A line may still grow, until the job has ended.
        end = len(text) if has_ended else text.rfind("\n") + 1
        if end > given:
            yield from text[given:end].splitlines()
            given, pause = end, _FIRST_POLL_S
        if has_ended:
            return
        time.sleep(pause)
        pause = min(_LONGEST_POLL_S, pause * 1.5)
