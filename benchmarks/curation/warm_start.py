"""A training that starts from a trained model, beside one that starts anew, when classes are added.

A third of each class is held out. A model of all classes but two learns the rest; then the pictures
of the two come in, and a training of all classes starts from that model, and one anew. Measured on
what was held out: accuracy on the old and on the new classes, and the time of the training.

    python benchmarks/curation/warm_start.py --set letters --seeds 3
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import foveal
from holdout import hold_out, list_items, thin, write_folders
from outcome import Outcome, add_out, note, report, shared

_SHARE = 1 / 3
# Pictures of each class: enough for a comparison in minutes.
_MOST = {"letters": None, "cifar10": 300}


def measured(model: foveal.Model, data: Path, new: set[str]) -> dict[str, float]:
    """Return the accuracy on the old and on the new classes, over the held-out pictures."""
    evaluation = model.evaluate(data, verbose=False)
    raws = [(sample.raw or ("",))[0] in new for sample in evaluation.measured.samples]
    is_new = np.array(raws)
    right = np.asarray(evaluation.correct, np.float64)
    return {
        "old": float(right[~is_new].mean()),
        "new": float(right[is_new].mean()) if is_new.any() else float("nan"),
    }


def one(name: str, classes: int, seed: int, work: Path) -> dict[str, dict[str, float]]:
    """Train the three models of one seed, and measure them."""
    rng = np.random.default_rng(seed)
    items = thin(list_items(shared(name)), _MOST[name])
    everything = sorted({item.label for item in items})
    labels = sorted(rng.choice(everything, min(classes, len(everything)), replace=False).tolist())
    items = [item for item in items if item.label in labels]
    kept, held = hold_out(items, _SHARE, seed)
    new = set(rng.choice(labels, 2, replace=False).tolist())
    write_folders([item for item in kept if item.label not in new], work / "before")
    write_folders(kept, work / "after")
    write_folders(held, work / "held")
    write_folders([item for item in held if item.label not in new], work / "held-before")
    settings: dict[str, Any] = {"out": work / "runs", "seed": seed, "verbose": False}

    results: dict[str, dict[str, float]] = {}
    old = foveal.train(work / "before", name="before", **settings)
    results["before"] = measured(old, work / "held-before", new)
    for what, more in (("anew", {}), ("warm", {"start_from": old})):
        begun = time.perf_counter()
        model = foveal.train(work / "after", name=what, **more, **settings)
        took = time.perf_counter() - begun
        results[what] = {**measured(model, work / "held", new), "seconds": took}
    return results


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=sorted(_MOST), default="letters")
    parser.add_argument("--classes", type=int, default=26, help="so many of the set, by lot")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    add_out(parser)
    options = parser.parse_args()
    found: list[dict[str, dict[str, float]]] = []
    for seed in range(options.first, options.first + options.seeds):
        with tempfile.TemporaryDirectory() as work:
            found.append(one(options.set, options.classes, seed, Path(work)))
        note(f"seed {seed}: {found[-1]}")
    outcomes = []
    for part in ("old", "new"):
        differences = tuple(each["warm"][part] - each["anew"][part] for each in found)
        outcomes.append(
            Outcome(
                claim=f"warm start, {options.set}, {part} classes",
                what=f"accuracy of a warm start minus that of a training anew on {part} classes, "
                f"of {options.classes}",
                unit="share",
                values=differences,
                target=None,
                detail={"runs": found},
            )
        )
    outcomes.append(
        Outcome(
            claim=f"warm start, {options.set}, time",
            what="time of a training anew over that of a warm start",
            unit="ratio",
            values=tuple(each["anew"]["seconds"] / each["warm"]["seconds"] for each in found),
            target=None,
        )
    )
    for outcome in outcomes:
        report(outcome, options.out)


if __name__ == "__main__":
    main()
