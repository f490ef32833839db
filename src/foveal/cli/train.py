"""`foveal train`: everyday settings are options, everything else is `--set key=value`."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import foveal
from foveal.bundle.promise import baseline_words, folds_words, promise
from foveal.cli.elsewhere import (
    Detach,
    On,
    followed,
    job_options,
    refuse_going_on,
    refuse_machines,
    say_written,
    sent,
    with_job_options,
)
from foveal.cli.knobs import More, with_knobs
from foveal.cli.options import Debug, Json, Quiet, Set
from foveal.cli.output import metric_table, note, wrapped, write, write_json
from foveal.cli.signals import termination_as_interrupt
from foveal.console import show_log
from foveal.errors import TrainingInterrupted, UsageError
from foveal.jobs.target import Target
from foveal.progress import command_progress
from foveal.recipe.knobs import KNOBS, make_recipe
from foveal.urls import from_here, is_url, local_path, shown
from foveal.workflow.rundir import kept_at

if TYPE_CHECKING:
    from foveal.model import Model
    from foveal.workflow.find_lr import LearningRates

EVERYDAY, GO_ON = "Everyday settings", "Continue a run"

_Data = Annotated[
    str | None,
    typer.Argument(metavar="DATA", help="Folder, zip, tar, table, .npz file, URL, or synth:KIND."),
]
_Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Continue an interrupted run; DATA only if the pictures have been moved.",
        rich_help_panel=GO_ON,
    ),
]
_Continue = Annotated[
    str | None,
    typer.Option(
        "--continue",
        metavar="RUN",
        help="Train a finished run for longer; needs --epochs +N, and DATA if the pictures have "
        "been moved.",
        rich_help_panel=GO_ON,
    ),
]


_Finish = Annotated[
    str | None,
    typer.Option(
        "--finish",
        metavar="RUN",
        help="Make the model of an interrupted run from what it has learnt so far.",
        rich_help_panel=GO_ON,
    ),
]


@with_job_options
@with_knobs(panel=EVERYDAY)
def train(
    data: _Data = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the run; default: the name of the data.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder or URL for runs; default: runs."),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="Recipe file (YAML).")] = None,
    overrides: Set = None,
    resume: _Resume = None,
    extend: _Continue = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from a trained model; labels may be added and dropped.",
        ),
    ] = None,
    find_lr: Annotated[
        bool,
        typer.Option(
            "--find-lr", help="Only search for a learning rate: up to 100 steps and a plot, no run."
        ),
    ] = False,
    finish: _Finish = None,
    finish_on_interrupt: Annotated[
        bool,
        typer.Option(
            "--finish-on-interrupt",
            help="On Ctrl-C, make the model from what has been learnt so far.",
        ),
    ] = False,
    resume_key: Annotated[
        str | None,
        typer.Option(
            "--resume-key",
            metavar="KEY",
            help="Continue the run that was started with this key, or start it: for jobs "
            "that may be restarted.",
            rich_help_panel=GO_ON,
        ),
    ] = None,
    on: On = None,
    detach: Detach = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **knobs: Any,
) -> None:
    """Train a model on a folder of pictures.

    The run holds the model bundle, the report, the metrics, and the recipe that produced them.
    """
    began = time.perf_counter()
    if not quiet and not debug:
        # What was chosen from the data, and why.
        show_log(logging.INFO)
    given = {name: value for name, value in knobs.items() if name in KNOBS and value is not None}
    machines = job_options(knobs)
    about: dict[str, Any] = {"name": name, "out": out, "recipe": recipe, "overrides": overrides}
    about |= {"start_from": start_from, "resume_key": resume_key}
    about = {argument: value for argument, value in about.items() if value is not None}
    stops = {"finish_on_interrupt": True} if finish_on_interrupt else {}
    going = {"--resume": resume, "--continue": extend, "--finish": finish}
    is_joined = on is not None and Target.parse(on).is_joined
    if is_joined and detach:
        raise UsageError(
            f"--detach cannot be used with {on}, which ends with this command.",
            hint="use --on local, or --on ray://HOST",
        )
    if on is not None and not is_joined:
        alone = {"--find-lr": find_lr or None, "--resume-key": resume_key}
        refuse_going_on({**going, **alone}, on)
        _refuse_addition(data, given.get("epochs"))
        settings = {**about, **given, **stops, **machines}
        if Target.parse(on).is_file:
            say_written(str(data), on, settings, as_json=as_json, quiet=quiet)
            return
        job = sent(str(data), on, settings, detach=detach, as_json=as_json, quiet=quiet)
        if not detach:
            folder = Path("runs") if out is None or is_url(out) else local_path(out)
            model = followed(job, folder, quiet=quiet)
            _print(model, time.perf_counter() - began, as_json=as_json, quiet=quiet)
        return
    how: dict[str, Any] = dict(stops)
    if is_joined:
        how |= {"on": on, "workers": machines.pop("workers", 1)}
    refuse_machines(machines, detach=detach)
    if find_lr:
        if is_joined:
            refuse_going_on({"--find-lr": find_lr}, str(on))
        other = {**going, "--from": start_from, "--resume-key": resume_key}
        named = [option for option, given_ in other.items() if given_ is not None]
        if named:
            raise UsageError(f"--find-lr cannot be used together with {named[0]}.")
        _refuse_addition(data, given.get("epochs"))
        about["recipe"] = make_recipe(recipe, about.pop("overrides", ()), given)
        with command_progress(quiet=quiet) as progress:
            found = foveal.find_lr(str(data), progress=progress, **about)
        _print_rates(found, as_json=as_json, quiet=quiet)
        return
    try:
        with termination_as_interrupt() as ending, command_progress(quiet=quiet) as progress:
            model = _model(data, going, {**about, **given}, progress=progress, **how)
    except TrainingInterrupted as stop:
        sys.stderr.write(
            f"\ninterrupted; nothing is lost\nhint: to continue: foveal train --resume {stop.run}\n"
        )
        raise SystemExit(ending.status) from None
    _print(model, time.perf_counter() - began, as_json=as_json, quiet=quiet)


def _model(
    data: str | None, going: Mapping[str, str | None], given: dict[str, Any], **how: Any
) -> Model:
    """Train, or go on with the run that one of the options `going` names; `how` is for both."""
    named = [(option, run) for option, run in going.items() if run is not None]
    if len(named) > 1:
        options = " and ".join(option for option, _ in named)
        raise UsageError(f"{options} cannot be used together.")
    if not named:
        _refuse_addition(data, given.get("epochs"))
        return foveal.train(str(data), **given, **how)
    ((option, run),) = named
    more = given.pop("epochs", None) if option == "--continue" else None
    _refuse(option, run, given)
    if data is not None:
        how["data"] = data
    if option == "--continue":
        return foveal.extend(run, _asked(more, run), **how)
    if option == "--finish":
        how["finish"] = True
    return foveal.resume(run, **how)


def _refuse_addition(data: str | None, epochs: int | None) -> None:
    """Raise where nothing is there to train on, or to add epochs to."""
    if data is None:
        raise UsageError("DATA is missing.", hint="foveal train FOLDER")
    if isinstance(epochs, More):
        raise UsageError(
            f"--epochs +{epochs} adds epochs to a finished run and needs --continue.",
            hint=f"foveal train --continue RUN --epochs +{epochs}",
        )


def _refuse(option: str, run: str, given: Mapping[str, Any]) -> None:
    """Raise for arguments that a run which goes on would silently ignore."""
    other = []
    for name in given:
        other.append(KNOBS[name].flags[0] if name in KNOBS else _FLAGS.get(name, f"--{name}"))
    if other:
        raise UsageError(
            f"{option} uses the recipe of the run, so {', '.join(other)} cannot be given.",
            hint=f"foveal train {option} {shlex.quote(run)}"
            + (" --epochs +5" if option == "--continue" else ""),
        )


_FLAGS = {"overrides": "--set", "start_from": "--from", "resume_key": "--resume-key"}


def _asked(epochs: int | None, run: str) -> int:
    if epochs is None:
        raise UsageError(
            "--continue needs the number of epochs to add (--epochs +N).",
            hint=f"foveal train --continue {run} --epochs +5",
        )
    return epochs


def _print_rates(found: LearningRates, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        write_json(found.to_json())
        return
    write(f"learning rate  {found.suggested:g}   (the recipe has {found.chosen:.2g})")
    note(f"\nplot    {found.plot}", quiet=quiet)
    note(f"next    the same command with {found.settings} in place of --find-lr", quiet=quiet)


def _print(model: Model, took_s: float, *, as_json: bool, quiet: bool) -> None:
    bundle, manifest = str(from_here(model.bundle.path)), model.bundle.manifest
    words = promise(manifest.calibration, model.bundle.task, folds=manifest.folds)
    metrics = {name: value.to_json() for name, value in model.metrics.items()}
    run = None if model.run is None else shown(kept_at(model.run) or from_here(model.run))
    if as_json:
        write_json(
            {
                "schema_version": 1,
                "run": run,
                "bundle": bundle,
                "metrics": metrics,
                "usable": manifest.calibration.not_usable is None,
                "promise": words,
                "seconds": round(took_s, 3),
            }
        )
        return
    constant = manifest.baseline.get("metrics", {})
    write(metric_table(metrics, model.bundle.task.metric_words, constant))
    if manifest.baseline.get("is_beaten"):
        note(wrapped(baseline_words(manifest.baseline)), quiet=quiet)
    if manifest.folds is not None:
        note(wrapped(folds_words(manifest.folds, manifest.data.get("train", 0))), quiet=quiet)
    if words:
        note(wrapped(words), quiet=quiet)
    note(f"\nrun     {run}   ({took_s:.0f} s)", quiet=quiet)
    note(f"report  {run}/report.html", quiet=quiet)
    note(f"next    foveal predict {run} PICTURE", quiet=quiet)
    note(f"        foveal serve {run}", quiet=quiet)
