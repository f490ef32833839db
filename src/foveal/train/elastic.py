"""Smooth random warps of crops, the same for a picture and its mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from foveal.train.share import Share

# Pixels between the points that are moved at random: shapes of that size are bent, not broken up.
SPACING = 64


def displacements(
    size: tuple[int, int], most: float, generator: torch.Generator, share: Share
) -> Tensor:
    """Return (N, 2, *size) float32, in pixels: how far each pixel is taken from, along x and y.

    Points on a grid are moved at random, and what lies between follows smoothly: U-Net, 2015,
    https://arxiv.org/abs/1505.04597. Deviations: the grid has a point every 64 pixels rather than
    three a side, and moves are drawn evenly rather than from a Gaussian.

    Args:
        size: Height and width.
        most: The largest move along either axis, in pixels.
        generator: On the CPU; every draw comes from it.
        share: Which rows of a batch these are.
    """
    rows, columns = (-(-side // SPACING) + 1 for side in size)
    moves = (share.draws(2 * rows * columns, generator) * 2 - 1) * most
    grid = moves.view(-1, 2, rows, columns)
    # Bicubic interpolation reaches beyond its points.
    return F.interpolate(grid, size, mode="bicubic", align_corners=True).clamp_(-most, most)
