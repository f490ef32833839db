"""One generator of random numbers for each picture."""

from __future__ import annotations

import random


def random_for(seed: int, index: int) -> random.Random:
    """Return the generator of a picture; those of two pictures have nothing in common.

    Quicker to make than a numpy generator, which counts when a picture takes a millisecond.

    Args:
        seed: Of the stream.
        index: Of the picture; under 2 ** 64.
    """
    return random.Random((seed << 64) | index)  # noqa: S311  # pictures, not secrets
