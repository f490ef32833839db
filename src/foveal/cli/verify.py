"""`foveal verify` repeats the proof of a model or of an export on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import write, write_json
from foveal.errors import UsageError
from foveal.progress import command_progress
from foveal.workflow.verify import all_passed, is_export, verify_bundle, verify_export


def verify(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Run, bundle, model in the store, or exported file."),
    ],
    against: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Model that the exported file was made from."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Labelled pictures; default: the run's validation split."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Verify that a model gives its proven answers on this machine.

    The exit status is 0 if it does, 1 if it does not.
    """
    origin = None if against is None else foveal.load(against)
    with command_progress(quiet=quiet) as progress:
        if not is_export(model):
            opened = foveal.load(model)
            opened.check_alone("verified")
            checks = verify_bundle(
                opened.bundle,
                own=opened.run,
                run=None if origin is None else origin.run,
                data=data,
                against=None if origin is None else origin.bundle,
                progress=progress,
            )
        elif origin is None:
            raise UsageError(
                f"{model} can only be verified against the model that it was exported from.",
                hint=f"foveal verify {model} --against RUN",
            )
        else:
            checks = verify_export(
                Path(model), against=origin.bundle, run=origin.run, data=data, progress=progress
            )
    if as_json:
        shown = [check.to_json() for check in checks]
        write_json({"schema_version": 1, "passed": all_passed(checks), "checks": shown})
    else:
        for check in checks:
            write(f"{'passed' if check.passed else 'FAILED'}  {check.words}")
    if not all_passed(checks):
        raise typer.Exit(1)
