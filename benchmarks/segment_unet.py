"""Dice and pixel F1 at least those of a plain U-Net with the same encoder in the same minutes.

On tissue nuclei and on membranes in electron micrographs. A third is held out before either
program sees anything. foveal trains by its default recipe; the other one, baselines/plain_unet.py,
is a U-Net of segmentation-models-pytorch in the loop of its tutorial. Both have the same minutes of
training on the same cores, in turns, each in a process of its own. The plain one trains on all the
training pictures; foveal sets its own validation part aside from the very same, which is its
handicap. Masks of both are scored by the same code.

    python benchmarks/segment_unet.py
    python benchmarks/segment_unet.py --set isbi_membrane --minutes 2 --repeats 3
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image as PILImage

import foveal_command
from mask_scores import OURS, PLAIN, Rows, compare, score
from mask_sets import SETS, Pictures, write_parts
from outcome import Outcome, add_out, note, report, seeds, shared
from reader_run import runs_folder

SCRIPT = Path(__file__).with_name("baselines") / "plain_unet.py"
MINUTES = 8.0
# What is judged: each claim's ending → the metric that it is about.
JUDGED = {"dice": "dice", "f1": "f1_global"}
MEANING = {"dice": "Dice, mean over the pictures", "f1": "F1 of all pixels together"}

Run: TypeAlias = Callable[
    [Pictures, Path, int, argparse.Namespace],
    tuple[dict[str, NDArray[np.uint8]], dict[str, Any]],
]
"""Trains a program and answers the held-out pictures, as `run_foveal` does."""


def main() -> None:
    """Measure the chosen sets and report each."""
    arguments = parser((__doc__ or "").split("\n")[0]).parse_args()
    for pictures in SETS:
        if arguments.set in (None, pictures.data):
            for outcome in measure(pictures, arguments):
                report(outcome, arguments.out)


def parser(description: str) -> argparse.ArgumentParser:
    """Return the options of a benchmark that trains foveal and another program in turns."""
    made = argparse.ArgumentParser(description=description)
    add_out(made)
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--set", default=None, choices=[one.data for one in SETS])
    made.add_argument("--minutes", type=float, default=MINUTES, help="of either training")
    made.add_argument("--repeats", type=int, default=1, help="trainings, each with its seed")
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--runs", type=Path, default=None, help="keep runs and masks in this folder")
    made.add_argument(
        "--train-option",
        action="append",
        default=[],
        metavar="ARG",
        help="passed on to foveal train (a quick try; the claim is for the default recipe)",
    )
    return made


def measure(pictures: Pictures, arguments: argparse.Namespace) -> list[Outcome]:
    """Train both in turns for each seed, score both, and return the claims."""
    everything = in_turns(pictures, arguments, PLAIN, run_plain, say)
    trials = everything["trials"]
    judged = [{"seed": trial["seed"], "scores": judged_scores(trial, "f1")} for trial in trials]
    return [
        outcome(pictures, "dice", trials, everything, arguments),
        # The rest stands in the line of Dice.
        outcome(pictures, "f1", trials, {"trials": judged}, arguments),
    ]


def in_turns(
    pictures: Pictures,
    arguments: argparse.Namespace,
    peer: str,
    run_peer: Run,
    say_scores: Callable[[Pictures, int, Mapping[str, Any]], None],
) -> dict[str, Any]:
    """Train foveal and another program in turns for each seed, and score both.

    Args:
        pictures: The set; a part of it is held out.
        arguments: Options, as of `parser`.
        peer: Name of the other program in the order and the facts of a trial.
        run_peer: Trains it and answers the held-out pictures, as `run_foveal` does.
        say_scores: Told the scores of each seed.

    Returns:
        `train` and `test`, names of pictures, and `trials`; in their scores, as `compare` gives
        them, the other program is called `PLAIN`.
    """
    trials: list[dict[str, Any]] = []
    works = {OURS: run_foveal, peer: run_peer}
    with runs_folder(arguments) as place:
        folder = Path(place).resolve() / pictures.claim
        train, test = write_parts(pictures, shared(pictures.data, arguments.data), folder)
        for number, seed in enumerate(seeds(arguments.repeats, arguments.first_seed)):
            sides = (OURS, peer) if number % 2 == 0 else (peer, OURS)
            facts: dict[str, dict[str, Any]] = {}
            rows: dict[str, Rows] = {}
            for side in sides:
                masks, facts[side] = works[side](pictures, folder, seed, arguments)
                rows[side] = score(pictures, masks, test)
            scores = compare(rows[peer], rows[OURS], pictures.labels)
            trials.append({"seed": seed, "order": sides, "scores": scores, **facts})
            say_scores(pictures, seed, scores)
    return {
        "train": [path.name for path in train],
        "test": [path.name for path in test],
        "trials": trials,
    }


def outcome(
    pictures: Pictures,
    ending: str,
    trials: Sequence[dict[str, Any]],
    detail: Mapping[str, Any],
    arguments: argparse.Namespace,
) -> Outcome:
    """Return one claim: foveal's metric minus the plain U-Net's, in points of a hundred."""
    differences = [judged_scores(trial, ending)["difference"]["value"] for trial in trials]
    return Outcome(
        claim=f"segment_{pictures.claim}_{ending}",
        what=f"{MEANING[ending]}, of {pictures.what}, after {arguments.minutes:g} minutes: "
        "default recipe minus a plain U-Net with the same encoder weights",
        unit="points",
        values=tuple(100 * difference for difference in differences),
        target=0.0,
        detail={
            "options": arguments.train_option,
            "minutes": arguments.minutes,
            "positive_of_plain": pictures.classes[pictures.positive],
            "segmentation_models_pytorch": version("segmentation-models-pytorch"),
            **detail,
        },
    )


def judged_scores(trial: Mapping[str, Any], ending: str) -> dict[str, Any]:
    """Return the metric of a claim with its intervals: of both programs, and their difference."""
    scores = trial["scores"]
    return {side: scores[side][JUDGED[ending]] for side in (OURS, PLAIN, "difference")}


def run_foveal(
    pictures: Pictures, folder: Path, seed: int, arguments: argparse.Namespace
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, Any]]:
    """Train foveal and answer the test pictures by its bundle.

    Returns:
        (stem of a test picture → (H, W) positions in `pictures.labels`, facts of the training).
    """
    line = ["--task", "segment", "--budget", f"{60 * arguments.minutes:g}s", "--seed", str(seed)]
    name = f"{pictures.claim}-{seed}"
    trained = foveal_command.train(
        folder / "train", folder / "runs", name, [*line, *arguments.train_option]
    )
    run = Path(trained.json["run"])
    records, predict_s = predict(run, folder / "test" / "images", folder / f"{OURS}-{seed}")
    facts = run_facts(run) | {
        "run": run.name,
        "validation": trained.json["metrics"],
        "wall_s": round(trained.wall_s, 2),
        "predict_wall_s": round(predict_s, 2),
    }
    return {Path(one["source"]).stem: answer_of(one, pictures.labels) for one in records}, facts


def predict(run: Path, images: Path, out: Path) -> tuple[list[dict[str, Any]], float]:
    """Answer a folder by `foveal predict` and return (its records, seconds of the process)."""
    line = foveal_command.command("predict", run, images, "--out", out, "--json", "--quiet")
    start = time.perf_counter()
    done = _run(line)
    return [json.loads(text) for text in done.splitlines()], time.perf_counter() - start


def answer_of(record: Mapping[str, Any], labels: Sequence[str]) -> NDArray[np.uint8]:
    """Return the mask of a record of `foveal predict`, (H, W) positions in `labels`."""
    own = [found["name"] for found in record["classes"]]
    table = np.array([labels.index(name) for name in own], np.uint8)
    with PILImage.open(record["mask"]["path"]) as mask:
        return np.asarray(table[np.asarray(mask)])


def run_facts(run: Path) -> dict[str, Any]:
    """Return how a run of foveal was trained: network, epochs, crops seen, seconds of the fit."""
    with (run / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    manifest = json.loads((run / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    steps = int(rows[-1]["step"]) if rows else 0
    return {
        "backbone": recipe["model"]["backbone"],
        "task_options": manifest["task_options"],
        "pipeline": manifest["pipeline"],
        "calibration": manifest["calibration"],
        "train": manifest["data"]["train"],
        "val": manifest["data"]["val"],
        "epochs": len(rows),
        "steps": steps,
        "crops": steps * recipe["train"]["batch_size"],
        "fit_s": round(sum(float(row["seconds"]) for row in rows), 2),
    }


def run_plain(
    pictures: Pictures, folder: Path, seed: int, arguments: argparse.Namespace
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, Any]]:
    """Train the plain U-Net and answer the test pictures; see `run_foveal`."""
    out = folder / f"{PLAIN}-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    line = [sys.executable, SCRIPT, folder / "train", folder / "test" / "images", out]
    line += ["--minutes", arguments.minutes, "--positive", pictures.positive, "--seed", seed]
    start = time.perf_counter()
    done = _run([str(part) for part in line])
    wall_s = time.perf_counter() - start
    note(f"  trained the plain U-Net in {wall_s:.1f} s")
    facts: dict[str, Any] = json.loads(done.splitlines()[-1])
    return masks_in(out, pictures), facts | {"wall_s": round(wall_s, 2)}


def masks_in(out: Path, pictures: Pictures) -> dict[str, NDArray[np.uint8]]:
    """Return the masks that another program wrote: stem → (H, W) positions in the labels."""
    table = pictures.table()[[pictures.negative, pictures.positive]]
    masks = {}
    for path in sorted(out.iterdir()):
        with PILImage.open(path) as mask:
            masks[path.stem] = table[(np.asarray(mask) > 0).astype(np.uint8)]
    return masks


def _run(line: Sequence[str]) -> str:
    """Run a command and return what it printed.

    Raises:
        SystemExit: When it fails; with what it said.
    """
    env = foveal_command.environment()
    done = subprocess.run(line, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(line)}\nended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout.strip()


def say(pictures: Pictures, seed: int, scores: Mapping[str, Any]) -> None:
    """Say what came out on stderr."""
    for ending in JUDGED:
        ours, plain, gain = judged_scores({"scores": scores}, ending).values()
        note(
            f"  {pictures.claim} seed {seed}, {MEANING[ending]}: foveal {100 * ours['value']:.2f} %"
            f" ({100 * ours['low']:.2f} to {100 * ours['high']:.2f}), plain U-Net "
            f"{100 * plain['value']:.2f} % ({100 * plain['low']:.2f} to {100 * plain['high']:.2f})"
            f"; {100 * gain['value']:+.2f} points ({100 * gain['low']:+.2f} to "
            f"{100 * gain['high']:+.2f})"
        )


if __name__ == "__main__":
    main()
