"""Flipped labels: how many are found, beside cleanlab, and whether a score is the chance it says.

5, 10 and 20 % of the labels of a set are flipped, at random and along the confusions of a model
(with two classes that is the same). Ranked are all pictures by the chance of a wrong label. What is
wrong in the sets themselves counts against everybody; laptop_phone, which is noisy, is also given
without the pictures that are doubted (0.3 or more) before any label is flipped.

    python benchmarks/curation/label_suspects.py --cleanlab-python VENV/bin/python
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from foveal.checks import CheckInput
from foveal.checks.answering import answer_out_of_fold
from foveal.checks.noise import fit_noise
from foveal.console import NoProgress
from foveal.curation.workspace import Workspace
from foveal.data.cache import Cache
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.layouts import open_source
from foveal.data.measures import SIDE
from foveal.data.resemblance import find_copies
from foveal.data.split import find_units
from foveal.metrics import wilson
from foveal.pipeline import Pipeline
from foveal.recipe import Recipe
from foveal.workflow.features import answer, compute
from other_program import Other
from outcome import Outcome, add_out, note, report, shared

# Of every set, each n-th picture.
_SETS = {"cats_dogs": 1, "cifar10": 5, "letters": 1, "laptop_phone": 1}
_RATES = (0.05, 0.1, 0.2)
_DOUBTED = 0.3
_BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.01)
# Numbers of the backbone's last level, the last of a row: what its users take for features.
_LAST = 1280

Ints = NDArray[np.int64]


def main() -> None:
    """Measure every set and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(parser)
    parser.add_argument("--cleanlab-python", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sets", nargs="+", default=list(_SETS))
    arguments = parser.parse_args()
    other = Other(arguments.cleanlab_python, ("cleanlab", "sklearn"))
    other.check()
    for name in arguments.sets:
        rows, reliability = measure(name, other, arguments.seeds)
        report(
            Outcome(
                claim=f"label_suspects_{name}",
                what="flipped labels among as many suspects, over all rates and seeds",
                unit="share",
                values=tuple(row["foveal"]["precision"] for row in rows),
                target=None,
                detail={
                    "trials": rows,
                    "reliability": reliability,
                    "cleanlab": other.version("cleanlab"),
                },
            ),
            arguments.out,
        )


def measure(name: str, other: Other, seeds: int) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return what was found in each trial, and per bin of the score: said, wrong, number."""
    rows, raw, truth, units = look(name)
    classes = int(truth.max()) + 1
    clean, _, chances = judge(rows, truth, units)
    doubted = clean >= _DOUBTED
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (truth, chances.argmax(axis=1)), 1)
    trials = [
        (rate, kind, seed)
        for rate in _RATES
        for kind in (("random", "confusion") if classes > 2 else ("random",))
        for seed in range(seeds)
    ]
    given: dict[str, Any] = {"count": len(trials), "features": raw}
    ours = []
    for number, (rate, kind, seed) in enumerate(trials):
        labels, flipped = flip(truth, rate, confusion if kind == "confusion" else None, seed)
        wrong, label, chances = judge(rows, labels, units)
        ours.append((flipped, wrong, label))
        given |= {f"labels{number}": labels, f"chances{number}": chances}
        if seed == 0:
            given[f"logistic{number}"] = True
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "trials.npz", **given)
        theirs, _ = other.run("cleanlab_labels.py", Path(folder) / "trials.npz")
    found = []
    for trial, (flipped, wrong, label), their in zip(trials, ours, theirs, strict=True):
        row: dict[str, Any] = dict(zip(("rate", "kind", "seed"), trial, strict=True))
        row["foveal"] = score(wrong, flipped, label, truth)
        row["foveal_without_doubted"] = score(
            np.where(doubted & ~flipped, -1, wrong), flipped, label, truth
        )
        for method in ("self_confidence", "normalized_margin", "logistic"):
            if method in their:
                guess = np.array(their["logistic_label"]) if method == "logistic" else label
                row[method] = score(-np.array(their[method]), flipped, guess, truth)
        found.append(row)
        note(f"{name} {row}")
    wrong = np.concatenate([one[1] for one in ours])
    flipped = np.concatenate([one[0] for one in ours])
    place = np.digitize(wrong, _BINS) - 1
    reliability = [
        (float(wrong[at].mean()), float(flipped[at].mean()), int(at.sum()))
        for at in (place == i for i in range(len(_BINS) - 1))
        if at.any()
    ]
    note(f"{name} said, flipped, n: {reliability}")
    return found, reliability


def look(name: str) -> tuple[NDArray[np.float32], NDArray[np.float32], Ints, Ints]:
    """Return compressed features, those of the last level, labels and units of a set."""
    folder = shared(name)
    source = open_source(folder)
    source = replace(source, samples=source.samples[:: _SETS[name]])
    with tempfile.TemporaryDirectory() as place:
        scan = Cache.build(
            source,
            Pipeline(32, 32),
            Path(place) / "cache",
            DEFAULT_LIMITS,
            workers=2,
            progress=NoProgress(),
            side=SIDE,
        ).scan
        everything = np.arange(len(source.samples), dtype=np.int64)
        copies = find_copies(source.samples, scan, everything, "labels", 2)
        units = find_units(source.samples, scan, everything, 2, "labels", copies).first
        looked = CheckInput(
            source.samples, scan, np.zeros(len(everything), np.int8), 2, copies=copies
        )
        cache = Workspace.of(folder).cache
        features = answer(looked, source, Recipe(), cache, NoProgress()).features
        kept = compute(source, scan.digest, scan.ok, DEFAULT_LIMITS, cache, NoProgress())
        raw = kept.read(scan.digest)[:, -_LAST:]
    if features is None:
        raise SystemExit(f"{name} has no features")
    _, truth = np.unique([(s.raw or ("",))[0] for s in source.samples], return_inverse=True)
    return features, raw, truth.astype(np.int64), units


def judge(
    rows: NDArray[np.float32], labels: Ints, units: Ints
) -> tuple[NDArray[np.float32], Ints, NDArray[np.float32]]:
    """Return the chance that each label is wrong, the class that it looks like, all chances."""
    answers = answer_out_of_fold(rows, [(f"{label:04}",) for label in labels], units)
    if answers is None:
        raise SystemExit("too few pictures")
    noise = fit_noise(np.log(answers.scores + 1e-9), labels, temperatures=(1.0,))
    return noise.wrong, noise.other, answers.scores


def flip(
    truth: Ints, rate: float, confusion: NDArray[np.float64] | None, seed: int
) -> tuple[Ints, NDArray[np.bool_]]:
    """Return labels with a share of them flipped, and which."""
    rng = np.random.default_rng(seed)
    classes = int(truth.max()) + 1
    labels, flipped = truth.copy(), np.zeros(len(truth), np.bool_)
    flipped[rng.choice(len(truth), round(rate * len(truth)), replace=False)] = True
    for i in np.flatnonzero(flipped).tolist():
        # A class that is never taken for another one is flipped at random.
        shares = np.ones(classes) if confusion is None else confusion[truth[i]] + 1e-6
        shares[truth[i]] = 0
        labels[i] = rng.choice(classes, p=shares / shares.sum())
    return labels, flipped


def score(
    suspicion: NDArray[Any], flipped: NDArray[np.bool_], label: Ints, truth: Ints
) -> dict[str, Any]:
    """Return precision at the number of flips, recall at 1.5 times it, and right suggestions."""
    count = int(flipped.sum())
    order = np.argsort(-suspicion, kind="stable")
    hits = order[:count][flipped[order[:count]]]
    recalled = int(flipped[order[: round(1.5 * count)]].sum())
    return {
        "n": count,
        "precision": len(hits) / count,
        "precision_interval": wilson(len(hits), count),
        "recall": recalled / count,
        "suggestion": float((label[hits] == truth[hits]).mean()) if len(hits) else None,
    }


if __name__ == "__main__":
    main()
