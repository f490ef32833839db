"""`foveal split` divides data into folders for training, validation and testing."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import foveal
from foveal.cli.knobs import with_knobs
from foveal.cli.options import Data, Debug, Json, Quiet, Set
from foveal.cli.output import note, write, write_finding, write_json
from foveal.errors import UsageError
from foveal.progress import command_progress
from foveal.words import table

_SIZE = re.compile(r"([0-9]{1,5})(?:x([0-9]{1,5}))?")


class _Link(StrEnum):
    COPY = "copy"
    HARD = "hard"
    SYMBOLIC = "symbolic"


@with_knobs("task", "label_regex", "seed")
def split(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="TREE", help="Folder to write to.")],
    val: Annotated[float, typer.Option(help="Share of the pictures for validation.")] = 0.2,
    test: Annotated[float, typer.Option(help="Share of the pictures for testing.")] = 0.0,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="PX",
            help="Shrink pictures: 64 for the longer side, or 64x48 for exactly this "
            "width and height.",
        ),
    ] = None,
    link: Annotated[_Link, typer.Option(help="Copy files, or link to them.")] = _Link.COPY,
    look: Annotated[
        bool,
        typer.Option(
            help="Open every picture, so that duplicates stay together; use --no-look "
            "for very large sets."
        ),
    ] = True,
    overrides: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **knobs: Any,
) -> None:
    """Split pictures into the folders train, val and test.

    Writes class folders as Keras and YOLO read them; a labels.csv for texts;
    images and masks for segmentation. Groups and near-duplicates stay together.
    """
    with command_progress(quiet=quiet) as progress:
        divided = foveal.split(
            data,
            out,
            val=val,
            test=test,
            size=_read_size(size),
            link=link.value,
            look=look,
            overrides=overrides or (),
            progress=progress,
            **knobs,
        )
    if as_json:
        write_json(divided.to_json())
        return
    write(table(divided.header, divided.rows()))
    if divided.left_out:
        write(f"left out, unreadable or without a label: {divided.left_out:,}")
    for finding in divided.findings:
        write_finding(finding)
    task = knobs.get("task")
    note(f"next    foveal train {out}" + (f" --task {task}" if task else ""), quiet=quiet)


def _read_size(text: str | None) -> int | tuple[int, int] | None:
    """Return the longer side in `64`, or height and width in `64x48`, which has the width first.

    Raises:
        UsageError: For anything else.
    """
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip().lower())
    sides = [int(side) for side in match.groups() if side] if match else []
    if not sides or min(sides) < 1:
        raise UsageError(
            f"Invalid --size. Expected pixels, such as 64 or 64x48. Received: {text!r}.",
            hint="foveal split DATA --out TREE --size 64",
        )
    return sides[0] if len(sides) == 1 else (sides[1], sides[0])
