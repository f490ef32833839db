"""The options that several verbs share, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from foveal.console import show_messages
from foveal.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for programs.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")]
"""`foveal.cli.main` reads it from the arguments; declared so that every verb knows and shows it."""

Data = Annotated[
    str,
    typer.Argument(metavar="DATA", help="Folder, zip, tar, table, .npz file, URL, or synth:KIND."),
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Run, bundle, .foveal file, NAME, NAME@ALIAS or NAME:VERSION in the store, or "
        "`imagenet`; a,b,c vote.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the recipe; repeatable."),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Refuse pictures with more pixels; default: as in training."
    ),
]
MaxBytes = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Refuse larger files; default: as in training."),
]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Run the network with onnxruntime (the default), openvino, openvino-bf16, cuda, "
        "tensorrt, or auto: the fastest here.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")]


def engine_of(name: str | None, *, quiet: bool) -> str:
    """Return the engine that is asked for; where one is, what is found about it will be said."""
    show_messages("foveal.predict.choice", wanted=name is not None and not quiet)
    return name or "onnxruntime"


_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def seconds(text: str) -> float:
    """Return the seconds in `90`, `90s`, `10m`, `1h30m`.

    Raises:
        UsageError: For anything else, or nothing at all.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    parts = [float(part or 0) for part in match.groups()] if match else []
    total = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if total <= 0:
        raise UsageError(
            f"Invalid duration. Expected something like 90s, 10m or 1h30m. Received: {text!r}.",
            hint="write 10m for ten minutes",
        )
    return total


StorePath = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="STORE", help="Folder or URL; default: FOVEAL_STORE, else models."
    ),
]
ELSEWHERE = "On another machine"
"""Heading of the options that say where work is done."""

_JOINED = "ray:local (a Ray cluster on the cores of this machine)"
_OWN = "ray:auto (the cluster that this machine belongs to)"
OnRay = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="TARGET",
        help=f"Where to run: {_JOINED} or {_OWN}.",
        rich_help_panel=ELSEWHERE,
    ),
]
OnAnyRay = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="TARGET",
        help=f"Where to run: {_JOINED}, {_OWN} or ray://HOST (another cluster).",
        rich_help_panel=ELSEWHERE,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="With --on: worker processes, one core each; default: all cores.",
        rich_help_panel=ELSEWHERE,
    ),
]


def refuse_without_on(options: Mapping[str, object]) -> None:
    """Raise where an option is given that only `--on ray` gives a meaning.

    Raises:
        UsageError: Naming the first.
    """
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option} needs --on.", hint=f"use --on ray:local {option} {value}")
