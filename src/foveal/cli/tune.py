"""`foveal tune`: look for a better recipe within a budget, and prove it against the default one."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import foveal
from foveal.api.tuning import search_space
from foveal.cli.knobs import More, with_knobs
from foveal.cli.options import Debug, Json, Quiet, Set, seconds
from foveal.cli.output import note, wrapped, write, write_json
from foveal.cli.signals import termination_as_interrupt
from foveal.console import show_log
from foveal.errors import UsageError
from foveal.progress import command_progress
from foveal.recipe.knobs import KNOBS
from foveal.urls import from_here, is_url
from foveal.words import percent, table

if TYPE_CHECKING:
    from foveal.tune.result import Tuning

FIXED = "Settings that are fixed instead of searched"
# A study has a budget and workers of its own, and judges all trials on one split.
_NOT_TUNED = ("budget_s", "devices", "folds")
# Of the trials, best first; the default one is always listed.
_LISTED = 5
_KEYS = {"overrides": "--set", "recipe": "--recipe", "out": "--out", "name": "--name"}


@with_knobs(*(name for name in KNOBS if name not in _NOT_TUNED), panel=FIXED)
def tune(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", help="Folder, zip, tar, table, .npz file, URL, or synth:KIND."
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            metavar="1h",
            parser=seconds,
            help="Time limit for the whole study, including the final comparison.",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Maximum number of recipes to try.")
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Processes that train at the same time.")
    ] = 1,
    space: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file that narrows the search space.")
    ] = None,
    show_space: Annotated[
        bool, typer.Option("--show-space", help="Only print the search space, as YAML.")
    ] = False,
    on: Annotated[
        str,
        typer.Option(metavar="TARGET", help="Where the workers run: local, ray:local, ray:auto."),
    ] = "local",
    name: Annotated[
        str | None, typer.Option(help="Name of the study; default: the name of the data.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder or URL for runs; default: runs."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="STUDY", help="Continue the study in this folder."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recipe file (YAML) to start from.")
    ] = None,
    overrides: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **knobs: Any,
) -> None:
    """Search for a better recipe within a budget.

    The first trial is the default recipe; at the end it is compared with the best of the others.
    """
    about = {"name": name, "out": out, "recipe": recipe, "overrides": overrides, **knobs}
    given: dict[str, Any] = {key: value for key, value in about.items() if value is not None}
    if isinstance(knobs["epochs"], More):
        raise UsageError("--epochs +N adds epochs to a run.", hint="foveal tune DATA --epochs 5")
    if resume is not None:
        if show_space:
            raise UsageError(
                "--show-space shows what would be searched for DATA. That of a study is in the "
                "file space.yaml of its folder.",
                hint="foveal tune DATA --show-space",
            )
        _refuse(data, {**given, **({"space": space} if space is not None else {})})
    elif data is None:
        raise UsageError("DATA is missing.", hint="foveal tune FOLDER --budget 1h")
    if show_space:
        settings = {key: value for key, value in given.items() if key not in ("name", "out")}
        write(search_space(str(data), **settings).rstrip())
        return
    if not quiet and not debug:
        show_log(logging.INFO)
    with command_progress(quiet=quiet) as progress:
        with termination_as_interrupt() as ending:
            found = foveal.tune(
                data,
                budget_s=budget,
                trials=trials,
                workers=workers,
                space=space,
                on=on,
                resume=resume,
                progress=progress,
                **given,
            )
    _print(found, as_json=as_json, quiet=quiet)
    if found.interrupted:
        note(f"\ninterrupted; nothing is lost\nhint: to continue: {_again(found)}")
        raise SystemExit(ending.status)


def _refuse(data: str | None, given: dict[str, Any]) -> None:
    """Raise for arguments that a study which goes on would silently ignore."""
    other = ["DATA"] if data is not None else []
    for name in given:
        other.append(KNOBS[name].flags[0] if name in KNOBS else _KEYS.get(name, f"--{name}"))
    if other:
        raise UsageError(
            "--resume uses the data, the recipe and the space of the study, so "
            f"{', '.join(other)} cannot be given.",
            hint="foveal tune --resume STUDY --budget 2h",
        )


def _again(found: Tuning) -> str:
    return f"foveal tune --resume {found.place}"


def _print(found: Tuning, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        write_json(found.to_json())
        return
    verdict = found.verdict
    metric = found.metric.replace("_", " ")
    ordered = sorted(found.trials, key=lambda r: (r.state != "trained", -(r.value or 0.0)))
    rows = [
        [
            "default" if row.is_default else f"trial {row.number}",
            percent(row.value, 2),
            f"{row.epoch}/{row.epochs}",
            f"{row.seconds:.0f} s",
            row.state,
        ]
        for row in (*ordered[:_LISTED], *(r for r in ordered[_LISTED:] if r.is_default))
    ]
    note(table(["recipe", metric, "epochs", "time", ""], rows), quiet=quiet)
    note("", quiet=quiet)
    if verdict.best:
        both = [
            [name, *(percent(value, 2) for value in values)]
            for name, values in (
                ("default", (*verdict.default, _mean(verdict.default))),
                (f"trial {verdict.trial}", (*verdict.best, _mean(verdict.best))),
            )
        ]
        seeds = [f"seed {i + 1}" for i in range(len(verdict.best))]
        write(table(["recipe", *seeds, "mean"], both))
        write("")
    changes = found.changes() if verdict.is_better else []
    if changes:
        write(table(["setting", "default", "best"], changes))
        write("")
    write(wrapped(found.sentence))
    _note_files(found, quiet=quiet)


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)


def _note_files(found: Tuning, *, quiet: bool) -> None:
    # Imported late: what it stands on is read with the study alone.
    from foveal.tune.budget import words
    from foveal.tune.folder import StudyFolder
    from foveal.tune.result import summary

    of = "" if found.budget_s is None else f" of {words(found.budget_s)}"
    note(f"\nstudy   {found.place}   ({words(found.seconds)}{of})", quiet=quiet)
    note(f"        {summary(found.trials)}", quiet=quiet)
    note(f"report  {found.place}/report.html", quiet=quiet)
    data = _as_typed_here(StudyFolder(found.study).read_about()["data"])
    note(f"next    foveal train {data} --recipe {shlex.quote(str(found.recipe))}", quiet=quiet)
    if found.bundle is not None:
        note(f"        foveal predict {shlex.quote(found.place)} PICTURE", quiet=quiet)


def _as_typed_here(data: str) -> str:
    """Return the location of data as a word of a command line, relative where it is below."""
    return shlex.quote(data if is_url(data) else str(from_here(Path(data))))
