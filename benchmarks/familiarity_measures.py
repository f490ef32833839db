"""Measures of how unfamiliar a picture is, on the features of the pretrained default backbone.

Nothing is trained: what a model with frozen features would judge. Familiar are held-out pictures
of a set, foreign are the other sets, noise and blank pictures. Each measure is given the same
training pictures and the same rule for its limit, which no foreign picture enters.

    python benchmarks/familiarity_measures.py --sets hymenoptera
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps

from foveal.models.backbone import Backbone, BackboneSpec
from foveal.models.backbones import resolve_backbone
from foveal.models.familiarity import Level, fit_familiarity, pool, upper_limit
from outcome import Outcome, add_out, note, report
from unfamiliar import FOREIGN, auc, draw_blank, draw_noise, foreign_files, some

SIDE = 160
SHARES = (0.01, 0.02)
NAMES = ("levels", "nearest direction", "sum of logarithms")
# Levels whose distances are added to the nearest direction, of six.
ADDED = (1, 2, 3)
FOLDS = 3
TINY = 1e-9

Values: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = list[NDArray[np.float32]]
Measure: TypeAlias = Callable[[Rows, Rows], Values]
# Distances of the training pictures, each left out once, and what judges others.
Fitted: TypeAlias = tuple[Values, Callable[[Rows], Values]]


def main() -> None:
    """Judge each set by each measure, and report the share of foreign pictures that is found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(parser)
    parser.add_argument("--data", type=Path, default=None, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", default=["hymenoptera", "laptop_phone", "cats_dogs"])
    parser.add_argument("--training", type=int, default=195, help="pictures to compare with")
    parser.add_argument("--held-out", type=int, default=49)
    parser.add_argument("--count", type=int, default=50, help="pictures of each foreign set")
    parser.add_argument("--splits", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = resolve_backbone("efficientnet_lite0")
    network = spec.build("local").eval()
    tables = {name: judge(name, spec, network, arguments) for name in arguments.sets}
    first = f"unfamiliar at {SHARES[0]:g}"
    report(
        Outcome(
            claim="familiarity_measures",
            what="foreign pictures found by the nearest direction, mean over foreign sets",
            unit="share",
            values=tuple(table["nearest direction"][first] for table in tables.values()),
            target=None,
            better="high",
            detail=tables,
        ),
        arguments.out,
    )


def judge(
    name: str, spec: BackboneSpec, network: Backbone, arguments: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Return what each measure finds and refuses, means over the splits."""
    rng = np.random.default_rng(0)

    def look(pictures: Sequence[NDArray[np.uint8]]) -> Rows:
        return features(network, spec, pictures)

    def chosen(other: str, count: int) -> Rows:
        return look([read(path) for path in some(foreign_files(other, arguments), count, rng)])

    own = chosen(name, arguments.training + arguments.held_out)
    foreign = {other: chosen(other, arguments.count) for other in FOREIGN if other != name}
    foreign["noise"] = look([draw_noise(rng, i, (SIDE, SIDE)) for i in range(30)])
    foreign["blank"] = look([draw_blank(rng, i, (SIDE, SIDE)) for i in range(20)])
    found: dict[str, list[dict[str, float]]] = {measure: [] for measure in NAMES}
    for seed in range(arguments.splits):
        order = np.random.default_rng(seed).permutation(len(own[0]))
        training = pick(own, order[: arguments.training])
        held_out = pick(own, order[arguments.training :])
        for measure in NAMES:
            found[measure].append(results(measure, training, held_out, foreign))
    table = {
        measure: {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}
        for measure, rows in found.items()
    }
    for measure, row in table.items():
        note(f"{name} / {measure}: { {key: round(value, 3) for key, value in row.items()} }")
    return table


def results(name: str, training: Rows, held_out: Rows, foreign: dict[str, Rows]) -> dict[str, Any]:
    """Return AUC, and the shares that are called unfamiliar for each share that may be refused."""
    if name == "levels":
        judged = [shipped(training, share) for share in SHARES]
        limits = [1.0] * len(SHARES)
    else:
        known, distance_of = (next_to if name == "nearest direction" else added)(training)
        judged = [distance_of] * len(SHARES)
        limits = [upper_limit(known, share) for share in SHARES]
    row: dict[str, float] = {}
    for share, distance, limit in zip(SHARES, judged, limits, strict=True):
        near = distance(held_out)
        far = {kind: distance(rows) for kind, rows in foreign.items()}
        row[f"refused at {share:g}"] = float((near > limit).mean())
        row[f"unfamiliar at {share:g}"] = statistics.fmean(
            float((values > limit).mean()) for values in far.values()
        )
        row["auc"] = statistics.fmean(auc(list(v), list(near)) for v in far.values())
    return row


def shipped(training: Rows, share: float) -> Callable[[Rows], Values]:
    """Return the judgement that ships; a fifth of the pictures stands for validation."""
    count = len(training[0]) // 5
    fitted = fit_familiarity(
        [torch.from_numpy(rows[count:]) for rows in training],
        np.arange(len(training[0]) - count),
        [torch.from_numpy(rows[:count]) for rows in training],
        refused=share,
    )

    def distance(rows: Rows) -> Values:
        with torch.inference_mode():
            levels = [
                level(torch.from_numpy(own)) for level, own in zip(fitted.levels, rows, strict=True)
            ]
        return torch.stack(levels).amax(dim=0).double().numpy()

    return distance


def nearest(training: Rows, rows: Rows) -> Values:
    """Return the chord to the nearest training picture: last level, means, length one."""
    known, asked = direction(training[-1]), direction(rows[-1])
    return np.sqrt(np.maximum(TINY, 2 - 2 * (asked @ known.T).max(axis=1)))


def next_to(training: Rows) -> Fitted:
    """Return the judgement by the nearest direction alone."""
    return cross_fitted(nearest, training), lambda rows: nearest(training, rows)


def added(training: Rows) -> Fitted:
    """Return the mean of standardised logarithms: the nearest direction and some levels."""
    measures: list[Measure] = [nearest, *map(level_distance, ADDED)]
    usual = [np.log(cross_fitted(measure, training)) for measure in measures]

    def together(logarithms: Sequence[Values]) -> Values:
        pairs = zip(logarithms, usual, strict=True)
        return np.exp(np.mean([(own - u.mean()) / u.std() for own, u in pairs], axis=0))

    def distance(rows: Rows) -> Values:
        return together([np.log(measure(training, rows)) for measure in measures])

    return together(usual), distance


def level_distance(number: int) -> Measure:
    """Return the Mahalanobis distance of one level."""

    def distance(training: Rows, rows: Rows) -> Values:
        with torch.inference_mode():
            level = Level.fit(torch.from_numpy(training[number]))
            found: Values = level(torch.from_numpy(rows[number])).double().numpy()
        return np.maximum(found, TINY)

    return distance


def cross_fitted(measure: Measure, training: Rows) -> Values:
    """Return the distance of each training picture from the others, a third left out at a time."""
    parts = np.random.default_rng(0).permutation(len(training[0])) % FOLDS
    distances = np.empty(len(parts))
    for part in range(FOLDS):
        inside, outside = pick(training, parts != part), pick(training, parts == part)
        distances[parts == part] = measure(inside, outside)
    return distances


def direction(rows: NDArray[np.float32]) -> Values:
    """Return the means among what `pool` gives, each row of length one."""
    means = rows[:, : rows.shape[1] // 2].astype(np.float64)
    return np.asarray(means / np.maximum(TINY, np.linalg.norm(means, axis=1, keepdims=True)))


def pick(rows: Rows, which: NDArray[Any]) -> Rows:
    """Return some pictures of all levels."""
    return [level[which] for level in rows]


def features(network: Backbone, spec: BackboneSpec, pictures: Sequence[NDArray[np.uint8]]) -> Rows:
    """Return what `pool` gives for each level."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (spec.mean, spec.std))
    rows: list[tuple[torch.Tensor, ...]] = []
    for start in range(0, len(pictures), 16):
        images = torch.from_numpy(np.stack(pictures[start : start + 16]))
        with torch.inference_mode():
            rows.append(pool(network((images.permute(0, 3, 1, 2).float() - mean) / std)))
    return [torch.cat(level).numpy() for level in zip(*rows, strict=True)]


def read(path: Path) -> NDArray[np.uint8]:
    """Return a picture of SIDE x SIDE px, padded in the median colour of its border."""
    with PILImage.open(path) as image:
        pixels = np.asarray(ImageOps.contain(image.convert("RGB"), (SIDE, SIDE)))
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    square = np.empty((SIDE, SIDE, 3), np.uint8)
    square[:] = np.median(border, axis=0)
    top, left = ((SIDE - side) // 2 for side in pixels.shape[:2])
    square[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return square


if __name__ == "__main__":
    main()
