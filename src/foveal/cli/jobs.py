"""`foveal jobs`: trainings and other work that was sent away from this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import note, write, write_json
from foveal.errors import FovealError
from foveal.jobs.job import Job, JobState
from foveal.jobs.submit import find_job
from foveal.words import table

jobs = typer.Typer(help="Follow, stop and fetch jobs that were started with --on.")

_Name = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job.")]


@jobs.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    "Follow, stop and fetch jobs that were started with --on."
    if context.invoked_subcommand is None:
        write(context.get_help())


@jobs.command("list")
def listed(as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """List the jobs that were started from this machine."""
    known = foveal.jobs()
    if as_json:
        write_json({"schema_version": 1, "jobs": [_json(job) for job in known]})
        return
    if not len(known):
        note("no jobs have been sent from this machine", quiet=quiet)
        note("send one: foveal train FOLDER --on local --detach", quiet=quiet)
        return
    write(table(("job", "on", "state", "sent (UTC)"), known.rows()))


@jobs.command("show")
def show(name: _Name, as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Show the details of a job."""
    facts = find_job(name).to_json()
    if as_json:
        write_json(facts)
        return
    command = facts.pop("command")
    del facts["schema_version"]
    shown = {key: value for key, value in facts.items() if isinstance(value, str | int | float)}
    shown["command"] = " ".join(command)
    width = max(map(len, shown))
    for key, value in shown.items():
        write(f"{key:<{width}}  {value}")


@jobs.command("logs")
def logs(
    name: _Name,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines until the job ends.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Print the log of a job.

    With -f, Ctrl-C stops printing; the job continues.
    """
    job = find_job(name)
    for line in job.logs(follow=follow):
        if as_json:
            write_json({"line": line})
        else:
            write(line)
        sys.stdout.flush()
    if follow:
        _end(job)


@jobs.command("stop")
def stop(name: _Name, as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Stop a job; a training keeps what it has learnt."""
    job = find_job(name)
    before = job.state
    job.stop()
    if as_json:
        write_json(job.to_json())
    elif before.is_final:
        note(f"{name} has ended already: {before}", quiet=quiet)
    else:
        note(f"{name} was asked to stop; to follow it: foveal jobs logs {name} -f", quiet=quiet)


@jobs.command("fetch")
def fetch(
    name: _Name,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for runs.")
    ] = Path("runs"),
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Download the results of a job; later calls download only what is new."""
    job = find_job(name)
    path = job.fetch(out)
    if as_json:
        write_json({"schema_version": 1, "job": name, "run": str(path)})
    else:
        write(str(path))


def _json(job: Job) -> dict[str, object]:
    try:
        return job.to_json()
    except FovealError as error:
        return {"name": job.name, "target": str(job.target), "error": error.to_json()}


def _end(job: Job) -> None:
    """Give the exit status of a job that was followed to its end."""
    state = job.state
    if state is JobState.FAILED:
        raise FovealError(f"The job {job.name} failed: {job.why()}.")
