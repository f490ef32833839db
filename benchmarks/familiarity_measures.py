"""Measures of how unfamiliar a picture is, on the features of the pretrained default backbone.

Nothing is trained: what a model with frozen features would judge. Familiar are held-out pictures
of a set, foreign are the other sets, noise and blank pictures. Each measure is given the same
training pictures and a share of the familiar ones that its limit may refuse; no foreign picture
enters it.

    python benchmarks/familiarity_measures.py --sets hymenoptera
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps

from foveal.models.backbone import Backbone, BackboneSpec
from foveal.models.backbones import resolve_backbone
from foveal.models.familiarity import fit_familiarity, statistics, upper_limit
from outcome import Outcome, add_out, note, report
from unfamiliar import FOREIGN, auc, draw_blank, draw_noise, foreign_files, some

SIDE = 160
SHARES = (0.01, 0.02)
# Parts of the training pictures, each left out once where a limit is chosen.
FOLDS = 3
# Directions of a Mahalanobis distance that have a variance of their own.
DIRECTIONS = 64
TINY = 1e-6

Values: TypeAlias = NDArray[np.float64]
# What is compared of each level: means of the channels over all positions, then root mean squares.
# After the levels the texture, as `statistics` gives it.
Rows: TypeAlias = list[NDArray[np.float32]]
# Distances of rows from training rows, by one level or more: (levels, rows).
Measure: TypeAlias = Callable[[Rows, Rows], Values]
# The unfamiliarity of rows, which is 1 at the limit.
Judgement: TypeAlias = Callable[[Rows], Values]
# A judgement fitted to training rows, with the share of pictures like these that it may refuse.
Fit: TypeAlias = Callable[[Rows, float], Judgement]


@dataclass(frozen=True)
class Nearest:
    """The distance to the `neighbour`-th nearest direction, of some levels counted from the last.

    Attributes:
        neighbour: 1 for the nearest.
        levels: How many, None for all.
        power: What the means are raised to.
    """

    neighbour: int
    levels: int | None
    power: float

    def __call__(self, training: Rows, rows: Rows) -> Values:
        """Return the distances of rows, one row for each level."""
        pairs = list(zip(training, rows, strict=True))[-(self.levels or len(training)) :]
        return np.stack([self.of_level(known, asked) for known, asked in pairs])

    def of_level(self, known: NDArray[np.float32], asked: NDArray[np.float32]) -> Values:
        """Return the distances at one level."""
        nearness = self.direction(asked) @ self.direction(known).T
        nearest = np.partition(nearness, -self.neighbour, axis=1)[:, -self.neighbour]
        return np.sqrt(np.maximum(TINY, 2 - 2 * nearest))

    def direction(self, rows: NDArray[np.float32]) -> Values:
        """Return the powers of the means as rows of length one."""
        means = rows[:, : rows.shape[1] // 2].astype(np.float64)
        powers = np.sign(means) * np.abs(means) ** self.power
        return np.asarray(powers / np.maximum(TINY, np.linalg.norm(powers, axis=1, keepdims=True)))


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
            what="foreign pictures found by what ships, mean over foreign sets",
            unit="share",
            values=tuple(table["as shipped"][first] for table in tables.values()),
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
    found: dict[str, list[dict[str, float]]] = {measure: [] for measure in MEASURES}
    for seed in range(arguments.splits):
        order = np.random.default_rng(seed).permutation(len(own[0]))
        training = pick(own, order[: arguments.training])
        held_out = pick(own, order[arguments.training :])
        for measure in MEASURES:
            found[measure].append(results(measure, training, held_out, foreign))
    table = {
        measure: {key: fmean(row[key] for row in rows) for key in rows[0]}
        for measure, rows in found.items()
    }
    for measure, row in table.items():
        note(f"{name} / {measure}: { {key: round(value, 3) for key, value in row.items()} }")
    return table


def results(name: str, training: Rows, held_out: Rows, foreign: dict[str, Rows]) -> dict[str, Any]:
    """Return AUC, and the shares that are called unfamiliar for each share that may be refused."""
    row: dict[str, float] = {}
    for share in SHARES:
        judgement = MEASURES[name](training, share)
        near = judgement(held_out)
        far = {kind: judgement(rows) for kind, rows in foreign.items()}
        row[f"refused at {share:g}"] = float((near > 1).mean())
        row[f"unfamiliar at {share:g}"] = fmean(
            float((values > 1).mean()) for values in far.values()
        )
        row["auc"] = fmean(auc(list(v), list(near)) for v in far.values())
    return row


def shipped(training: Rows, share: float) -> Judgement:
    """Return the judgement that ships; a fifth of the pictures stands for validation."""
    count = len(training[0]) // 5
    known = pooled(training)
    fitted = fit_familiarity(
        [rows[count:] for rows in known],
        np.arange(len(training[0]) - count),
        [rows[:count] for rows in known],
        refused=share,
    )

    def unfamiliarity(rows: Rows) -> Values:
        with torch.inference_mode():
            pairs = zip(fitted.levels, pooled(rows), strict=True)
            levels = [level(own) for level, own in pairs]
        return torch.stack(levels).amax(dim=0).double().numpy()

    return unfamiliarity


def by_levels(measure: Measure) -> Fit:
    """Judge by the largest distance in units of its limit, chosen with thirds left out."""

    def fit(training: Rows, share: float) -> Judgement:
        training = training[:-1]
        known = cross_fitted(measure, training)
        limits = np.array([upper_limit(row, share / len(known)) for row in known])
        limits *= upper_limit((known / limits[:, None]).max(axis=0), share)

        def unfamiliarity(rows: Rows) -> Values:
            return np.asarray((measure(training, rows[:-1]) / limits[:, None]).max(axis=0))

        return unfamiliarity

    return fit


def mahalanobis(training: Rows, rows: Rows) -> Values:
    """Return the distances that decision 0017 took: roots of means and root mean squares."""
    pairs = zip(training, rows, strict=True)
    return np.stack([mahalanobis_of_level(roots(known), roots(asked)) for known, asked in pairs])


def mahalanobis_of_level(known: Values, asked: Values) -> Values:
    """Return the distances at one level: a few directions, and one variance for the others."""
    spread = known.std(axis=0, ddof=1)
    spread = np.maximum(spread, 0.01 * np.median(spread) + TINY)
    standard, others = (known - known.mean(axis=0)) / spread, (asked - known.mean(axis=0)) / spread
    channels = known.shape[1]
    _, sizes, directions = np.linalg.svd(standard, full_matrices=False)
    kept = min(DIRECTIONS, len(known) - 1, channels)
    variances, directions = sizes[:kept] ** 2 / len(known), directions[:kept].T
    total = (standard**2).sum() / len(known)
    rest = max(0.0, total - variances.sum()) / max(1, channels - kept)
    shrunk = 0.98 * np.append(variances, rest) + 0.02 * total / channels + TINY
    along = others @ directions
    left = ((others - along @ directions.T) ** 2).sum(axis=1) / shrunk[-1]
    return np.maximum(TINY, np.sqrt(((along**2 / shrunk[:-1]).sum(axis=1) + left) / channels))


MEASURES: dict[str, Fit] = {
    "as shipped": shipped,
    "third nearest, last level": by_levels(Nearest(3, 1, 0.5)),
    "nearest, all levels": by_levels(Nearest(1, None, 0.5)),
    "third nearest, all levels, means": by_levels(Nearest(3, None, 1.0)),
    "nearest, last level, means": by_levels(Nearest(1, 1, 1.0)),
    "Mahalanobis, all levels": by_levels(mahalanobis),
}


def cross_fitted(measure: Measure, training: Rows) -> Values:
    """Return the distances of each training picture from the others, a third left out at a time."""
    parts = np.random.default_rng(0).permutation(len(training[0])) % FOLDS
    found = [measure(pick(training, parts != p), pick(training, parts == p)) for p in range(FOLDS)]
    distances = np.empty((len(found[0]), len(parts)))
    for part, values in enumerate(found):
        distances[:, parts == part] = values
    return distances


def roots(rows: NDArray[np.float32]) -> Values:
    """Return the roots of means and of root mean squares."""
    return np.asarray(np.sign(rows) * np.sqrt(np.abs(rows)), np.float64)


def pooled(rows: Rows) -> list[torch.Tensor]:
    """Return what `foveal.models.familiarity.pool` gives."""
    *levels, texture = rows
    means = [level[:, : level.shape[1] // 2] for level in levels]
    return [torch.from_numpy(roots(part)).float() for part in (texture, *means)]


def pick(rows: Rows, which: NDArray[Any]) -> Rows:
    """Return some pictures of all levels."""
    return [level[which] for level in rows]


def features(network: Backbone, spec: BackboneSpec, pictures: Sequence[NDArray[np.uint8]]) -> Rows:
    """Return means and root mean squares of each level, and the texture."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (spec.mean, spec.std))
    rows: list[list[torch.Tensor]] = []
    for start in range(0, len(pictures), 16):
        images = torch.from_numpy(np.stack(pictures[start : start + 16]))
        with torch.inference_mode():
            levels = network((images.permute(0, 3, 1, 2).float() - mean) / std)
            texture, *means = statistics(levels)
            squares = [maps.square().mean((2, 3)).sqrt() for maps in levels]
            pairs = zip(means, squares, strict=True)
            rows.append([*(torch.cat(pair, 1) for pair in pairs), texture])
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
