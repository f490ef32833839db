"""`foveal check` looks a source over; `foveal synth` draws one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Data, Debug, Json, Quiet, Set
from foveal.cli.output import finding_lines, note, table, write, write_json
from foveal.cli.progress import make_progress
from foveal.types import SPLIT_NAMES


def check(
    data: Data,
    task: Annotated[str, typer.Option(help="What is to be learnt.")] = "classify",
    overrides: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Look pictures over without training.

    Says which layout was found, how the classes are balanced, and which pictures are unreadable,
    repeated or suspicious. Exit status 3 when training on them would be refused.
    """
    progress = make_progress(quiet=quiet)
    try:
        report = foveal.check(data, task=task, overrides=overrides or (), progress=progress)
    finally:
        progress.finish()
    if as_json:
        write_json(report.to_json())
    else:
        write(report.layout)
        write(_balance_table(report.balance))
        for finding in report.findings:
            write("\n".join(finding_lines(finding)))
        if not report.findings:
            write("nothing to complain about")
    if any(finding.severity == "error" for finding in report.findings):
        raise typer.Exit(3)


def _balance_table(balance: Mapping[str, Mapping[str, int]]) -> str:
    """Return how many pictures of each class are on each side."""
    sides = [side for side in SPLIT_NAMES if any(side in counts for counts in balance.values())]
    rows = [
        (label, *(str(counts.get(side, 0)) for side in sides), str(sum(counts.values())))
        for label, counts in balance.items()
    ]
    return table(("class", *sides, "all"), rows)


def synth(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What to draw: letters.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw labelled pictures of text into a folder.

    `foveal train` takes the folder as it is.
    """
    written = foveal.synth(kind, out, count=count, seed=seed)
    if as_json:
        write_json({"schema_version": 1, "kind": kind, "out": str(written), "count": count})
    else:
        write(str(written))
        note(f"next    foveal train {written}", quiet=quiet)
