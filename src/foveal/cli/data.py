"""`foveal check` looks for problems in data; `foveal synth` draws data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import foveal
from foveal.cli.knobs import with_knobs
from foveal.cli.options import Data, Debug, Json, Quiet, Set
from foveal.cli.output import note, write, write_finding, write_json
from foveal.destination import check_file
from foveal.errors import UsageError
from foveal.progress import command_progress
from foveal.synth import KINDS
from foveal.types import SPLIT_NAMES
from foveal.words import printable, table

# Of a class name: a table has to fit a terminal.
_SHOWN = 60


@with_knobs("task", "label_regex")
def check(
    data: Data,
    page: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write the findings and their pictures to an HTML page, such as check.html.",
        ),
    ] = None,
    features: Annotated[
        bool,
        typer.Option(
            "--features",
            help="Also look for wrong labels, texts and masks, with models that were not "
            "trained on the picture.",
        ),
    ] = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="RUN",
            help="Look for wrong labels with the out-of-fold predictions of a run that was trained "
            "on DATA with --folds; or a predictions.csv.",
        ),
    ] = None,
    overrides: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **knobs: Any,
) -> None:
    """Check pictures without training.

    Reports the layout, the balance of the classes, and pictures that are unreadable, repeated or
    suspicious. The exit status is 3 if `foveal train` would refuse the data.
    """
    if page is not None:
        # Before the pictures are looked at, which may take minutes.
        check_file(page)
    with command_progress(quiet=quiet) as progress:
        report = foveal.check(
            data,
            features=features,
            predictions=predictions,
            overrides=overrides or (),
            progress=progress,
            **knobs,
        )
    if as_json:
        write_json(report.to_json())
    else:
        write(report.layout)
        write(_balance_table(report.balance, "length" if report.characters else "class"))
        if report.characters:
            write(f"{len(report.characters)} different characters: {printable(report.characters)}")
        for finding in report.findings:
            write_finding(finding)
        if not report.findings:
            write("no problems found")
    if page is not None:
        report.write(page)
        note(f"report  {page}", quiet=quiet)
    if any(finding.severity == "error" for finding in report.findings):
        raise typer.Exit(3)


def _balance_table(balance: Mapping[str, Mapping[str, int]], by: str) -> str:
    """Return how many pictures of each class, or length of the text, are on each side."""
    sides = [side for side in SPLIT_NAMES if any(side in counts for counts in balance.values())]
    rows = [
        (_cut(label), *(str(counts.get(side, 0)) for side in sides), str(sum(counts.values())))
        for label, counts in balance.items()
    ]
    return table((by, *sides, "all"), rows)


def _cut(label: str) -> str:
    return label if len(label) <= _SHOWN else f"{label[: _SHOWN - 1]}…"


def synth(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="What to draw."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of pictures.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="Option of KIND, such as length=4..6; repeatable.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 uses all cores.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw labelled pictures of text into a folder.

    `foveal train` reads the folder as it is.
    """
    with command_progress(quiet=quiet) as progress:
        written = foveal.synth(
            kind,
            out,
            count=count,
            seed=seed,
            options=_pairs(options or ()),
            workers=workers,
            progress=progress,
        )
    if as_json:
        write_json({"schema_version": 1, "kind": kind, "out": str(written), "count": count})
    else:
        write(str(written))
        task = "" if KINDS[kind].task == "classify" else f" --task {KINDS[kind].task}"
        note(f"next    foveal train {written}{task}", quiet=quiet)


def _pairs(options: Sequence[str]) -> dict[str, str]:
    """Return `NAME=VALUE` texts as a mapping.

    Raises:
        UsageError: For a text without `=`, or a name given twice.
    """
    pairs: dict[str, str] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(
                f"Invalid --option. Expected NAME=VALUE. Received: {text!r}.",
                hint="foveal synth captcha --out DIR --option length=4..6",
            )
        if name in pairs:
            raise UsageError(f"Invalid --option. {name} is given twice.")
        pairs[name] = value
    return pairs
