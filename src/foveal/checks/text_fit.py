"""How likely texts are wrong, from what readers that never saw the picture make of it.

A text was given rightly, with the probability that a reader gives it, or wrongly: with a slip of
one character, or as some other text. Readers are too sure at times, so that what is right is
taken from two temperatures of theirs: the higher one still tells what looks alike from what does
not. How often each happens, and both temperatures, are those under which the texts given are
likeliest. So a text is not wrong because another was read, but because the reader finds it less
likely than people make mistakes.

After the mixtures of confident learning and of Dawid and Skene, see `foveal.checks.noise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

TEMPERATURES = tuple(float(t) for t in np.geomspace(0.5, 8, 13))
"""What the readers' logits are divided by, to choose from."""
# The higher temperature is 2.5 times the lower one. At a much higher one a reader finds any text
# likely, and every mistake of a label passes for one of the reader.
_HIGHER = 4
_ROUNDS = 30
# Before anything is known: as the reader says, as a less sure one says, a slip, another text.
_FIRST_RATES = (0.85, 0.1, 0.03, 0.02)
# Never less: no set of texts is without fault.
_LEAST_RATE = 1e-4
_TINY = 1e-30


@final
@dataclass(frozen=True)
class TextFit:
    """What readers made of texts, one entry for each sample.

    Attributes:
        readings: What was read; "" for samples that were not judged.
        wrong: (N,) float32, the chance that the text given is wrong; NaN where it was not judged.
        read: Share of the judged samples that were read as their texts say.
    """

    readings: tuple[str, ...]
    wrong: Floats
    read: float


def doubt_texts(
    texts: Sequence[str],
    readings: Sequence[str],
    given: NDArray[np.float64],
    best: NDArray[np.float64],
    characters: int,
) -> Floats:
    """Return (N,) the chance that each text is wrong.

    Args:
        texts: As given.
        readings: As read.
        given: (N, T) log probability of the text given at each of `TEMPERATURES`.
        best: (N, T) the same of the reading.
        characters: Size of the alphabet.
    """
    slip, other = _chances_of_mistakes(texts, readings, characters)
    is_read = np.array([a == b for a, b in zip(texts, readings, strict=True)])
    likely = np.exp(np.minimum(given, 0.0))
    found: list[tuple[float, Floats]] = []
    for low in range(given.shape[1] - _HIGHER):
        # Where the text is what was read, it is a mistake only if the truth is something else.
        doubt = np.where(is_read, -np.expm1(np.minimum(best[:, low], 0.0)), 1.0)
        parts = (likely[:, low], likely[:, low + _HIGHER], doubt * slip, doubt * other)
        found.append(_mixed(np.stack(parts)))
    return max(found, key=lambda pair: pair[0])[1]


def _mixed(parts: NDArray[np.float64]) -> tuple[float, Floats]:
    """Return the log likelihood at the best rates of the parts, and the chances of the last two."""
    rates = np.array(_FIRST_RATES)
    for _ in range(_ROUNDS):
        joint = rates[:, None] * parts
        rates = np.maximum((joint / (joint.sum(axis=0) + _TINY)).mean(axis=1), _LEAST_RATE)
        rates /= rates.sum()
    joint = rates[:, None] * parts
    total = joint.sum(axis=0) + _TINY
    return float(np.log(total).sum()), (joint[2:].sum(axis=0) / total).astype(np.float32)


def _chances_of_mistakes(
    texts: Sequence[str], readings: Sequence[str], characters: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N,) twice: how likely each text is by a slip, and as some other text.

    A slip leaves out, puts in or exchanges one character of what was read, or swaps two that stand
    side by side, each as likely; any other text of the set is as likely as the next.
    """
    lengths = np.array([len(reading) for reading in readings], np.float64)
    ways = lengths * characters + (lengths + 1) * characters + 2 * lengths
    near = [is_one_slip(a, b) or a == b for a, b in zip(texts, readings, strict=True)]
    return np.where(near, 1 / np.maximum(ways, 1.0), 0.0), np.full(len(texts), 1 / len(texts))


def is_one_slip(text: str, other: str) -> bool:
    """Return whether one character was left out, put in or exchanged, or two neighbours swapped."""
    if text == other or abs(len(text) - len(other)) > 1:
        return False
    start = next(
        (i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b),
        min(len(text), len(other)),
    )
    left, right = text[start:], other[start:]
    if len(left) == len(right):
        return left[1:] == right[1:] or (left[:2] == right[1::-1] and left[2:] == right[2:])
    return left[1:] == right if len(left) > len(right) else left == right[1:]
