"""Colours of paper and ink that can be told apart."""

from __future__ import annotations

import random

import numpy as np

from foveal.types import Image

# Paper is at least this bright and ink at most that, on average over the channels.
_PAPER = (195, 255)
_INK_CHANNEL = (0, 190)
_INK_MOST = 115


def light_paper(rng: random.Random) -> Image:
    """Return a light colour, (3,) uint8."""
    bright = rng.uniform(*_PAPER)
    return np.array([min(255, max(0, bright + rng.uniform(-18, 18))) for _ in range(3)], np.uint8)


def dark_ink(rng: random.Random) -> Image:
    """Return a dark colour, (3,) uint8, which may be vivid."""
    color = np.array([rng.uniform(*_INK_CHANNEL) for _ in range(3)])
    # Scaled and not drawn again: the number of draws must not depend on the outcome.
    return (color * min(1.0, _INK_MOST / max(1.0, float(color.mean())))).astype(np.uint8)


def as_tuple(color: Image) -> tuple[int, ...]:
    """Return a colour as Pillow takes it."""
    return tuple(int(part) for part in color)
