"""What a model answers, counted: on validation and in use; and how far the two differ."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any, Self, final

from foveal.tasks.prediction import Prediction
from foveal.types import JsonObject

CONFIDENCE_BOUNDS = tuple(i / 10 for i in range(1, 11))
"""Upper ends of the bins in which confidences are counted; each bin holds its own."""
OTHER = "(other)"
"""Stands for the answers that are not among the most frequent on validation."""
NONE = "(none)"
"""Stands for an answer that names nothing."""

# Answers that are counted by themselves; more would each be too rare to say anything.
_KINDS = 50
_LONGEST = 32
# An index above this is taken for a large shift by custom: N. Siddiqi, "Credit Risk Scorecards",
# 2006.
_LARGE = 0.2
# Standard normal quantile of 0.999: one false alarm in a thousand looks at unchanged traffic.
_QUANTILE = 3.0902
# Under this many answers the chi-squared approximation is poor, and nothing is urgent.
_LEAST = 50


@final
@dataclass(frozen=True, slots=True)
class Distribution:
    """How often each kind of answer was given, and with how much confidence.

    Attributes:
        kinds: Kind of answer, see `kind_of` → count.
        confidences: Counts of the bins of `CONFIDENCE_BOUNDS`.
    """

    kinds: Mapping[str, int]
    confidences: tuple[int, ...]

    @classmethod
    def of(cls, predictions: Sequence[Prediction], target_kind: str) -> Self:
        """Count answers; the rarest kinds are joined.

        Args:
            predictions: The answers.
            target_kind: The task's kind of target.
        """
        counted = Counter(kind_of(prediction, target_kind) for prediction in predictions)
        kinds = dict(counted.most_common(_KINDS))
        if rest := counted.total() - sum(kinds.values()):
            kinds[OTHER] = rest
        bins = Counter(bisect_left(CONFIDENCE_BOUNDS, p.confidence) for p in predictions)
        return cls(kinds, tuple(bins[i] for i in range(len(CONFIDENCE_BOUNDS))))

    def to_json(self) -> JsonObject:
        """Return what a bundle keeps."""
        return {"kinds": dict(self.kinds), "confidences": list(self.confidences)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what a bundle keeps.

        Raises:
            ValueError: When it is not as `to_json` gives it.
        """
        kinds, confidences = data["kinds"], data["confidences"]
        counts = [*kinds.values(), *confidences]
        if (
            set(data) != {"kinds", "confidences"}
            or len(confidences) != len(CONFIDENCE_BOUNDS)
            or not all(isinstance(kind, str) for kind in kinds)
            or not all(type(count) is int and count >= 0 for count in counts)
        ):
            raise ValueError("answers must have counts of kinds and of ten bins of confidence")
        return cls(dict(kinds), tuple(confidences))


@final
@dataclass(frozen=True, slots=True)
class Shift:
    """How far two distributions differ.

    Attributes:
        index: Population stability index: the sum of (q - p) ln(q / p) over all kinds.
        limit: What it must exceed to be an alarm: a large shift, and no chance.
        samples: How many answers were compared with those of validation.
    """

    index: float
    limit: float
    samples: int

    @property
    def is_alarm(self) -> bool:
        """Whether the shift is large, and larger than chance explains."""
        return self.samples >= _LEAST and self.index > self.limit


def kind_of(prediction: Prediction, target_kind: str) -> str:
    """Return the kind that an answer is counted as.

    A label; of a mask the label with the largest area beside the background; of a text its length.
    """
    if target_kind == "text":
        length = len(prediction.text)
        return f"{length} characters" if length < _LONGEST else f"{_LONGEST} characters or more"
    label = prediction.main_label
    if label is None or not prediction.says(label):
        return NONE
    return label


def shift(reference: Mapping[str, int], seen: Mapping[str, int]) -> Shift:
    """Return how far what was seen differs from a reference.

    The index has, where nothing changed, about the distribution of (1/n + 1/m) times chi-squared
    with one degree of freedom less than there are kinds: B. Yurdakul, "Statistical Properties of
    Population Stability Index", 2018, https://scholarworks.wmich.edu/dissertations/3208. The limit
    is its quantile of 0.999, or 0.2 if that is more. Half a count is added to each kind, so that
    one which never occurs gives no infinity.

    Args:
        reference: Kind → count. What is not in it counts as `OTHER`.
        seen: Kind → count.
    """
    known = {kind: count for kind, count in reference.items() if kind != OTHER}
    others = sum(count for kind, count in seen.items() if kind not in known)
    pairs = [(count, seen.get(kind, 0)) for kind, count in known.items()]
    if others or reference.get(OTHER):
        pairs.append((reference.get(OTHER, 0), others))
    return _index(pairs)


def shift_of_bins(reference: Iterable[int], seen: Iterable[int]) -> Shift:
    """Return how far counts of bins differ from a reference; bins empty in both do not count."""
    return _index([pair for pair in zip(reference, seen, strict=True) if any(pair)])


def _index(pairs: Sequence[tuple[int, int]]) -> Shift:
    n, m = (sum(pair[side] for pair in pairs) for side in (0, 1))
    if not n or not m or len(pairs) < 2:
        return Shift(0.0, _LARGE, m)
    half = 0.5 * len(pairs)
    index = 0.0
    for first, second in pairs:
        p, q = (first + 0.5) / (n + half), (second + 0.5) / (m + half)
        index += (q - p) * log(q / p)
    chance = (1 / n + 1 / m) * _chi_squared(len(pairs) - 1)
    return Shift(index, max(_LARGE, chance), m)


def _chi_squared(freedom: int) -> float:
    """Return the quantile of 0.999 by Wilson and Hilferty; 3 % too much at 1, else within 1 %."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + _QUANTILE * sqrt(part)) ** 3
