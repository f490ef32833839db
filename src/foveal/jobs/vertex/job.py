"""Jobs of Vertex AI: packages in a bucket, custom jobs, their logs and results."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from foveal.errors import UsageError
from foveal.jobs.job import Job, JobState
from foveal.jobs.options import JobOptions
from foveal.jobs.package import Package
from foveal.jobs.register import Record, Register
from foveal.jobs.remote_results import fetched
from foveal.jobs.sdist import write_sdist
from foveal.jobs.target import Target
from foveal.jobs.vertex.client import Vertex
from foveal.jobs.vertex.logs import Entries
from foveal.jobs.vertex.specs import JOB_LABEL, custom_job
from foveal.jobs.work import OUTPUT_VARIABLE, Work
from foveal.remote import open_url
from foveal.rest import ServiceError
from foveal.urls import is_url

# Uploads of the open file in one piece; data beyond it belong into the bucket.
_LIMIT_MB = 2_000
_POLL_S = 5.0
# The log comes late: after the end of a job it is asked so often whether there is more.
_QUIET_POLLS = 3
_STATES = {
    "JOB_STATE_QUEUED": JobState.QUEUED,
    "JOB_STATE_PENDING": JobState.QUEUED,
    "JOB_STATE_SUCCEEDED": JobState.SUCCEEDED,
    "JOB_STATE_PARTIALLY_SUCCEEDED": JobState.SUCCEEDED,
    "JOB_STATE_FAILED": JobState.FAILED,
    "JOB_STATE_EXPIRED": JobState.FAILED,
    "JOB_STATE_CANCELLED": JobState.STOPPED,
}


@final
class VertexJob(Job):
    """A custom job of Vertex AI."""

    @classmethod
    def submit(
        cls,
        work: Work,
        target: Target,
        options: JobOptions,
        register: Register,
        output: str | None = None,
    ) -> VertexJob:
        """Upload the work to the bucket, and create the job.

        Args:
            work: What to do.
            target: Project and region.
            options: What it runs on; image and bucket are needed.
            register: Where the job is kept.
            output: URL for its results; None takes a folder of the bucket.

        Raises:
            MissingExtraError: If google-auth or gcsfs is not installed.
            ServiceError: If Vertex AI refuses the job.
            UsageError: If something is missing, or there is too much to send.
        """
        bucket = _bucket(options)
        if output is not None and not is_url(output):
            raise UsageError(
                "Invalid --out for a job on Vertex AI. Expected gs://BUCKET/FOLDER. Received: "
                f"{output}.",
                hint="use --out gs://BUCKET/runs",
            )
        vertex = Vertex.of(target)
        package = Package.of(work, limit_mb=_LIMIT_MB, where="Vertex AI")
        record = register.add(Record.new(work.name, target))
        # Names the job there, so that a request that is sent twice makes it once.
        label = f"{record.name.lower()[:40]}-{uuid.uuid4().hex[:8]}".replace(".", "-")
        base = f"{bucket}/foveal/jobs/{label}"
        results = output or f"{base}/output"
        command = work.command(results)
        try:
            archive = f"{base}/foveal_job-1.tar.gz"
            body = custom_job(
                record.name,
                label,
                archive,
                command[1:],
                options,
                base=base,
                variables={OUTPUT_VARIABLE: results},
            )
            record = replace(record, command=command, output=results, facts={"label": label})
            register.change(record)
            with tempfile.TemporaryDirectory(prefix="foveal-package-") as folder:
                extras = (*work.extras, "cloud")
                needs = work.requirements
                file = write_sdist(package, Path(folder), extras=extras, needs=needs)
                open_url(archive).put(file)
            made = vertex.create("customJobs", body, lambda: _made(vertex, label))
            record = register.update(record.name, resource=made["name"])
        except BaseException:
            register.remove(record.name)
            raise
        return cls(record, register)

    @property
    def vertex(self) -> Vertex:
        """Its project and region."""
        return Vertex.of(self.target)

    @property
    def resource(self) -> str:
        """Full name of the job there.

        Raises:
            UsageError: If it was never made: who sent it was killed before.
        """
        if "resource" not in self.record.facts:
            found = _made(self.vertex, self.record.facts.get("label", ""))
            if found is None:
                raise UsageError(
                    f"The job {self.name} never reached Vertex AI.",
                    hint="send it again",
                )
            self.record = self.register.update(self.name, resource=found["name"])
        return str(self.record.facts["resource"])

    @property
    def state(self) -> JobState:
        """State of the job, as queried from Vertex AI."""
        return _STATES.get(self.vertex.get(self.resource)["state"], JobState.RUNNING)

    def why(self) -> str:
        """Return what Vertex AI says of it."""
        error = self.vertex.get(self.resource).get("error", {})
        return " ".join(str(error.get("message", "")).split())

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """Yield the lines of its log, which come some seconds late."""
        vertex, resource = self.vertex, self.resource
        entries = Entries(vertex, resource.rpartition("/")[2], self.record.created)
        quiet = 0
        while True:
            has_ended = not follow or self.state.is_final
            count = 0
            for line in entries.new():
                count += 1
                yield line
            quiet = 0 if count or not has_ended else quiet + 1
            if not follow or quiet >= _QUIET_POLLS:
                return
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Ask Vertex AI to cancel it."""
        if not self.state.is_final:
            self.vertex.service.post(f"/{self.resource}:cancel", {}, repeatable=True)

    def fetch(self, out: str | Path = "runs") -> Path:
        """Bring its results from their URL."""
        with tempfile.TemporaryDirectory(prefix="foveal-fetch-") as folder:
            found = Path(folder) / "found"
            fetched(self.record.output, found, self.name)
            return self.place(found, out)


def _bucket(options: JobOptions) -> str:
    bucket = (options.bucket or "").rstrip("/")
    if not bucket.startswith("gs://") or bucket == "gs:/":
        raise UsageError(
            "A job on Vertex AI needs a bucket for its package and results. Received: "
            f"{options.bucket or 'none'}.",
            hint="use --bucket gs://BUCKET",
        )
    return bucket


def _made(vertex: Vertex, label: str) -> Any | None:
    """Return the job with a label, if it was made."""
    try:
        return next(vertex.listed("customJobs", f'labels.{JOB_LABEL}="{label}"'), None)
    except ServiceError:
        return None
