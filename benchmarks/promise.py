"""How often is the promise of `unsure` broken on pictures that were held out?

    python benchmarks/promise.py [--data ../shared/data/cifar10] [--repeats 200] [--part held-out]

Two parts. Simulated: answers of known accuracy, so that the promise can be checked exactly. Real:
ImageNet features of CIFAR-10 pictures; for each repeat a linear classifier is trained on some
pictures, its epoch is chosen on validation, temperature and limit are fitted there, and the promise
is checked on all others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from foveal import metrics
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.source import ReadAnything
from foveal.evaluate.baseline import compare_baseline
from foveal.evaluate.limit import LEAST_SHOWN, below, calibrate_limit
from foveal.models.backbones import BACKBONES
from foveal.tasks.classify.task import ClassifyTask
from foveal.types import Frame, Labels
from foveal.workflow.sources import open_as

WANTED = 0.99
FRAME = Frame((8, 8), (8, 8), (1.0, 1.0), (0.0, 0.0))
SIZES = (20, 48, 150, 500, 2000)
KINDS = {
    "strong": lambda rank: 1 - 0.02 * rank**4,
    "good": lambda rank: 1 - 0.12 * rank**3,
    "middling": lambda rank: 1 - 0.3 * rank,
    "half certain": lambda rank: np.where(rank < 0.5, 0.999, 0.7),
    "95 %, uninformative": lambda rank: np.full_like(rank, 0.95),
    "81 %, uninformative": lambda rank: np.full_like(rank, 0.81),
    "overconfident": lambda rank: 0.6 + 0.4 * rank,
    "wrong where surest": lambda rank: np.where(rank < 0.05, 0.5, 1 - 0.1 * rank),
    "coin flip": lambda rank: np.full_like(rank, 0.5),
}


def simulate(repeats: int) -> None:
    """Print broken promises, what is promised and what is answered, by kind and size."""
    print("| answers | validation | broken | promised | answered | usable |")
    print("|---|---|---|---|---|---|")
    grid = (np.arange(20_000) + 0.5) / 20_000
    for kind, accuracy_at in KINDS.items():
        kept_accuracy = np.cumsum(accuracy_at(grid)) / np.arange(1, grid.size + 1)
        for size in SIZES:
            generator = np.random.default_rng([size, len(kind)])
            broken, promised, answered = 0, [], []
            for _ in range(repeats):
                rank = generator.random(size)
                right = generator.random(size) < accuracy_at(rank)
                limit = metrics.choose_limit(1 - rank, right, WANTED, least=LEAST_SHOWN)
                if limit.shown < LEAST_SHOWN:
                    continue
                place = min(grid.size - 1, int((1 - limit.threshold) * grid.size))
                broken += kept_accuracy[place] < limit.shown - 1e-9
                promised.append(limit.shown)
                answered.append(limit.kept / size)
            _row(kind, size, repeats, broken, promised, answered)


def held_out(data: Path, repeats: int) -> None:
    """Print the same for real classifiers of real pictures."""
    features, classes = _features(data)
    count = int(classes.max()) + 1
    task = ClassifyTask.bind(Labels(tuple(f"{i:02d}" for i in range(count))), {})
    print("\n| classes, trained on | validation | broken | promised | answered | usable |")
    print("|---|---|---|---|---|---|")
    for chosen, train in ((2, 60), (2, 400), (10, 200), (10, 2000)):
        own = np.flatnonzero(classes < chosen)
        part = ClassifyTask.bind(Labels(task.labels.names[:chosen]), {})
        for size in (20, 48, 150, 500):
            generator = np.random.default_rng([chosen, train, size])
            broken, promised, answered = 0, [], []
            for _ in range(repeats):
                order = generator.permutation(own)
                parts = np.split(order, [train, train + size])
                logits = _train(features, classes, parts[0], parts[1], chosen)
                outcome = _promise(part, logits, classes, parts[1], parts[2])
                if outcome is None:
                    continue
                broken += outcome[0] < outcome[1]
                promised.append(outcome[1])
                answered.append(outcome[2])
            _row(f"{chosen}, {train} pictures", size, repeats, broken, promised, answered)


def _promise(
    task: ClassifyTask,
    logits: NDArray[np.float32],
    classes: NDArray[np.int64],
    val: NDArray[np.int64],
    rest: NDArray[np.int64],
) -> tuple[float, float, float] | None:
    """Return the accuracy on the rest, what was promised, and the share that is answered."""
    names = task.labels.names
    raws = [(names[classes[i]],) for i in val]
    targets = [task.parse_target(raw) for raw in raws]
    batch = ({"logits": logits[val]}, [FRAME] * len(val))
    fitted = task.fit_calibration([batch], targets)
    answers = task.decode(*batch, fitted)
    rows = np.stack([task.measure(a, t) for a, t in zip(answers, targets, strict=True)])
    calibration = calibrate_limit(
        fitted,
        task,
        answers,
        raws,
        task.is_correct(rows),
        compare_baseline(task, raws, rows),
        WANTED,
    )
    if calibration.shown_accuracy is None:
        return None
    others = task.decode({"logits": logits[rest]}, [FRAME] * len(rest), fitted)
    sure = np.array([not a.unsure for a in below(others, calibration.unsure_below)])
    right = np.array([names[classes[i]] == a.label for i, a in zip(rest, others, strict=True)])
    return float(right[sure].mean()), calibration.shown_accuracy, float(sure.mean())


def _train(
    features: NDArray[np.float32],
    classes: NDArray[np.int64],
    train: NDArray[np.int64],
    val: NDArray[np.int64],
    count: int,
) -> NDArray[np.float32]:
    """Return the logits of the epoch that is best on validation, for all pictures."""
    inputs, truth = torch.from_numpy(features), torch.from_numpy(classes)
    layer = torch.nn.Linear(inputs.shape[1], count)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=3e-3, weight_decay=1e-2)
    best, logits = -1.0, np.zeros((len(classes), count), np.float32)
    for _ in range(15):
        for batch in torch.randperm(len(train)).split(32):
            picks = train[batch.numpy()]
            loss = torch.nn.functional.cross_entropy(layer(inputs[picks]), truth[picks])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = float((layer(inputs[val]).argmax(1) == truth[val]).float().mean())
            if accuracy > best:
                best, logits = accuracy, layer(inputs).numpy()
    return logits


def _features(data: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return ImageNet features of the pictures, (N, C) with mean 0 and spread 1, and classes."""
    source = open_as(data, ReadAnything(target="labels"))
    names = sorted({(sample.raw or ("",))[0] for sample in source.samples})
    backbone = BACKBONES["efficientnet_lite0"].build("local").eval()
    kept = []
    with torch.inference_mode():
        for start in range(0, len(source.samples), 100):
            pictures = [
                source.load(sample, DEFAULT_LIMITS).picture.pixels
                for sample in source.samples[start : start + 100]
            ]
            batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
            # Twice the size: features of 32 px pictures are a single position.
            large = torch.nn.functional.interpolate(batch, scale_factor=2, mode="bilinear")
            kept.append(backbone((large - 127) / 128)[-1].mean(dim=(2, 3)).numpy())
    features = np.concatenate(kept)
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    classes = np.array([names.index((sample.raw or ("",))[0]) for sample in source.samples])
    return features.astype(np.float32), classes


def _row(
    kind: str, size: int, repeats: int, broken: int, promised: list[float], answered: list[float]
) -> None:
    usable = len(promised)
    middle = f"{100 * np.mean(promised):.1f} %" if usable else "-"
    share = f"{100 * np.mean(answered):.0f} %" if usable else "-"
    print(
        f"| {kind} | {size} | {100 * broken / repeats:.1f} % | {middle} | {share} "
        f"| {100 * usable / repeats:.0f} % |",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/cifar10"))
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--part", choices=("simulated", "held-out"), help="only this part")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.part != "held-out":
        simulate(arguments.repeats)
    if arguments.part != "simulated" and arguments.data.is_dir():
        held_out(arguments.data, arguments.repeats)
