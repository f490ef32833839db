"""Drawn pictures of a stream, in order, from several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from foveal.machine import over_cores
from foveal.synth import Drawn, Kind


def draw_all(kind: Kind, seed: int, indices: Sequence[int], *, workers: int) -> Iterator[Drawn]:
    """Yield pictures in order; 0 workers are all cores. Does not change the pictures."""
    draw = partial(_draw_batch, kind.prepared(), seed)
    yield from over_cores(draw, indices, batch=kind.batch, workers=workers)


def _draw_batch(kind: Kind, seed: int, indices: Sequence[int]) -> list[Drawn]:
    return [kind.draw(seed, index) for index in indices]
