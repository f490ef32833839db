"""The probability that texts are wrong, from readers trained on the other folds.

A given text is right, with the probability that a reader assigns to it, or wrong: with a slip of
one character, or as some other text. Readers are overconfident at times, so the probability of a
right text is a mixture of two temperatures; the higher one still separates what looks alike from
what does not. The rates of all cases and both temperatures maximise the likelihood of the given
texts. So a text is suspicious not because another was read, but because the reader finds it less
likely than a human mistake.

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
    """Readings of texts, one entry per sample.

    Attributes:
        readings: Text that was read; "" for samples that were not judged.
        wrong: (N,) float32, probability that the given text is wrong; NaN if it was not judged.
        read: Share of the judged samples whose reading equals the given text.
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
    """Return the probability that each text is wrong, (N,).

    Args:
        texts: Given texts.
        readings: Texts that were read.
        given: (N, T) log probability of the given text at each of `TEMPERATURES`.
        best: (N, T) log probability of the reading.
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
    """Return the log likelihood at the best mixture, and the posteriors of the last two parts."""
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
    """Return the probability of each text by a slip, (N,), and as some other text, (N,).

    A slip deletes, inserts or replaces one character of the reading, or swaps two adjacent ones,
    all equally likely; all other texts of the data set are equally likely.
    """
    lengths = np.array([len(reading) for reading in readings], np.float64)
    ways = lengths * characters + (lengths + 1) * characters + 2 * lengths
    near = [is_one_slip(a, b) or a == b for a, b in zip(texts, readings, strict=True)]
    return np.where(near, 1 / np.maximum(ways, 1.0), 0.0), np.full(len(texts), 1 / len(texts))


def is_one_slip(text: str, other: str) -> bool:
    """Return whether the texts differ by one edit, or by two swapped adjacent characters."""
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
