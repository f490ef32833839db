"""`foveal clean` does what was decided about pictures, and undoes it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import foveal
from foveal.cli.knobs import with_knobs
from foveal.cli.options import Debug, Json, Quiet, Set
from foveal.cli.output import note, wrapped, write, write_json
from foveal.curation.cleaned import CleanReport
from foveal.errors import UsageError
from foveal.progress import command_progress
from foveal.words import table

_HOW = "Nothing has been changed. To do it: add --yes"


@with_knobs("task", "label_regex")
def clean(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Folder of pictures, or a table in one.")
    ],
    auto: Annotated[
        bool,
        typer.Option("--auto", help="Also act on findings of `foveal check`, by cautious rules."),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="FINDING", help="Act on this kind of finding only; repeatable."
        ),
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option(
            "--step",
            metavar="NAME[:SIZE]",
            help="Apply this page step, such as trim or margin, to the pictures that "
            "stay; repeatable, see foveal preprocess.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last cleaning.")] = False,
    history: Annotated[
        bool, typer.Option("--history", help="List the past cleanings of the data.")
    ] = False,
    overrides: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **knobs: Any,
) -> None:
    """Apply decisions about pictures, or undo them.

    Applies the decisions of `foveal review` and, with --auto, cautious rules
    for the findings of `foveal check`. Shows the plan and asks first.
    Nothing is deleted: pictures are moved to DATA/.foveal/quarantine.
    """
    _one_of(undo=undo, history=history, cleaning=auto or bool(only or steps) or dry_run or yes)
    if history:
        _show_history(data, as_json=as_json)
        return
    asks = _is_terminal() and not as_json
    if not undo and not yes and not dry_run and not asks:
        dry_run = True
    with command_progress(quiet=quiet) as progress:

        def confirm(plan: CleanReport) -> bool:
            progress.finish()
            return yes or _agrees(plan)

        report = foveal.clean(
            data,
            auto=auto,
            only=only or (),
            steps=steps or (),
            dry_run=dry_run,
            undo=undo,
            confirm=confirm,
            overrides=overrides or (),
            progress=progress,
            **knobs,
        )
    if as_json:
        write_json(report.to_json())
    elif report.state == "planned":
        # What was asked about has been shown.
        if dry_run or not report.changes:
            _show(report)
        if report.changes:
            note(_HOW, quiet=quiet)
    else:
        if yes:
            _show(report)
        write(f"{report.state}: {report.summary}")
        if report.state == "applied":
            note(f"to undo it    foveal clean {data} --undo", quiet=quiet)


def _one_of(**asked: bool) -> None:
    if sum(asked.values()) > 1:
        raise UsageError(
            "--undo and --history cannot be combined with other options of clean.",
            hint="foveal clean DATA --undo",
        )


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _agrees(plan: CleanReport) -> bool:
    _show(plan)
    return typer.confirm(f"{plan.summary}: do it?", default=False)


def _show(report: CleanReport) -> None:
    if report.changes:
        write(_fitting(report.header, report.rows()))
    else:
        write("nothing to do")
    for line in (*report.left, *report.notes):
        write(wrapped(line))


def _fitting(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that a terminal of 80 columns shows in whole lines."""
    lines = table(header, rows).split("\n")
    return "\n".join(line if len(line) < 80 else f"{line[:78]}…" for line in lines)


def _show_history(data: str, *, as_json: bool) -> None:
    cleanings = foveal.cleanings(data)
    if as_json:
        write_json({"schema_version": 1, "cleanings": [one.to_json() for one in cleanings]})
        return
    rows = [
        (
            str(one.number),
            f"{one.at.astimezone():%Y-%m-%d %H:%M}",
            one.state,
            CleanReport.of(data, one).summary,
        )
        for one in cleanings
    ]
    write(table(("cleaning", "when", "state", "what"), rows) if rows else "no cleanings yet")
