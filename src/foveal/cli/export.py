"""`foveal export` writes a model in another format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import note, write, write_json
from foveal.data.source import TargetKind
from foveal.errors import UsageError
from foveal.export.formats import FORMATS, format_json
from foveal.export.job import options_of
from foveal.progress import command_progress
from foveal.types import JsonObject
from foveal.words import percent, table
from foveal.workflow.exports import Exported, export_model


def export(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            show_default=False,
            help="Run, bundle, .foveal file, or NAME, NAME@ALIAS or NAME:VERSION in the store.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Format to write."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="Path or URL (s3://, gs://) to write to; default: named after the model.",
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise to int8, calibrated on training pictures.")
    ] = False,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="Store the weights as 16-bit floats.")
    ] = False,
    bf16: Annotated[
        bool,
        typer.Option("--bf16", help="Also calibrate the model for the engine openvino-bf16."),
    ] = False,
    with_app: Annotated[
        bool, typer.Option("--with-app", help="Also write an app that uses the model.")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Build for GPUs.")] = False,
    without_pictures: Annotated[
        bool,
        typer.Option(
            "--without-pictures",
            help="Leave out the validation pictures that an app checks itself with.",
        ),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Labelled pictures to prove the export on; default: the run's validation split.",
        ),
    ] = None,
    list_: Annotated[
        bool,
        typer.Option("--list", help="List the formats and, if MODEL is given, its exports."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Export a model to another format.

    An export that does not give the same answers as the model is not written.
    """
    if list_:
        _list(model, as_json=as_json, quiet=quiet)
        return
    if model is None or to is None:
        raise UsageError("MODEL and --to FORMAT are required.", hint="foveal export --list")
    options = options_of(
        int8=int8,
        fp16=fp16,
        bf16=bf16,
        with_app=with_app,
        gpu=gpu,
        without_pictures=without_pictures,
    )
    opened = foveal.load(model)
    opened.check_alone("exported")
    with command_progress(quiet=quiet) as progress:
        exported = export_model(
            opened.bundle,
            to,
            out,
            options=options,
            run=opened.run,
            data=data,
            progress=progress,
            kept_in=opened.exports_kept_in,
        )
    if as_json:
        write_json(_record(exported))
    else:
        write(str(exported.path))
        note(_words(exported, opened.bundle.task.target_kind), quiet=quiet)


def _list(model: str | None, *, as_json: bool, quiet: bool) -> None:
    """Say which formats there are, and what was exported from a model."""
    formats = {name: format_json(name, entry) for name, entry in FORMATS.works()}
    exports = [] if model is None else foveal.load(model).exports()
    if as_json:
        write_json({"schema_version": 1, "formats": formats, "exports": exports})
        return
    rows = [
        (name, shown["summary"], ", ".join(shown["precisions"]), _state(shown))
        for name, shown in formats.items()
    ]
    write(table(("format", "what it is", "precisions", "on this machine"), rows))
    for name, shown in formats.items():
        if shown["install"]:
            note(f"{name}: {shown['install']}", quiet=quiet)
    if model is not None:
        write("")
        write(exports_table(exports) if exports else f"nothing was exported from {model} yet")


def _state(shown: JsonObject) -> str:
    if not shown["missing"]:
        return "ready"
    verb = "written" if shown["missing_to_write"] else "proven"
    return f"cannot be {verb} without {', '.join(shown['missing'])}"


def exports_table(exports: Sequence[JsonObject]) -> str:
    """Return what was exported from a model, as a table."""
    return table(
        ("format", "precision", "MB", "agreement", "pictures", "runtime", "path"),
        [
            (
                _with_options(export),
                export["precision"],
                f"{export['bytes'] / 1e6:.1f}",
                percent((export["proof"] or {}).get("label_agreement")),
                str((export["proof"] or {}).get("samples", "–")),
                (export["proof"] or {}).get("runtime", "the bundle's own"),
                export["path"],
            )
            for export in exports
        ],
    )


def _with_options(export: JsonObject) -> str:
    flags = ("--" + name.replace("_", "-") for name in export["options"])
    return " ".join((export["to"], *flags))


def _record(exported: Exported) -> dict[str, object]:
    record = {"schema_version": 1, "to": exported.to, "path": str(exported.path)}
    proof = None if exported.proof is None else exported.proof.to_json()
    return {**record, "bytes": exported.bytes, "proof": proof}


def _words(exported: Exported, target: TargetKind) -> str:
    words = f"{exported.bytes / 1e6:.1f} MB"
    if (proof := exported.proof) is None:
        return words
    return (
        f"{words}; in {proof.runtime} answers agree for "
        f"{proof.agreement(target, 'validation picture')}, probabilities differ by at most "
        f"{proof.max_probability_difference:.0e}"
    )
