"""Pictures of some dots, labelled by how many there are."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from foveal.synth.kinds import Drawn, Kind
from foveal.synth.options import option, whole
from foveal.types import RawTarget

_SIDE = 32
_CELL = 8


@dataclass(frozen=True)
class Dots(Kind):
    """White dots on a dark ground, each in a cell of its own."""

    name: ClassVar[str] = "dots"
    task: ClassVar[str] = "count"
    batch: ClassVar[int] = 64

    most: int = option(4, whole(1, 9))

    @property
    def description(self) -> str:
        return f"up to {self.most} white dots"

    @property
    def alphabet(self) -> str:
        return "".join(str(number) for number in range(self.most + 1))

    def prepared(self) -> Self:
        return self

    def target(self, seed: int, index: int) -> RawTarget:
        return (str(np.random.default_rng((seed, index)).integers(self.most + 1)),)

    def draw(self, seed: int, index: int) -> Drawn:
        rng = np.random.default_rng((seed, index))
        count = int(rng.integers(self.most + 1))
        pixels = rng.integers(0, 60, (_SIDE, _SIDE, 3)).astype(np.uint8)
        for cell in rng.choice((_SIDE // _CELL) ** 2, count, replace=False):
            row, column = (_CELL * int(place) for place in divmod(cell, _SIDE // _CELL))
            pixels[row + 2 : row + 6, column + 2 : column + 6] = 255
        return Drawn(pixels, (str(count),))


DOTS = Dots()
