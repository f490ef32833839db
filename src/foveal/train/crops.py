"""Random crops of large pictures, which make the batches of an epoch.

A crop is a pure function of (seed, epoch, batch): a resumed run sees exactly what an uninterrupted
one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.data.cache import Cache, Windows
from foveal.train.sampling import Draw, Drawing, Sampler
from foveal.train.seeds import derive_seed


@dataclass(frozen=True)
class CropPlan:
    """Where crops are taken.

    Attributes:
        indices: (n,) the samples.
        size: Height and width of a crop, in pixels of the cache.
        side: Turns a crop's side into that of the window that is read, which augmentation turns
            and zooms in.
        batch_size: Crops in a batch.
        rare: Positions in the source's classes of all but the most frequent one.
        foreground: Share of the crops that are centred on a pixel of one of `rare`.
        seed: Seed of the places.
        sample_weights: (n,) how often each picture is taken, on top of its area; None for once.
    """

    indices: NDArray[np.int64]
    size: tuple[int, int]
    side: Callable[[int], int]
    batch_size: int
    rare: tuple[int, ...]
    foreground: float
    seed: int
    sample_weights: NDArray[np.float64] | None = None


@final
class RandomCrops(Sampler):
    """Random crops of large pictures: in an epoch about as many pixels as the pictures have.

    Args:
        cache: The pictures.
        plan: Where crops are taken.
    """

    def __init__(self, cache: Cache, plan: CropPlan) -> None:
        """Weigh the pictures by their areas."""
        self._cache = cache
        self._plan = plan
        areas = cache.sizes[plan.indices].prod(axis=1).astype(np.float64)
        tile = plan.size[0] * plan.size[1]
        self._batches = max(1, round(float(np.maximum(areas / tile, 1.0).sum()) / plan.batch_size))
        shares = areas if plan.sample_weights is None else areas * plan.sample_weights
        self._ends = np.cumsum(shares / shares.sum())
        self._side = max(plan.side(side) for side in plan.size)

    @property
    def samples(self) -> int:
        """Return how many crops an epoch has."""
        return self._batches * self._plan.batch_size

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return self._batches

    def epoch(self, epoch: int) -> Sequence[Drawing]:
        """Return the batches of an epoch, in order."""
        return [partial(self._draw, epoch, number) for number in range(self._batches)]

    def _draw(self, epoch: int, number: int) -> Draw:
        plan = self._plan
        rng = np.random.default_rng(derive_seed(plan.seed, "crops", epoch, number))
        positions = np.searchsorted(self._ends, rng.random(plan.batch_size), side="right")
        positions = np.minimum(positions, len(self._ends) - 1).astype(np.int64)
        samples = plan.indices[positions]
        corners = np.array([self._corner(int(index), rng) for index in samples], np.int64)
        size = (self._side, self._side)
        return Draw(positions, Windows(samples, corners[:, 0], corners[:, 1], size))

    def _corner(self, index: int, rng: np.random.Generator) -> tuple[int, int]:
        size = self._plan.size
        shape = self._cache.sizes[index]
        # Every draw is made, needed or not, so that the next crop does not depend on this one.
        draws = rng.random(5)
        centre = self._centre(index, draws)
        starts = []
        for axis in (0, 1):
            # Off the middle at random, so that the class is not always there; the crop itself,
            # not the larger window that it is turned in, stays inside the picture.
            offset = centre[axis] - size[axis] * (0.25 + 0.5 * draws[3 + axis])
            most = max(0.0, float(shape[axis]) - size[axis])
            inside = min(max(0.0, offset), most)
            starts.append(round(inside) - (self._side - size[axis]) // 2)
        return starts[0], starts[1]

    def _centre(self, index: int, draws: NDArray[np.float64]) -> tuple[float, float]:
        plan = self._plan
        if draws[0] < plan.foreground:
            # Classes in turn from a random one on: a picture need not have them all.
            first = int(draws[1] * len(plan.rare))
            for step in range(len(plan.rare)):
                label = plan.rare[(first + step) % len(plan.rare)]
                found = self._cache.place(index, label, float(draws[2]))
                if found is not None:
                    return found
        rows, columns = self._cache.sizes[index]
        return float(draws[1] * rows), float(draws[2] * columns)
