"""`foveal preprocess` cleans pages and cuts them into lines of text, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import complain, note, write, write_json
from foveal.errors import DataError
from foveal.page import DEFAULT_STEPS, STEPS
from foveal.progress import command_progress
from foveal.words import about_picture, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foveal.workflow.preprocess import Preprocessed


def preprocess(
    pictures: Annotated[
        list[str], typer.Argument(metavar="PICTURE...", help="Files, folders or globs.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")],
    steps: Annotated[
        list[str] | None,
        typer.Option(
            "--step",
            metavar="NAME[:SIZE]",
            help=f"One step; repeatable, applied in order: {', '.join(STEPS)}. "
            f"Default: {' '.join(DEFAULT_STEPS)}.",
        ),
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Also write the result of each step, and an overview.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cut pages into lines of text.

    Writes one PNG to DIR for each picture. Pictures that cannot be read are listed; the exit status
    is 1 if there are any, and 3 if no picture can be read.
    """
    with command_progress(quiet=quiet) as progress:
        results = foveal.preprocess(
            pictures, steps=steps or DEFAULT_STEPS, out=out, each=each, progress=progress
        )
    failed = [result.error for result in results if result.error is not None]
    for result in results:
        if result.error is not None:
            complain(about_picture(result.source, result.error.message))
    if as_json:
        pages = [result.to_json() for result in results]
        write_json({"schema_version": 1, "out": str(out), "pictures": pages})
    else:
        _write_table(results)
    if len(failed) == len(results):
        raise DataError("None of the pictures could be read.", hint=failed[0].hint)
    if failed:
        note(f"{len(failed)} of {len(results)} pictures could not be read", quiet=quiet)
        raise typer.Exit(1)


def _write_table(results: Sequence[Preprocessed]) -> None:
    rows = [
        (str(len(result.pieces)), f"{result.size[1]} x {result.size[0]}", str(result.path))
        for result in results
        if result.error is None
    ]
    if rows:
        write(table(("pieces", "size", "picture"), rows))
