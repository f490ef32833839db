"""`foveal evaluate` evaluates a model; `foveal compare` compares runs."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import foveal
from foveal.bundle.promise import baseline_words, promise
from foveal.cli.knobs import with_knobs
from foveal.cli.options import (
    Data,
    Debug,
    Engine,
    Json,
    MaxBytes,
    MaxPixels,
    ModelName,
    OnAnyRay,
    Out,
    Quiet,
    Workers,
    engine_of,
    refuse_without_on,
)
from foveal.cli.output import finding_text, metric_table, note, wrapped, write, write_json
from foveal.console import fitted, show_messages
from foveal.data.findings import plural
from foveal.progress import command_progress

# Findings that the table and the words below it have already said.
_SAID = frozenset({"evaluate.not_usable", "evaluate.baseline", "evaluate.trained_on"})


@with_knobs("label_regex")
def evaluate(
    model: ModelName,
    data: Data,
    split: Annotated[
        str | None, typer.Option(help="Use only this part of the data: train, val or test.")
    ] = None,
    out: Out = None,
    max_pixels: MaxPixels = None,
    max_bytes: MaxBytes = None,
    engine: Engine = None,
    on: OnAnyRay = None,
    workers: Workers = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **knobs: Any,
) -> None:
    """Evaluate a model on labelled pictures.

    Every metric has a 95 % interval. --out writes report.html, metrics.json and predictions.csv.
    """
    if on is None:
        refuse_without_on({"--workers": workers})
    with command_progress(quiet=quiet) as progress:
        opened = foveal.load(
            model,
            max_pixels=max_pixels,
            max_bytes=max_bytes,
            engine=engine_of(engine, quiet=quiet),
        )
        # What a job on another cluster says.
        show_messages("foveal.cluster.evaluate", wanted=not quiet)
        evaluation = opened.evaluate(
            data, split=split, out=out, progress=progress, on=on, workers=workers, **knobs
        )
    values = evaluation.to_json()
    if as_json:
        write_json(values)
    else:
        if evaluation.warning:
            write(f"warning: {evaluation.warning}")
        write(plural(evaluation.samples, "picture"))
        baseline = values["baseline"]
        write(metric_table(values["metrics"], evaluation.task.metric_words, baseline["metrics"]))
        note(wrapped(baseline_words(baseline)), quiet=quiet)
        manifest = evaluation.manifest
        if words := promise(manifest.calibration, evaluation.task, folds=manifest.folds):
            note(wrapped(words), quiet=quiet)
        for finding in evaluation.findings:
            if finding.severity != "info" and finding.id not in _SAID:
                note(fitted(finding_text(finding), sys.stderr), quiet=quiet)
    if out is not None:
        note(f"report  {out / 'report.html'}", quiet=quiet)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Two or more runs; the first is the baseline."),
    ],
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare runs.

    Shows which recipe keys and metrics differ, with a paired test on the pictures that both
    answered.
    """
    comparison = foveal.compare(*runs, out=out)
    if as_json:
        write_json(comparison.to_json())
    else:
        write(comparison.table)
    if out is not None:
        note(f"written to {out}", quiet=quiet)
