"""Drawn pictures with masks: red and blue discs on a textured ground."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from foveal.types import Image, Mask

DISCS = ("background", "blue", "red")
"""The labels, in their order."""

# Of `DISCS`: as they are drawn, before the noise.
_INKS = ((205, 190, 165), (50, 80, 175), (180, 50, 60))

Disc = tuple[str, int, int, int]
"""Label, row and column of the centre, radius in pixels."""


def draw_discs(discs: Sequence[Disc], size: tuple[int, int], seed: int = 0) -> tuple[Image, Mask]:
    """Draw discs on a ground of blotches and grain.

    Args:
        discs: What to draw, later ones over earlier ones.
        size: (height, width).
        seed: Seed of the texture.

    Returns:
        (H, W, 3) uint8 RGB, and (H, W) positions in `DISCS`.
    """
    height, width = size
    rows, columns = np.indices(size)
    mask = np.zeros(size, np.uint8)
    for label, row, column, radius in discs:
        is_inside = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        mask[is_inside] = DISCS.index(label)
    rng = np.random.default_rng(seed)
    coarse = PILImage.fromarray(rng.integers(0, 61, (height // 8 + 1, width // 8 + 1), np.uint8))
    blotches = np.asarray(coarse.resize((width, height)), np.int16)[..., None] - 30
    grain = rng.integers(-12, 13, (height, width, 3), np.int16)
    pixels = np.asarray(_INKS, np.int16)[mask] + blotches + grain
    return np.clip(pixels, 0, 255).astype(np.uint8), mask


def scatter(rng: np.random.Generator, size: tuple[int, int]) -> list[Disc]:
    """Return discs of both colours at random places."""
    height, width = size
    return [
        (
            DISCS[1 + i % 2],
            int(rng.integers(0, height)),
            int(rng.integers(0, width)),
            int(rng.integers(6, 18)),
        )
        for i in range(int(rng.integers(4, 9)))
    ]


def shares_found(mask: Mask, discs: Sequence[Disc]) -> list[float]:
    """Return which share of each disc's pixels a mask gives its label; discs do not overlap."""
    rows, columns = np.indices(mask.shape)
    return [
        float((mask == DISCS.index(label))[(rows - y) ** 2 + (columns - x) ** 2 <= r**2].mean())
        for label, y, x, r in discs
    ]


def draw_disc_folder(root: Path, count: int) -> Path:
    """Draw `images/` and `masks/` of 96 to 200 pixels, and `classes.txt`; return the root."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(count):
        size = (int(rng.integers(96, 201)), int(rng.integers(96, 201)))
        pixels, mask = draw_discs(scatter(rng, size), size, seed=i)
        PILImage.fromarray(pixels).save(root / "images" / f"{i:02d}.png")
        PILImage.fromarray(mask).save(root / "masks" / f"{i:02d}.png")
    (root / "classes.txt").write_text("\n".join(DISCS), encoding="utf-8")
    return root


def discs_png(discs: Sequence[Disc], size: tuple[int, int] = (96, 160)) -> bytes:
    """Return `draw_discs` as the bytes of a PNG file."""
    buffer = io.BytesIO()
    PILImage.fromarray(draw_discs(discs, size)[0]).save(buffer, "PNG")
    return buffer.getvalue()
