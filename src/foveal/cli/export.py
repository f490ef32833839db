"""`foveal export` writes a model in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, ModelName, Quiet
from foveal.cli.output import note, write, write_json
from foveal.export.formats import FORMATS


def export(
    model: ModelName,
    to: Annotated[
        str,
        typer.Option(metavar="FORMAT", help="Format to write."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="PATH", help="What to write; default: named like the model."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Export a model to another format."""
    opened = foveal.load(model)
    target = out or Path(opened.bundle.name + FORMATS[to].suffix)
    written = foveal.export(opened, to, target)
    files = [path for path in (written, *written.rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if as_json:
        write_json({"schema_version": 1, "to": to, "path": str(written), "bytes": size})
    else:
        write(str(written))
        note(f"{size / 1e6:.1f} MB", quiet=quiet)
