"""Familiarity: the distance of a picture from the training pictures in feature space.

At each level of the backbone the direction of the picture's features is compared with those of
training pictures, and the distance to the third nearest counts: Out-of-Distribution Detection with
Deep Nearest Neighbors, 2022, https://arxiv.org/abs/2204.06507. Deviations, each measured
(docs/decisions/0043, 0062): square roots of the channels' means over all positions, so that the
distances are Hellinger distances; and instead of the last level alone, each level has its own
limit, and exceeding one is enough. Early levels detect that a picture is noise, empty or a drawing;
late ones that it shows something else. The texture of an early map is a level of its own: how far
local maxima are above the mean, which the means do not tell.

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

# Training pictures that a level remembers. The exported network grows with each; half as many
# detect fewer unfamiliar pictures.
_REMEMBERED = 512
# The nearest picture may be a near-duplicate, or an outlier itself.
_NEIGHBOUR = 3
# Parts of the training pictures, each of which is left out once.
_PARTS = 5
# A limit is taken from the distance that this many pictures exceed: farther out, one odd picture
# decides.
_BEYOND = 10
# With fewer pictures the tenth largest distance is too near to the median to extrapolate from.
_FEW = 100
# Directions that differ by less are the same: engines differ by a hundredth of this.
_LEAST_DISTANCE = 1e-3
_TINY = 1e-6
# Side of the windows whose maxima are taken, in positions of a feature map.
_WINDOW = 2


@final
class Familiarity(nn.Module):
    """Computes the distance of pictures from the training pictures: up to 1, a picture is familiar.

    Its parameters are part of the exported graph, but not of the saved weights, which determine
    them.

    Args:
        levels: One level for each tensor that `pool` returns.
        learnt: By how much the logarithms of the distances were too small at each level because
            the network had been trained on the pictures.
    """

    def __init__(self, levels: Sequence[Level], learnt: Sequence[float] = ()) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)
        self.learnt = tuple(learnt)

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
        remembered: (S, C) float, output of `pool` for some training pictures.
        limit: Distance that is scaled to 1.
    """

    centre: Tensor
    around: Tensor
    halves: Tensor

    def __init__(self, remembered: Tensor, limit: float = 1.0) -> None:
        super().__init__()
        directions = _directions(remembered.double())
        # Directions of similar pictures differ by hundredths. Around their mean, rounding errors of
        # float32 are as small as these differences.
        centre = directions.mean(dim=0)
        around = directions - centre
        numbers = {"centre": centre, "around": around, "halves": -around.square().sum(dim=1) / 2}
        for name, tensor in numbers.items():
            self.register_buffer(name, tensor.float(), persistent=False)
        self.limit = limit
        # Known before the network is traced, to which a size is no number.
        self._neighbour = min(_NEIGHBOUR, len(around))

    def forward(self, pooled: Tensor) -> Tensor:
        """Return (N,) float32, at least 0.

        Args:
            pooled: (N, C) float32.
        """
        own, nearness = self._compare(pooled)
        nearest = torch.topk(nearness, self._neighbour, dim=1).values[:, self._neighbour - 1]
        return _distance(own, nearest) / self.limit

    def among_others(self, pooled: Tensor, is_out: Tensor) -> Tensor:
        """Return (N,) float32: the distances without some of the remembered pictures.

        Args:
            pooled: (N, C) float32.
            is_out: (N, S) bool, which of them are left out. Where fewer than three remain, the
                farthest of them counts.
        """
        own, nearness = self._compare(pooled)
        ordered = nearness.masked_fill(is_out, -math.inf).sort(dim=1, descending=True).values
        last = (~is_out).sum(dim=1).clamp(min=1, max=_NEIGHBOUR) - 1
        return _distance(own, ordered.gather(1, last[:, None])[:, 0]) / self.limit

    def _compare(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return directions (N, C) around the centre, and (N, S), larger for nearer pictures."""
        own = _directions(pooled) - self.centre
        return own, torch.nn.functional.linear(own, self.around, self.halves)


def _directions(pooled: Tensor) -> Tensor:
    length = pooled.square().sum(dim=1, keepdim=True).sqrt()
    return pooled / length.clamp(min=_TINY)


def _distance(own: Tensor, nearness: Tensor) -> Tensor:
    return torch.relu(own.square().sum(dim=1) - 2 * nearness).sqrt()


def pool(features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what is compared of pictures: for each level (N, D_i) float32.

    Args:
        features: Feature maps of the backbone, each (N, C_i, H_i, W_i), finest first.
    """
    return tuple(roots(rows) for rows in statistics(features))


def statistics(features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the statistics of the maps of which `pool` takes the roots, (N, D_i) float32.

    The texture of the second finest map, or of the only one: the mean of the largest of 2 x 2
    neighbouring positions, less the mean of all. Then for each map the means of the channels.

    Args:
        features: Feature maps of the backbone, each (N, C_i, H_i, W_i), finest first.
    """
    means = tuple(_means(maps.float()) for maps in features)
    place = min(1, len(features) - 1)
    return (_means(_maxima(features[place].float())) - means[place], *means)


def roots(values: Tensor) -> Tensor:
    """Return the square roots of the magnitudes, with the signs of the values."""
    return torch.sign(values) * values.abs().sqrt()


def _maxima(maps: Tensor) -> Tensor:
    is_small = min(maps.shape[2:]) < _WINDOW
    return maps if is_small else nn.functional.max_pool2d(maps, _WINDOW)


def _means(maps: Tensor) -> Tensor:
    return maps.mean(dim=(2, 3), keepdim=True).flatten(1)


def fit_familiarity(
    training: Sequence[Tensor],
    samples: NDArray[np.int64],
    held_out: Sequence[Tensor],
    *,
    refused: float,
    learnt: Sequence[float] | None = None,
) -> Familiarity:
    """Fit the distances to the training pictures, and the limits to held-out pictures.

    Args:
        training: Output of `pool` for windows of the training pictures, (N, D_i) for each level; N
            at least 2.
        samples: (N,) picture of each window.
        held_out: The same for held-out pictures, (M, D_i); M may be 0.
        refused: Share of in-distribution pictures that may be marked unfamiliar, in (0, 1).
        learnt: By how much the network has learnt the training pictures, at each level, where it is
            known from networks of the same kind; None takes it from the held-out pictures.
    """
    count = len(samples)
    kept = np.sort(np.random.default_rng(0).permutation(count)[:_REMEMBERED])
    is_out = _left_out(samples, kept)
    levels = [Level(rows[torch.from_numpy(kept)]) for rows in training]
    with torch.inference_mode():
        fitted = [
            _array(level.among_others(rows, is_out))
            for level, rows in zip(levels, training, strict=True)
        ]
        new = [_array(level(others)) for level, others in zip(levels, held_out, strict=True)]
    if learnt is None:
        learnt = [_learnt(*pair) for pair in zip(fitted, new, strict=True)]
    distances = np.stack(
        [
            np.concatenate([known * math.exp(shift), others])
            for known, others, shift in zip(fitted, new, learnt, strict=True)
        ]
    )
    # Each level gets its part of the share; what pictures exceed several limits is given back.
    limits = np.array([upper_limit(row, refused / len(levels)) for row in distances])
    limits *= upper_limit((distances / limits[:, None]).max(axis=0), refused)
    for level, limit in zip(levels, limits.tolist(), strict=True):
        level.limit = limit
    return Familiarity(levels, learnt)


def upper_limit(distances: NDArray[np.float64], share: float) -> float:
    """Return the limit that a new distance exceeds with a probability of about `share`.

    Where ten pictures exceed it, the order statistic that conformal prediction takes, which holds
    for any distribution: A Gentle Introduction to Conformal Prediction and Distribution-Free
    Uncertainty Quantification, 2021, https://arxiv.org/abs/2107.07511. With fewer pictures it
    depends on the one or two strangest ones; then the limit is extrapolated from the median and
    the tenth largest distance, as if the logarithms of the distances above the median were normal
    (docs/decisions/0061). Of fewer than a hundred pictures, the largest distance or the prediction
    limit of a log-normal distribution, whichever is larger.

    Args:
        distances: (N,) distances, each above 0; N at least 2.
        share: Probability, in (0, 1).
    """
    ordered = np.sort(distances)
    count = len(ordered)
    if count * share >= _BEYOND:
        rank = math.ceil((count + 1) * (1 - share))
        return float(ordered[rank - 1])
    logs = np.log(ordered)
    width = _student(share, count - 1) * math.sqrt(1 + 1 / count)
    if count >= _FEW:
        known = 1 - _BEYOND / count
        median, tenth = np.quantile(logs, [0.5, known])
        return math.exp(median + (tenth - median) * width / NormalDist().inv_cdf(known))
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


def _learnt(fitted: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """Return by how much the logarithms of distances are smaller for training pictures.

    They are nearer to the other training pictures than new ones are. The few new pictures determine
    by how much; the many training pictures determine the spread.

    Args:
        fitted: (N,) distances of training pictures from others.
        new: (M,) distances of held-out pictures.
    """
    if not len(new):
        return 0.0
    # Medians, because near-duplicates among the training pictures pull the means down.
    return max(0.0, float(np.median(np.log(new)) - np.median(np.log(fitted))))


def _left_out(samples: NDArray[np.int64], kept: NDArray[np.int64]) -> Tensor:
    """Return (N, S) bool: which of the kept windows each row is not compared with.

    The pictures are divided into parts, and a row is not compared with its own part. Leaving out
    only the row's own picture would make the limit too low where there are few pictures.
    """
    found, which = np.unique(samples, return_inverse=True)
    parts = np.random.default_rng(1).permutation(len(found))[which] % _PARTS
    is_out = parts[:, None] == parts[kept][None]
    # Where all show the same picture, only the window itself can be left out.
    is_alone = is_out.all(axis=1)
    is_out[is_alone] = np.flatnonzero(is_alone)[:, None] == kept[None]
    return torch.from_numpy(is_out)


def _array(distances: Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = distances.double().numpy()
    return np.maximum(found, _LEAST_DISTANCE)
