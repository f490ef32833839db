"""`foveal review` shows what a check doubts on a web page, and writes down what is decided."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import foveal
from foveal.cli.knobs import with_knobs
from foveal.cli.options import Data, Debug, Json, Quiet, Set
from foveal.cli.output import note, write, write_json
from foveal.progress import command_progress


@with_knobs("task", "label_regex")
def review(
    data: Data,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Show this model's answers and evidence maps."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free one.")
    ] = 8002,
    overrides: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **knobs: Any,
) -> None:
    """Go through the suspects of a check on a web page.

    Keep, relabel, quarantine or skip each picture with a key or a click. Decisions are saved at
    once; the pictures stay as they are until `foveal clean` applies them. Data that have not been
    checked, or have changed since, are checked first.
    """
    with command_progress(quiet=quiet) as progress:
        started = foveal.review(
            data,
            model=model,
            host=host,
            port=port,
            overrides=overrides or (),
            progress=progress,
            **knobs,
        )
    log = str(started.review.path)
    suspects = sum(len(queue.suspects) for queue in started.review.queues)
    if as_json:
        write_json({"schema_version": 1, "url": started.url, "suspects": suspects, "log": log})
    else:
        write(started.url)
        note(f"{suspects:,} suspects; open the page in a browser, Ctrl-C stops it", quiet=quiet)
        note(f"decisions are written to {log}", quiet=quiet)
        report = started.review.report
        if report.target == "labels" and not report.features:
            note(f"to check labels too    foveal check {data} --features", quiet=quiet)
    sys.stdout.flush()
    started.wait()
    if not as_json:
        note(f"next    foveal clean {data}", quiet=quiet)
