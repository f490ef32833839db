"""`foveal predict` predicts pictures: files, folders, globs or standard input."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import foveal
from foveal.cli.answers import CountedAnswers, write_csv, write_records, write_table
from foveal.cli.asking import is_endpoint, local_pictures, print_answers
from foveal.cli.options import (
    ELSEWHERE,
    Debug,
    Engine,
    Json,
    MaxBytes,
    MaxPixels,
    ModelName,
    OnAnyRay,
    Quiet,
    Workers,
    engine_of,
    refuse_without_on,
)
from foveal.cli.output import note, write_json
from foveal.console import show_messages
from foveal.errors import UsageError
from foveal.urls import shown

if TYPE_CHECKING:
    from foveal.console import Progress
    from foveal.model import Model


def predict(
    model: ModelName,
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PICTURE...",
            show_default=False,
            help="Files, folders, archives, globs or URLs; - reads a picture, or one path per "
            "line, from stdin.",
        ),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", "--batch", min=1, help="Pictures per forward pass."),
    ] = 32,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for masks (STEM.png) and drawn answers (STEM_overlay.jpg); with --on, "
            "folder or URL for the records.",
        ),
    ] = None,
    maps: Annotated[
        bool,
        typer.Option(
            "--maps", help="With --out: also the probability of each label (STEM_LABEL.png)."
        ),
    ] = False,
    max_pixels: MaxPixels = None,
    max_bytes: MaxBytes = None,
    engine: Engine = None,
    instances: Annotated[
        Path | None,
        typer.Option(
            "--instances",
            metavar="FILE",
            help='Send this request instead of pictures: {"instances": [{"b64": ...}]}.',
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            help="File with the API key for a MODEL that is a URL; default: the variable "
            "FOVEAL_KEY.",
        ),
    ] = None,
    on: OnAnyRay = None,
    workers: Workers = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="With --on: jsonl or parquet; default: by the ending of --out, else jsonl.",
            rich_help_panel=ELSEWHERE,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Predict pictures: files, folders, globs or stdin.

    A picture that cannot be read gives an error line, and exit status 1 at the end; the others are
    still answered. --out writes masks, and the pictures with the answers drawn on them.

    With --on, Ray writes records to --out; the same command continues where it stopped.
    """
    if as_csv and as_json:
        raise UsageError("--csv and --json cannot be used together.")
    if maps and out is None:
        raise UsageError(
            "--maps needs a folder to write the maps to.", hint="use --maps --out FOLDER"
        )
    if (instances is None) == (not pictures):
        hint = "foveal predict MODEL PICTURE"
        raise UsageError("Give either PICTURE or --instances.", hint=hint)
    if is_endpoint(model):
        _refuse_there({"--on": on, "--out": out, "--csv": as_csv or None, "--engine": engine})
        print_answers(
            model,
            _from_stdin(pictures or []),
            instances,
            key_file=key_file,
            together=batch_size,
            as_json=as_json,
            quiet=quiet,
        )
        return
    asked = list(pictures or []) if instances is None else list(local_pictures(instances))
    opened = foveal.load(
        model,
        max_pixels=max_pixels,
        max_bytes=max_bytes,
        engine=engine_of(engine, quiet=quiet),
    )
    if on is not None:
        if as_csv or maps or out is None:
            raise UsageError(
                "With --on, --out is required, and --csv and --maps are not supported.",
                hint=f"use --on {on} --out answers",
            )
        settings = {"workers": workers, "format": form, "batch_size": batch_size}
        _answer_on(opened, on, _files(asked), out, settings, as_json=as_json, quiet=quiet)
        return
    refuse_without_on({"--workers": workers, "--format": form})
    _refuse_table(out)
    if out is None:
        streamed = opened.predict(_from_stdin(asked), batch_size=batch_size, stream=True)
    else:
        progress = _make_progress(streams=as_json or as_csv, quiet=quiet)
        streamed = opened.predict(
            _files(asked), batch_size=batch_size, stream=True, out=out, maps=maps, progress=progress
        )
    answers = CountedAnswers(streamed)
    if as_json:
        write_records(answers)
    elif as_csv:
        task = opened.bundle.task
        # Of masks and texts there is no score for each label.
        write_csv(answers, task.labels.names if task.target_kind == "labels" else ())
    else:
        # With files to write the table waits for the end, or it would run through the bar.
        write_table(answers if out is None else list(answers))
    if out is not None:
        note(f"answers written to {out}: {answers.total - answers.failed}", quiet=quiet)
    if answers.failed:
        note(f"{answers.failed} of {answers.total} pictures could not be read", quiet=quiet)
        raise typer.Exit(1)


def _answer_on(
    model: Model,
    on: str,
    pictures: list[str],
    out: str,
    settings: Mapping[str, Any],
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Answer into files on a cluster, and say what came of it."""
    # What a job on another cluster says.
    show_messages("foveal.cluster.sent", wanted=not quiet)
    progress = _make_progress(streams=as_json, quiet=quiet)
    files = model.predict_on(on, pictures, out, progress=progress, **settings)
    if as_json:
        write_json(files.to_json())
    else:
        written = files.pictures - files.failed
        note(f"answers written to {shown(files.location)}: {written}", quiet=quiet)
    if files.failed:
        note(f"{files.failed} of {files.pictures} pictures could not be read", quiet=quiet)
        raise typer.Exit(1)


def _from_stdin(pictures: list[Any]) -> list[Any]:
    """Return what is asked about, with - replaced by the picture or the paths on stdin."""
    if "-" not in pictures:
        return pictures
    if len(pictures) > 1:
        raise UsageError("- means stdin and must be the only PICTURE.")
    data = sys.stdin.buffer.read()
    paths = _as_paths(data)
    # Imported late: it brings numpy, which `foveal --help` does without.
    from foveal.predict.inputs import Given

    return [Given("-", data)] if paths is None else paths


def _refuse_there(options: Mapping[str, object]) -> None:
    """Raise for options that a model elsewhere has no part in."""
    for option, value in options.items():
        if value is not None:
            raise UsageError(
                f"{option} needs a model on this machine.",
                hint=f"leave out {option}, or use --json",
            )


def _refuse_table(out: str | None) -> None:
    """Raise for a table as the folder of pictures: answers are printed, for the shell to keep."""
    option = {".csv": "--csv", ".json": "--json", ".jsonl": "--json"}
    ending = Path(out or "").suffix.lower()
    if out is not None and ending in option and not Path(out).is_dir():
        raise UsageError(
            f"--out {out} is named like a file. Expected a folder, for pictures of the answers.",
            hint=f"foveal predict MODEL PICTURE {option[ending]} > {out}",
        )


def _files(pictures: list[Any]) -> list[Any]:
    """Return what shall be answered into files; a picture on stdin has no name for them."""
    if "-" not in pictures:
        return pictures
    paths = _as_paths(sys.stdin.buffer.read()) if len(pictures) == 1 else None
    if paths is None:
        raise UsageError(
            "--out cannot be combined with a picture on stdin. Expected files, folders, globs or "
            "URLs, or paths on stdin."
        )
    return paths


def _make_progress(*, streams: bool, quiet: bool) -> Progress:
    # Imported late: what draws bars takes longer to load than a small picture to answer.
    from foveal.progress import LineProgress, make_progress

    # A bar would take over stdout, where the records go one by one.
    return LineProgress() if streams and not quiet else make_progress(quiet=quiet)


def _as_paths(data: bytes) -> list[str] | None:
    """Return the lines of `data`, or None when it is not text: then it is a picture."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UsageError(
            "stdin is empty. Expected a picture, or one path per line.",
            hint="foveal predict MODEL - < picture.jpg",
        )
    return lines
