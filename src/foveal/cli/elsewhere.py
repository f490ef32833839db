"""`--on`: options of verbs whose work can be done elsewhere, and following it there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

import foveal
from foveal.cli.knobs import given_of, options_of, with_options
from foveal.cli.options import ELSEWHERE, seconds
from foveal.cli.output import METRIC_HEAD, note, write, write_json
from foveal.errors import FovealError, UsageError
from foveal.jobs.job import Job, JobState
from foveal.jobs.options import JobOptions
from foveal.settings import settings_of
from foveal.urls import is_url

if TYPE_CHECKING:
    from foveal.model import Model

On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="TARGET",
        help="Where to run: local (in the background), ray:local, ray://HOST, "
        "vertex:PROJECT/REGION; k8s, slurm and sky write a file to submit.",
        rich_help_panel=ELSEWHERE,
    ),
]
Detach = Annotated[
    bool,
    typer.Option(
        "--detach",
        help="With --on: return at once; follow the job with foveal jobs.",
        rich_help_panel=ELSEWHERE,
    ),
]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def with_job_options(function: FunctionT) -> FunctionT:
    """Make options of what a job can run on, in place of a verb's `**` argument."""
    made = options_of(JobOptions, {"timeout_s": seconds}, panel=ELSEWHERE)
    return with_options(made, after="detach")(function)


def job_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a verb's values that say what a job runs on."""
    names = settings_of(JobOptions)
    return given_of(JobOptions, {name: values[name] for name in values if name in names})


def refuse_going_on(options: Mapping[str, object], on: str) -> None:
    """Raise where an option is given that needs a run of this machine.

    Raises:
        UsageError: Naming the first.
    """
    for option, value in options.items():
        if value is not None:
            raise UsageError(
                f"{option} needs a run on this machine and cannot be combined with --on.",
                hint=f"leave out --on {on}",
            )


def refuse_machines(options: Mapping[str, Any], *, detach: bool) -> None:
    """Raise where an option is given that only `--on` gives a meaning.

    Raises:
        UsageError: Naming the first.
    """
    flags = [settings_of(JobOptions)[name].flags[0] for name in options]
    for flag in [*flags, *(["--detach"] if detach else [])]:
        raise UsageError(f"{flag} needs --on.", hint=f"foveal train DATA --on local {flag}")


def say_written(
    data: str, on: str, settings: Mapping[str, Any], *, as_json: bool, quiet: bool
) -> None:
    """Write the file of a training for another scheduler, and say the command."""
    from foveal.api.jobs import write_manifest

    folder, command = write_manifest(data, on, settings)
    if as_json:
        write_json({"schema_version": 1, "folder": str(folder), "command": command})
        return
    note(f"written  {folder}", quiet=quiet)
    write(command)


def sent(
    data: str, on: str, settings: Mapping[str, Any], *, detach: bool, as_json: bool, quiet: bool
) -> Job:
    """Send a training, and say how it is followed if nobody waits for it.

    Args:
        data: The pictures.
        on: The target.
        settings: Further arguments of `foveal.submit`.
        detach: Whether nobody waits.
        as_json: Whether programs read what is printed.
        quiet: Whether only the result is printed.
    """
    given = dict(settings)
    if not is_url(given.get("out", "")) and on != "local":
        # Where the run is brought to in the end: there, it goes where the target keeps results.
        given.pop("out", None)
    job = foveal.submit(data, on=on, **given)
    if detach and as_json:
        write_json(job.to_json())
    elif detach:
        note(f"sent     {job.name}   (on {job.target})", quiet=quiet)
        note(f"follow   foveal jobs logs {job.name} -f", quiet=quiet)
        note(f"fetch    foveal jobs fetch {job.name}", quiet=quiet)
    return job


def followed(job: Job, out: Path, *, quiet: bool) -> Model:
    """Show the log of a job until it has ended, bring the run here, and open the model.

    Ctrl-C ends the following only.

    Raises:
        FovealError: If the job failed or was stopped.
    """
    try:
        is_shown = not quiet
        for line in job.logs(follow=True):
            # The result is printed here, on stdout, and not twice.
            is_shown = is_shown and not line.startswith(METRIC_HEAD)
            if is_shown:
                sys.stderr.write(f"{line}\n")
    except KeyboardInterrupt:
        sys.stderr.write(
            f"\nthe job continues: foveal jobs logs {job.name} -f\nto stop it: foveal jobs stop "
            f"{job.name}\n"
        )
        raise SystemExit(130) from None
    state = job.state
    if state is not JobState.SUCCEEDED:
        why = f": {job.why()}" if state is JobState.FAILED and job.why() else ""
        raise FovealError(
            f"The job {job.name} {'failed' if state is JobState.FAILED else 'was stopped'}{why}.",
            hint=f"foveal jobs logs {job.name}",
        )
    return foveal.load(job.fetch(out))
