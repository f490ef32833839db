"""The characters of a reading, and which columns of the picture they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.types import Frame

# Of a character that is sure, doubtful, and less likely than not.
_SURE, _DOUBTFUL, _WEAK = (17, 94, 214), (190, 95, 6), (200, 30, 40)


@final
@dataclass(frozen=True, slots=True)
class Character:
    """One character of a reading.

    Attributes:
        char: The character.
        confidence: Largest probability of the character over its columns, in [0, 1].
        x0: Left edge in original pixels; approximate, columns are wider than strokes.
        x1: Right edge in original pixels, end open.
    """

    char: str
    confidence: float
    x0: float
    x1: float


@final
@dataclass(frozen=True, eq=False)
class Alignment:
    """The alignment of columns to characters.

    Attributes:
        characters: In reading order.
        spans: Columns of each character, [first, end).
        log_probabilities: (T, K) float32, of each class in each column; class 0 is the blank,
            class i + 1 the i-th character of the alphabet.
        frame: Where the picture lies in the model input.
        alphabet: The K - 1 characters.
    """

    characters: tuple[Character, ...]
    spans: tuple[tuple[int, int], ...]
    log_probabilities: NDArray[np.float32]
    frame: Frame
    alphabet: tuple[str, ...]


def confidence_color(confidence: float) -> tuple[int, int, int]:
    """Return the RGB of how sure a character is: blue from 90 %, amber from 50 %, else red."""
    return _SURE if confidence >= 0.9 else _DOUBTFUL if confidence >= 0.5 else _WEAK
