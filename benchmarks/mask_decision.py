"""Dice of offsets between labels, and of mirrored tiles, against the likeliest label alone.

foveal trains on the sets of segment_unet.py. The network of the bundle then answers the held-out
pictures once, with its tiles as they are and mirrored; from these logits the masks are decided with
and without the offsets that were chosen on validation, patches and holes left as they are.

    python benchmarks/mask_decision.py --minutes 8 --repeats 3
    python benchmarks/mask_decision.py --set isbi_membrane --run RUN   # of one that was trained
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

import foveal_command
from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.predict.engine import OnnxEngine
from foveal.predict.tiles import Tiler
from foveal.tasks.segment import analysis
from foveal.tasks.segment.collecting import MaskCollector
from foveal.types import Calibration, Picture
from foveal.workflow.locate import find_model
from mask_scores import gain_of
from mask_sets import SETS, Pictures, write_parts
from outcome import Outcome, add_out, note, report, seeds, shared
from reader_run import runs_folder

LIKELIEST, OFFSETS, FLIPS = "likeliest", "offsets", "offsets, mirrored tiles"
Rows = NDArray[np.float64]


def main() -> None:
    """Measure the chosen sets and report each."""
    arguments = parse_arguments()
    for pictures in SETS:
        if arguments.set in (None, pictures.data):
            report(measure(pictures, arguments), arguments.out)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--set", default=None, choices=[one.data for one in SETS])
    made.add_argument("--minutes", type=float, default=8.0, help="of each training")
    made.add_argument("--repeats", type=int, default=1, help="trainings, each with its seed")
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--run", type=Path, action="append", default=[], help="trained on this part")
    made.add_argument("--without-flips", action="store_true", help="no mirrored tiles: a fifth")
    made.add_argument("--runs", type=Path, default=None, help="keep the runs in this folder")
    return made.parse_args()


def measure(pictures: Pictures, arguments: argparse.Namespace) -> Outcome:
    """Train, or take the runs that are given, and compare the decisions on held-out pictures."""
    trials: list[dict[str, Any]] = []
    with runs_folder(arguments) as place:
        folder = Path(place).resolve() / pictures.claim
        _, test = write_parts(pictures, shared(pictures.data, arguments.data), folder)
        for run in arguments.run or trained(pictures, folder, arguments):
            trials.append(
                decide_all(
                    pictures, find_model(run).bundle, test, with_flips=not arguments.without_flips
                )
            )
            said = {name: round(100 * one["dice"], 2) for name, one in trials[-1]["ways"].items()}
            note(f"  {pictures.claim} {run.name}: Dice {said}, {trials[-1]['calibration']}")
    gains = [100 * (t["ways"][OFFSETS]["dice"] - t["ways"][LIKELIEST]["dice"]) for t in trials]
    return Outcome(
        claim=f"segment_{pictures.claim}_offsets",
        what=f"Dice, mean over labels that count and pictures, of {pictures.what}: offsets chosen "
        "on validation minus the likeliest label",
        unit="points",
        values=tuple(gains),
        target=0.0,
        detail={"test": [path.name for path in test], "trials": trials},
    )


def trained(pictures: Pictures, folder: Path, arguments: argparse.Namespace) -> Sequence[Path]:
    """Train by the default recipe, once for each seed, and return the runs."""
    line = ["--task", "segment", "--budget", f"{60 * arguments.minutes:g}s"]
    return [
        Path(
            foveal_command.train(
                folder / "train",
                folder / "runs",
                f"{pictures.claim}-{seed}",
                [*line, "--seed", str(seed)],
            ).json["run"]
        )
        for seed in seeds(arguments.repeats, arguments.first_seed)
    ]


def decide_all(
    pictures: Pictures, bundle: Bundle, test: Sequence[Path], *, with_flips: bool
) -> dict[str, Any]:
    """Return what each way of deciding gets on the test pictures."""
    predictor = Predictor(bundle)
    task, calibration = predictor.task, bundle.manifest.calibration
    engine = OnnxEngine(bundle.read("model.onnx"))
    likeliest = Calibration(calibration.temperature)
    moved = replace(likeliest, offsets=calibration.offsets)
    plain = Tiler(engine, replace(bundle.pipeline, flips="none"))
    # What a tiler gives is decided in several ways.
    ways = [(plain, {LIKELIEST: likeliest, OFFSETS: moved})]
    if with_flips:
        ways.append((Tiler(engine, replace(bundle.pipeline, flips="all")), {FLIPS: moved}))
    names = task.labels.names
    of_names = {v: names.index(n) for v, n in pictures.classes.items()}
    rows: dict[str, list[Rows]] = {way: [] for _, decided in ways for way in decided}
    for path in test:
        raster = Picture.from_array(np.asarray(PILImage.open(path).convert("RGB")))
        values = np.asarray(PILImage.open(path.parents[1] / "masks" / f"{path.stem}.png"))
        truth = np.vectorize(of_names.get, otypes=[np.uint8])(values)
        for tiler, decided in ways:
            collectors = {
                way: MaskCollector((raster.height, raster.width), names, one)
                for way, one in decided.items()
            }
            for top, band in tiler.bands(raster, ["logits"]):
                for collector in collectors.values():
                    collector.add(top, band)
            for way, collector in collectors.items():
                rows[way].append(task.measure(collector.finish(), truth))
    scored = {
        way: scores(np.stack(found), task.labels.names, task.counted) for way, found in rows.items()
    }
    gains = {"gain_of_offsets": gain(rows[OFFSETS], rows[LIKELIEST], task.counted, len(names))}
    if with_flips:
        gains["gain_of_flips"] = gain(rows[FLIPS], rows[OFFSETS], task.counted, len(names))
    return {
        "backbone": bundle.manifest.backbone,
        "calibration": {"temperature": calibration.temperature, "offsets": calibration.offsets},
        "ways": scored,
        **gains,
    }


def scores(rows: Rows, labels: Sequence[str], counted: tuple[int, ...]) -> dict[str, Any]:
    """Return the Dice of the counted labels together, and of each label alone."""
    confusion = analysis.take_apart(rows, len(labels)).confusion
    of_label = {n: mean_dice(confusion, (i,)) for i, n in enumerate(labels)}
    return {"dice": mean_dice(confusion, counted), "labels": of_label}


def mean_dice(confusion: Rows, counted: tuple[int, ...]) -> float:
    """Return the mean over pictures."""
    return float(np.nanmean(analysis.picture_dice(confusion, counted)))


def gain(
    better: Sequence[Rows], worse: Sequence[Rows], counted: tuple[int, ...], classes: int
) -> dict[str, Any]:
    """Return the mean paired difference in Dice with its bootstrap interval over the pictures."""
    sides = [
        analysis.picture_dice(analysis.take_apart(np.stack(one), classes).confusion, counted)
        for one in (better, worse)
    ]
    return gain_of(sides[0], sides[1])


if __name__ == "__main__":
    main()
