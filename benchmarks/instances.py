"""PQ and AJI of objects from cores, against the connected patches of the same masks.

foveal trains with `task_options.instances` and answers held-out pictures. Its objects are compared
with the patches of its own masks, and with the patches of a network that was trained for as long
without cores. In the nuclei of segment_unet.py (monuseg) each true object is a patch of the mask:
nuclei that touch are one there, so that set says what is lost where truth is merged, not what is
gained. `--numbered` takes a folder with `images` and `masks` in which every object has a number;
every third picture is held out.

    python benchmarks/instances.py --minutes 4
    python benchmarks/instances.py --numbered FOLDER --minutes 2 --repeats 3 \
        --train-option=--image-size=128
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

import foveal_command
from foveal import metrics
from foveal.bundle import Bundle
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything
from foveal.predict import Predictor
from foveal.tasks.segment.instances import find_instances
from foveal.tasks.segment.matching import object_counts
from foveal.workflow.locate import find_model
from mask_scores import gain_of
from mask_sets import SETS, write_parts
from outcome import Outcome, add_out, note, report, seeds, shared
from reader_run import runs_folder

CORES, PATCHES, WITHOUT = "cores", "patches of the same masks", "trained without cores"
SCORES = ("pq", "sq", "rq", "aji")
Counts = NDArray[np.float64]


def main() -> None:
    """Measure the chosen set and report it."""
    arguments = parse_arguments()
    report(measure(arguments), arguments.out)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--numbered", type=Path, default=None, help="pictures with numbered objects")
    made.add_argument("--minutes", type=float, default=4.0, help="of each training")
    made.add_argument("--repeats", type=int, default=1, help="trainings, each with its seed")
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--runs", type=Path, default=None, help="keep the runs in this folder")
    made.add_argument("--train-option", action="append", default=[], metavar="ARG")
    return made.parse_args()


def measure(arguments: argparse.Namespace) -> Outcome:
    """Train with and without cores for each seed, and score the objects."""
    pictures, kind = SETS[0], "patches"
    root = None if arguments.numbered else shared(pictures.data, arguments.data)
    if arguments.numbered:
        pictures = replace(pictures, claim="numbered", what=f"objects in {arguments.numbered.name}")
        root, kind = arguments.numbered, "objects"
    trials: list[dict[str, Any]] = []
    with runs_folder(arguments) as place:
        folder = Path(place).resolve() / pictures.claim
        _, test = write_parts(pictures, root or Path(), folder)
        for seed in seeds(arguments.repeats, arguments.first_seed):
            with_cores = trained(folder, kind, seed, arguments)
            without = trained(folder, "none", seed, arguments, numbered=bool(arguments.numbered))
            found = {
                **objects_of(with_cores, folder / "test", kind),
                WITHOUT: objects_of(without, folder / "test", kind)[PATCHES],
            }
            trials.append(
                {
                    "seed": seed,
                    "scores": {way: scores(counts) for way, counts in found.items()},
                    "gain": {name: gain(found[CORES], found[PATCHES], name) for name in SCORES},
                }
            )
            note(f"  seed {seed}: {trials[-1]['scores']}")
    return Outcome(
        claim=f"instances_{pictures.claim}_pq",
        what=f"PQ, mean over the pictures, of {pictures.what} after {arguments.minutes:g} minutes: "
        "objects from cores minus patches of the same masks",
        unit="points",
        values=tuple(100 * trial["gain"]["pq"]["mean"] for trial in trials),
        target=0.0,
        detail={
            "test": [path.name for path in test],
            "options": arguments.train_option,
            "trials": trials,
        },
    )


def trained(
    folder: Path, kind: str, seed: int, arguments: argparse.Namespace, *, numbered: bool = False
) -> Bundle:
    """Train on the training part; numbered masks without cores are read as 0 and 1 first."""
    data = merged(folder / "train") if numbered else folder / "train"
    options = ["--task", "segment", "--budget", f"{60 * arguments.minutes:g}s", "--seed", str(seed)]
    options += ["--set", f"task_options.instances={kind}", *arguments.train_option]
    done = foveal_command.train(data, folder / "runs", f"{kind}-{seed}", options)
    return find_model(Path(done.json["run"])).bundle


def merged(train: Path) -> Path:
    """Return a copy of numbered masks as 0 and 1, objects apart as `objects` has them."""
    folder = train.with_name("train-merged")
    source = open_source(train, ReadAnything(target="mask", objects=True))
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for sample in source.samples:
        picture = Path(sample.id)
        (folder / "images" / picture.name).write_bytes((train / sample.id).read_bytes())
        mask = PILImage.fromarray(source.mask(sample))
        mask.save(folder / "masks" / f"{picture.stem}.png")
    return folder


def objects_of(bundle: Bundle, test: Path, kind: str) -> dict[str, Counts]:
    """Return the counts of each test picture, (N, 6), of a bundle's objects and of its patches."""
    predictor = Predictor(bundle)
    names = predictor.task.labels.names
    objects = tuple(i for i, name in enumerate(names) if name != "background")
    source = open_source(test, ReadAnything(target="mask", objects=kind == "objects"))
    found: dict[str, list[Counts]] = {CORES: [], PATCHES: []}
    for sample in source.samples:
        truth = predictor.task.parse_target(source.classes, source.mask(sample))
        (answer,) = predictor.predict([source.open(sample, predictor.limits).raster])
        none = np.zeros(truth.shape, np.bool_)
        patches = find_instances(answer.mask, none, none.view(np.uint8), objects)
        ways = {PATCHES: patches}
        if answer.numbers is not None:
            ways[CORES] = (answer.instances, answer.numbers)
        for way, (each, numbers) in ways.items():
            counts = object_counts(each, numbers, truth, len(names), objects)
            found[way].append(counts[list(objects)].sum(axis=0))
    return {way: np.stack(counts) for way, counts in found.items() if counts}


def scores(counts: Counts) -> dict[str, float]:
    """Return the scores: means over pictures, and how many objects there are."""
    each = metrics.instance_scores(counts)
    means = {name: float(np.nanmean(each[name])) for name in SCORES}
    _, matched, false, missed, *_ = counts.sum(axis=0).tolist()
    return {**means, "true": matched + missed, "answered": matched + false, "matched": matched}


def gain(better: Counts, worse: Counts, name: str) -> dict[str, float]:
    """Return the mean paired difference with its bootstrap interval over the pictures."""
    sides = [metrics.instance_scores(counts)[name] for counts in (better, worse)]
    return gain_of(sides[0], sides[1])


if __name__ == "__main__":
    main()
