"""`foveal watch` shows a training on a live web page."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import note, write, write_json


def watch(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Run or its name; running or finished.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free one.")
    ] = 8001,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Watch a training on a live web page.

    Shows curves, validation pictures as their answers change, findings, and a button that stops the
    training after the current epoch. Ctrl-C here closes the page; the training continues.
    """

    def announce(url: str) -> None:
        if as_json:
            write_json({"schema_version": 1, "url": url, "run": run})
        else:
            write(url)
            note("open it in a browser; Ctrl-C stops the page, not the training", quiet=quiet)
        sys.stdout.flush()

    foveal.watch(run, host=host, port=port, on_ready=announce)
