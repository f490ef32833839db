"""Familiarity: the distance of a picture from the training pictures in feature space.

At each level of the backbone the mean and the root mean square of every channel over all positions
are compared with those of the training pictures, by the Mahalanobis distance: A Simple Unified
Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks, 2018,
https://arxiv.org/abs/1807.03888. Deviations, each measured (docs/decisions/0017): square roots of
both, whose distributions have shorter tails; one distribution for all classes; and instead of a
weighted sum over the levels, whose weights would have to be learnt from out-of-distribution
pictures, each level has its own limit, and exceeding one is enough. Early levels detect that a
picture is noise, empty or a drawing; late ones that it shows something else.

A given share of in-distribution pictures exceeds the limits by chance. They are estimated on
held-out pictures only, because a network is biased towards the pictures that it was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# Directions of the features that have a variance of their own; the others share one.
_DIRECTIONS = 64
# Of the variance of a direction, how much is taken from the mean over all directions: a variance
# that is estimated on few pictures is uncertain, and in many directions all but zero.
_SHRINKAGE = 0.02
# A channel that hardly ever fires would be divided by nothing.
_LEAST_SPREAD = 1e-2
_TINY = 1e-6
# Parts of the training pictures, each of which is left out once.
_FOLDS = 3


@final
class Familiarity(nn.Module):
    """Computes the distance of pictures from the training pictures: up to 1, a picture is familiar.

    Its parameters are part of the exported graph, but not of the saved weights, which determine
    them.

    Args:
        levels: One level for each feature map of the backbone.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Return (N,) float32, at least 0: the largest of the levels' distances.

        Args:
            features: Feature maps of the backbone, each (N, C_i, H_i, W_i).
        """
        pooled = pool(features)
        distances = [level(x) for level, x in zip(self.levels, pooled, strict=True)]
        return torch.stack(distances).amax(dim=0)


@final
class Level(nn.Module):
    """The distance at one level, in units of its limit.

    Args:
        centre: (C,) float32, means of the pooled features of the training pictures.
        scale: (C,) float32, 1 / their standard deviations.
        directions: (C, D) float32, orthonormal: the first principal components.
        precisions: (D,) float32, 1 / the variance along each, and last, (D + 1,), along all others.
        limit: Distance that is scaled to 1.
    """

    centre: Tensor
    scale: Tensor
    directions: Tensor
    precisions: Tensor

    def __init__(
        self,
        centre: Tensor,
        scale: Tensor,
        directions: Tensor,
        precisions: Tensor,
        limit: float = 1.0,
    ) -> None:
        super().__init__()
        numbers = {
            "centre": centre,
            "scale": scale,
            "directions": directions,
            "precisions": precisions,
        }
        for name, tensor in numbers.items():
            self.register_buffer(name, tensor.float(), persistent=False)
        self.limit = limit

    @classmethod
    def fit(cls, pooled: Tensor) -> Level:
        """Fit the distribution of the training pictures.

        Args:
            pooled: (N, C) float32, their output of `pool`; N at least 2.
        """
        rows = pooled.double()
        centre, spread = rows.mean(dim=0), rows.std(dim=0)
        spread = spread.clamp(min=float(_LEAST_SPREAD * spread.median()) + _TINY)
        rows = (rows - centre) / spread
        count, channels = rows.shape
        kept = min(_DIRECTIONS, count - 1, channels)
        variances, directions = _principal(rows, kept)
        total = float(rows.square().sum()) / count
        others = max(0.0, total - float(variances.sum())) / max(1, channels - kept)
        own = torch.cat([variances, variances.new_tensor([others])])
        shrunk = (1 - _SHRINKAGE) * own + _SHRINKAGE * total / channels + _TINY
        return cls(centre, 1 / spread, directions, 1 / shrunk)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return (N,) float32, at least 0.

        Args:
            pooled: (N, C) float32, output of `pool`.
        """
        standard = (pooled - self.centre) * self.scale
        along = standard @ self.directions
        rest = standard - along @ self.directions.T
        squares = (along.square() * self.precisions[:-1]).sum(dim=1)
        squares = squares + rest.square().sum(dim=1) * self.precisions[-1]
        return torch.sqrt(squares / pooled.shape[1]) / self.limit


def pool(features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the pooled statistics of each level, (N, 2 C) float32.

    The roots of the mean of each channel over all positions, and of its root mean square.

    Args:
        features: Feature maps, each (N, C, H, W).
    """
    return tuple(_moments(maps.float()) for maps in features)


def _moments(maps: Tensor) -> Tensor:
    # Not the standard deviation: its differences would have to be written to memory in between.
    means = maps.mean(dim=(2, 3), keepdim=True).flatten(1)
    squares = (maps * maps).mean(dim=(2, 3), keepdim=True).flatten(1)
    return torch.cat([torch.sign(means) * means.abs().sqrt(), squares.sqrt().sqrt()], dim=1)


def fit_familiarity(
    training: Sequence[Tensor],
    samples: NDArray[np.int64],
    held_out: Sequence[Tensor],
    *,
    refused: float,
) -> Familiarity:
    """Fit the distances to the training pictures, and the limits to held-out pictures.

    Args:
        training: Output of `pool` for windows of the training pictures, (N, C_i) for each level; N
            at least 2.
        samples: (N,) picture of each window.
        held_out: The same for held-out pictures, (M, C_i); M may be 0.
        refused: Share of in-distribution pictures that may be marked unfamiliar, in (0, 1).
    """
    levels = [Level.fit(rows) for rows in training]
    distances = np.stack(
        [
            _like_new(_cross_fitted(rows, samples), _distances(level, others))
            for level, rows, others in zip(levels, training, held_out, strict=True)
        ]
    )
    # Each level gets its part of the share; what pictures exceed several limits is given back.
    limits = np.array([upper_limit(row, refused / len(levels)) for row in distances])
    limits *= upper_limit((distances / limits[:, None]).max(axis=0), refused)
    for level, limit in zip(levels, limits.tolist(), strict=True):
        level.limit = limit
    return Familiarity(levels)


def upper_limit(distances: NDArray[np.float64], share: float) -> float:
    """Return the limit that a new distance exceeds with a probability of at most `share`.

    The order statistic that conformal prediction takes, which holds for any distribution: A Gentle
    Introduction to Conformal Prediction and Distribution-Free Uncertainty Quantification, 2021,
    https://arxiv.org/abs/2107.07511. If there are too few distances for it, the largest one or the
    prediction limit of a log-normal distribution, whichever is larger.

    Args:
        distances: (N,) distances, each above 0; N at least 2.
        share: Probability, in (0, 1).
    """
    ordered = np.sort(distances)
    count = len(ordered)
    rank = math.ceil((count + 1) * (1 - share))
    if rank <= count:
        return float(ordered[rank - 1])
    logs = np.log(ordered)
    width = _student(share, count - 1) * math.sqrt(1 + 1 / count)
    return max(float(ordered[-1]), math.exp(logs.mean() + width * logs.std(ddof=1)))


def _student(share: float, freedom: int) -> float:
    """Return the quantile of Student's t distribution that is exceeded with probability `share`.

    The first terms of its expansion, Handbook of Mathematical Functions, 1964, 26.7.5.
    """
    x = NormalDist().inv_cdf(1 - share)
    first = (x**3 + x) / 4
    second = (5 * x**5 + 16 * x**3 + 3 * x) / 96
    third = (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384
    return float(x + first / freedom + second / freedom**2 + third / freedom**3)


def _like_new(fitted: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances of pictures, corrected as if none had been trained on.

    Training pictures are nearer than new ones even to a distribution that leaves them out. The few
    new pictures determine by how much; the many training pictures determine the spread.

    Args:
        fitted: (N,) distances of training pictures from distributions that leave them out.
        new: (M,) distances of held-out pictures.
    """
    if not len(new):
        return fitted
    shift = max(0.0, float(np.log(new).mean() - np.log(fitted).mean()))
    return np.concatenate([fitted * math.exp(shift), new])


def _cross_fitted(rows: Tensor, samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the distance of each row from a distribution fitted without its picture, (N,)."""
    found, which = np.unique(samples, return_inverse=True)
    folds = np.random.default_rng(0).permutation(len(found)) % _FOLDS
    distances = np.empty(len(rows), np.float64)
    for fold in np.unique(folds).tolist():
        is_out = folds[which] == fold
        inside = rows[torch.from_numpy(~is_out)]
        # Of one picture alone there is nothing to leave out.
        level = Level.fit(inside if len(inside) > 1 else rows)
        distances[is_out] = _distances(level, rows[torch.from_numpy(is_out)])
    return distances


def _distances(level: Level, rows: Tensor) -> NDArray[np.float64]:
    with torch.inference_mode():
        found: NDArray[np.float64] = level(rows).double().numpy()
    return np.maximum(found, _TINY)


def _principal(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the largest variances, (count,), and their directions, (C, count), of centred rows."""
    number, channels = rows.shape
    if channels <= number:
        variances, directions = torch.linalg.eigh(rows.T @ rows / number)
        return variances[-count:].clamp(min=0), directions[:, -count:]
    # Of few pictures with many channels, those of the pictures are the cheaper ones.
    variances, weights = torch.linalg.eigh(rows @ rows.T / number)
    variances, weights = variances[-count:].clamp(min=_TINY), weights[:, -count:]
    return variances, rows.T @ weights / torch.sqrt(variances * number)
