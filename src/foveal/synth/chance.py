"""Random numbers: one generator per picture, and colours of paper and ink."""

from __future__ import annotations

import random

# Paper is at least this bright and ink at most that, on average over the channels.
_PAPER = (195, 255)
_INK_CHANNEL = (0, 190)
_INK_MOST = 115


def random_for(seed: int, index: int) -> random.Random:
    """Return the generator of a picture, independent of those of other pictures.

    Faster to create than a numpy generator, which matters if a picture takes a millisecond.

    Args:
        seed: Seed of the stream.
        index: Index of the picture; under 2 ** 64.
    """
    return random.Random((seed << 64) | index)  # noqa: S311  # pictures, not secrets


Color = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255, as Pillow takes them."""


def light_paper(rng: random.Random) -> Color:
    """Return a light colour."""
    bright = rng.uniform(*_PAPER)
    red, green, blue = (int(min(255, bright + rng.uniform(-18, 18))) for _ in range(3))
    return red, green, blue


def dark_ink(rng: random.Random) -> Color:
    """Return a dark colour, which may be vivid."""
    red, green, blue = (rng.uniform(*_INK_CHANNEL) for _ in range(3))
    # Scaled and not drawn again: the number of draws must not depend on the outcome.
    share = min(1.0, _INK_MOST / max(1.0, (red + green + blue) / 3))
    return int(share * red), int(share * green), int(share * blue)


def any_color(rng: random.Random) -> Color:
    """Return any colour, each as likely as the others."""
    red, green, blue = rng.randbytes(3)
    return red, green, blue
