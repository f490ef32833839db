"""Submit jobs, and find them again."""

from __future__ import annotations

from pathlib import Path

from foveal.errors import UsageError
from foveal.jobs.job import Job
from foveal.jobs.local import LocalJob
from foveal.jobs.options import JobOptions
from foveal.jobs.ray_jobs import RayJob
from foveal.jobs.register import Record, Register
from foveal.jobs.target import Target
from foveal.jobs.vertex.job import VertexJob
from foveal.jobs.work import Work


def submit(
    work: Work,
    target: Target,
    options: JobOptions | None = None,
    *,
    output: str | Path | None = None,
    register: Register | None = None,
) -> Job:
    """Send work to where it is to be done, and return at once.

    Args:
        work: What to do.
        target: Where; none for which a file is written.
        options: What it runs on.
        output: Folder or URL for its results; None leaves it to the target.
        register: The jobs that this machine knows; None takes the user's own.

    Raises:
        UsageError: For an option that the target does not have, or when it takes no jobs.
    """
    options, register = options or JobOptions(), register or Register()
    if target.is_file or target.is_joined:
        raise UsageError(f"No job can be sent to {target}.", hint="use --on local")
    options.check(target)
    place = None if output is None else str(output)
    if target.kind == "local":
        return LocalJob.submit(work, register, place)
    if target.kind == "ray":
        return RayJob.submit(work, target, options, register, place)
    return VertexJob.submit(work, target, options, register, place)


def known_jobs(register: Register | None = None) -> list[Job]:
    """Return the jobs that this machine knows, the oldest first."""
    register = register or Register()
    return [_job(register.read(name), register) for name in register.names()]


def find_job(name: str, register: Register | None = None) -> Job:
    """Return the job of a name.

    Raises:
        UsageError: If this machine knows none.
    """
    register = register or Register()
    return _job(register.read(name), register)


def _job(record: Record, register: Register) -> Job:
    if record.target.kind == "ray":
        return RayJob(record, register)
    if record.target.kind == "vertex":
        return VertexJob(record, register)
    return LocalJob(record, register)
