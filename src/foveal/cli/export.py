"""`foveal export` writes a model in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, ModelName, Quiet
from foveal.cli.output import note, write, write_json
from foveal.export.job import options_of
from foveal.progress import make_progress
from foveal.words import percent
from foveal.workflow.exports import Exported, export_model


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
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise it, calibrated on training pictures.")
    ] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Write its numbers with 16 bits.")] = False,
    with_app: Annotated[
        bool, typer.Option("--with-app", help="Also write an application around it.")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Write it for graphics processors.")] = False,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Labelled pictures to prove it on; default: the run's validation split.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Export a model to another format, proven to answer alike."""
    options = options_of(int8=int8, fp16=fp16, with_app=with_app, gpu=gpu)
    opened = foveal.load(model)
    opened.check_alone("exported")
    progress = make_progress(quiet=quiet)
    try:
        exported = export_model(
            opened.bundle, to, out, options=options, run=opened.run, data=data, progress=progress
        )
    finally:
        progress.finish()
    if as_json:
        write_json(_record(exported))
    else:
        write(str(exported.path))
        note(_words(exported), quiet=quiet)


def _record(exported: Exported) -> dict[str, object]:
    record = {"schema_version": 1, "to": exported.to, "path": str(exported.path)}
    proof = None if exported.proof is None else exported.proof.to_json()
    return {**record, "bytes": exported.bytes, "proof": proof}


def _words(exported: Exported) -> str:
    words = f"{exported.bytes / 1e6:.1f} MB"
    if (proof := exported.proof) is None:
        return words
    return (
        f"{words}; in {proof.runtime} {percent(proof.label_agreement)} of {proof.samples} "
        f"validation pictures are answered alike, probabilities differ by at most "
        f"{proof.max_probability_difference:.0e}"
    )
