"""`foveal train`: everyday knobs are flags, everything else is `--set key=value`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import foveal
from foveal.cli.options import Debug, Json, LabelRegex, Quiet, Set, count, seconds
from foveal.cli.output import metric_table, note, show_log, write, write_json
from foveal.cli.progress import make_progress
from foveal.errors import UsageError

if TYPE_CHECKING:
    from foveal.console import Progress
    from foveal.model import Model

EVERYDAY, GO_ON, MORE = "Everyday knobs", "Go on with a run", "More"

_Data = Annotated[
    str | None, typer.Argument(metavar="DATA", help="Folder, table, .npz, URL, or synth:KIND.")
]
_Epochs = Annotated[
    str | None, typer.Option(metavar="N", help="Passes over the data.", rich_help_panel=EVERYDAY)
]
_BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", "--batch", min=1, help="Pictures.", rich_help_panel=EVERYDAY),
]
_ImageSize = Annotated[
    int | None,
    typer.Option(
        "--image-size", "--imgsz", min=8, help="Model input in pixels.", rich_help_panel=EVERYDAY
    ),
]
_Backbone = Annotated[
    str | None,
    typer.Option(metavar="NAME[,NAME]", help="See foveal models.", rich_help_panel=EVERYDAY),
]
_Lr = Annotated[float | None, typer.Option(help="Learning rate.", rich_help_panel=EVERYDAY)]
_Patience = Annotated[
    int | None,
    typer.Option(min=1, help="Stop after N epochs without a gain.", rich_help_panel=EVERYDAY),
]
_Budget = Annotated[
    str | None,
    typer.Option(metavar="10m", help="Time for training; sets epochs.", rich_help_panel=EVERYDAY),
]
_Seed = Annotated[int | None, typer.Option(min=0, help="Of it all.", rich_help_panel=EVERYDAY)]
_Device = Annotated[
    str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda.", rich_help_panel=EVERYDAY)
]
_Strategy = Annotated[
    str | None,
    typer.Option(
        metavar="WAY", help="auto, frozen, staged, full or scratch.", rich_help_panel=EVERYDAY
    ),
]
_Download = Annotated[
    bool,
    typer.Option(
        "--allow-download", help="May fetch pretrained weights.", rich_help_panel=EVERYDAY
    ),
]
_Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume", metavar="RUN", help="Finish an interrupted run.", rich_help_panel=GO_ON
    ),
]
_Continue = Annotated[
    Path | None,
    typer.Option(
        "--continue",
        metavar="RUN",
        help="Train a finished run further, with --epochs +5.",
        rich_help_panel=GO_ON,
    ),
]


def train(
    data: _Data = None,
    epochs: _Epochs = None,
    batch_size: _BatchSize = None,
    image_size: _ImageSize = None,
    backbone: _Backbone = None,
    lr: _Lr = None,
    patience: _Patience = None,
    budget: _Budget = None,
    seed: _Seed = None,
    device: _Device = None,
    strategy: _Strategy = None,
    allow_download: _Download = False,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the runs.")] = Path("runs"),
    task: Annotated[
        str | None, typer.Option(help="classify, read or segment; what is drawn says it itself.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recipe file (YAML).")
    ] = None,
    label_regex: LabelRegex = None,
    overrides: Set = None,
    resume: _Resume = None,
    extend: _Continue = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train on a folder of pictures; write a proven model.

    The run holds the bundle, the report, the metrics and the recipe that gave them.
    """
    began = time.perf_counter()
    if not quiet and not debug:
        # What was chosen from the data, and why.
        show_log(logging.INFO)
    progress = make_progress(quiet=quiet)
    knobs: dict[str, Any] = {
        "epochs": count(epochs, "--epochs") if epochs is not None else None,
        "batch_size": batch_size,
        "image_size": image_size,
        "backbone": backbone,
        "lr": lr,
        "patience": patience,
        "budget_s": seconds(budget) if budget is not None else None,
        "seed": seed,
        "device": device,
        "strategy": strategy,
        "allow_download": allow_download or None,
        "label_regex": label_regex,
    }
    about: dict[str, Any] = {"task": task, "name": name, "out": out, "recipe": recipe}
    try:
        if resume is not None or extend is not None:
            _refuse_mixture(data, knobs, recipe, overrides, resume, extend)
            model = _go_on(resume, extend, knobs["epochs"], progress)
        else:
            _refuse_addition(data, epochs)
            model = foveal.train(
                str(data), overrides=overrides or (), progress=progress, **about, **knobs
            )
    finally:
        progress.finish()
    _print(model, time.perf_counter() - began, as_json=as_json, quiet=quiet)


def _go_on(resume: Path | None, extend: Path | None, epochs: int, progress: Progress) -> Model:
    if extend is not None:
        return foveal.extend(extend, epochs, progress=progress)
    return foveal.resume(str(resume), progress=progress)


def _refuse_addition(data: str | None, epochs: str | None) -> None:
    """Raise where nothing is there to train on, or to add epochs to."""
    if data is None:
        raise UsageError("There is no DATA to train on.", hint="foveal train FOLDER")
    if epochs is not None and epochs.strip().startswith("+"):
        raise UsageError(
            f"--epochs {epochs} adds to a finished run: it needs --continue.",
            hint=f"foveal train --continue RUN --epochs {epochs}",
        )


def _refuse_mixture(
    data: str | None,
    knobs: Mapping[str, Any],
    recipe: Path | None,
    overrides: list[str] | None,
    resume: Path | None,
    extend: Path | None,
) -> None:
    """Raise for arguments that a run which goes on would silently ignore."""
    if resume is not None and extend is not None:
        raise UsageError("--resume and --continue cannot be used together.")
    allowed = ["epochs"] if extend is not None else []
    option = "--continue" if extend is not None else "--resume"
    given = [key for key, value in knobs.items() if value is not None]
    other = [f"--{key.removesuffix('_s').replace('_', '-')}" for key in given if key not in allowed]
    other += ["DATA"] if data is not None else []
    other += ["--recipe"] if recipe is not None else []
    other += ["--set"] if overrides else []
    if other:
        raise UsageError(
            f"{option} goes on with the run's own recipe and data: "
            f"{', '.join(other)} cannot be given.",
            hint=f"foveal train {option} RUN" + (" --epochs +5" if extend is not None else ""),
        )
    if extend is not None and "epochs" not in given:
        raise UsageError(
            "--continue needs to know how many epochs more.",
            hint=f"foveal train --continue {extend} --epochs +5",
        )


def _print(model: Model, took_s: float, *, as_json: bool, quiet: bool) -> None:
    bundle = str(model.bundle.path)
    run = str(model.run) if model.run is not None else None
    if as_json:
        write_json(
            {
                "schema_version": 1,
                "run": run,
                "bundle": bundle,
                "metrics": model.metrics,
                "seconds": round(took_s, 3),
            }
        )
        return
    write(metric_table(model.metrics))
    note(f"\nrun     {run}   ({took_s:.0f} s)", quiet=quiet)
    note(f"report  {run}/report.html", quiet=quiet)
    note(f"next    foveal predict {run} PICTURE", quiet=quiet)
    note(f"        foveal serve {run}", quiet=quiet)
