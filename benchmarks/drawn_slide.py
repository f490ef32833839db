"""A drawn slide of any size: pink tissue on white glass with dark nuclei, cell by cell.

Every cell is drawn from its place alone, so that a slide of 20,000 x 20,000 pixels is written
without ever being in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CELL_PX = 512
_SEED = 20_000
# Corners of cells: the field of tissue lies between random values at them.
_CORNERS = 64
_TISSUE_FROM = 0.4
_GLASS, _TISSUE, _NUCLEUS = (242, 240, 243), (222, 170, 205), (105, 70, 140)
_NUCLEI = 160
_RADII_PX = (4, 10)
_NOISE = 12


def draw_cell(row: int, column: int) -> NDArray[np.uint8]:
    """Return the cell in a row and column of cells, (CELL_PX, CELL_PX, 3) uint8 RGB."""
    rng = np.random.default_rng((_SEED, row, column))
    is_tissue = _tissue(row, column)
    cell = np.where(is_tissue[:, :, None], np.array(_TISSUE, np.uint8), np.array(_GLASS, np.uint8))
    for y, x in rng.integers(_RADII_PX[1], CELL_PX - _RADII_PX[1], (_NUCLEI, 2)):
        radius = int(rng.integers(*_RADII_PX))
        if is_tissue[y, x]:
            reach = np.arange(-radius, radius + 1)
            is_inside = reach[:, None] ** 2 + reach[None] ** 2 <= radius**2
            around = cell[y - radius : y + radius + 1, x - radius : x + radius + 1]
            around[is_inside] = _NUCLEUS
    cell += rng.integers(0, _NOISE, cell.shape, dtype=np.uint8)
    return cell


def draw_slide(side: int) -> NDArray[np.uint8]:
    """Return a square slide as one array, (side, side, 3) uint8 RGB."""
    slide = np.empty((side, side, 3), np.uint8)
    for top in range(0, side, CELL_PX):
        for left in range(0, side, CELL_PX):
            part = slide[top : top + CELL_PX, left : left + CELL_PX]
            cell = draw_cell(top // CELL_PX, left // CELL_PX)
            part[:] = cell[: part.shape[0], : part.shape[1]]
    return slide


def write_slide(path: Path, side: int, compression: str) -> Path:
    """Write a square slide as a tiled TIFF, a cell at a time; the file appears when it is whole.

    Args:
        path: Replaced if it is there.
        side: In pixels.
        compression: `jpeg` as scanners write slides, or `deflate`.
    """
    import tifffile

    temporary = path.with_name(f".tmp-{path.name}")
    tifffile.imwrite(
        temporary,
        _cells(-(-side // CELL_PX)),
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(CELL_PX, CELL_PX),
        photometric="rgb",
        compression=compression,
        # More would draw ahead of what is compressed.
        maxworkers=1,
    )
    temporary.replace(path)
    return path


def _cells(count: int) -> Iterator[NDArray[np.uint8]]:
    for row in range(count):
        for column in range(count):
            yield draw_cell(row, column)


def _tissue(row: int, column: int) -> NDArray[np.bool_]:
    """Return where a cell is tissue: bilinear between its corners, so that cells join."""
    corners = np.random.default_rng(_SEED).random((_CORNERS, _CORNERS))
    rows, columns = ((at % (_CORNERS - 1), at % (_CORNERS - 1) + 1) for at in (row, column))
    share = (np.arange(CELL_PX) + 0.5) / CELL_PX
    down = np.stack([1 - share, share])
    found: NDArray[np.bool_] = down.T @ corners[np.ix_(rows, columns)] @ down > _TISSUE_FROM
    return found
