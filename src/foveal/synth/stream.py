"""Pictures drawn over the cores of this machine, in order and the same for every number of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from foveal.machine import over_cores
from foveal.synth.kinds import Drawn, Kind


def draw_all(kind: Kind, seed: int, indices: Sequence[int], *, workers: int) -> Iterator[Drawn]:
    """Yield pictures in order; the next ones are drawn while the caller works.

    Args:
        kind: What to draw.
        seed: Seed of the stream.
        indices: Which pictures of the stream; a range costs no memory, however long.
        workers: Processes; 0 takes all cores. Does not change the pictures.

    Raises:
        DataError: When this machine has no font that can draw them.
    """
    draw = partial(_draw_batch, kind.prepared(), seed)
    yield from over_cores(draw, indices, batch=kind.batch, workers=workers)


def _draw_batch(kind: Kind, seed: int, indices: Sequence[int]) -> list[Drawn]:
    return [kind.draw(seed, index) for index in indices]
