"""Distributions of answers, on validation and in production, and the shift between them."""

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
    """Counts of kinds of answers, and histogram of confidences.

    Attributes:
        kinds: Kind of answer (see `kind_of`) → count.
        confidences: Counts of the bins of `CONFIDENCE_BOUNDS`.
    """

    kinds: Mapping[str, int]
    confidences: tuple[int, ...]

    @classmethod
    def of(cls, predictions: Sequence[Prediction], target_kind: str) -> Self:
        """Count answers; the rarest kinds are merged.

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
        """Return the values that a bundle stores."""
        return {"kinds": dict(self.kinds), "confidences": list(self.confidences)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the values that a bundle stores.

        Raises:
            ValueError: If the values are malformed.
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
    """The shift between two distributions.

    Attributes:
        index: Population stability index: the sum of (q - p) ln(q / p) over all kinds.
        limit: Limit above which the shift is large and significant.
        samples: Number of answers that were compared with those on validation.
    """

    index: float
    limit: float
    samples: int

    @property
    def is_alarm(self) -> bool:
        """Whether the shift is large and statistically significant."""
        return self.samples >= _LEAST and self.index > self.limit


def kind_of(prediction: Prediction, target_kind: str) -> str:
    """Return the kind under which an answer is counted.

    For a class its label, for a mask the largest label except the background, for a text its
    length.
    """
    if target_kind == "text":
        length = len(prediction.text)
        return f"{length} characters" if length < _LONGEST else f"{_LONGEST} characters or more"
    label = prediction.main_label
    if label is None or not prediction.says(label):
        return NONE
    return label


def shift(reference: Mapping[str, int], seen: Mapping[str, int]) -> Shift:
    """Return the shift between observed counts and a reference.

    Under the null hypothesis, the index is distributed approximately as (1/n + 1/m) times
    chi-squared, with one degree of freedom less than the number of kinds: B. Yurdakul, "Statistical
    Properties of Population Stability Index", 2018,
    https://scholarworks.wmich.edu/dissertations/3208. The limit is its 0.999 quantile, or 0.2 if
    that is larger. Half a count is added to each kind, so that a kind that never occurs does not
    give infinity.

    Args:
        reference: Kind → count; other kinds count as `OTHER`.
        seen: Kind → observed count.
    """
    known = {kind: count for kind, count in reference.items() if kind != OTHER}
    others = sum(count for kind, count in seen.items() if kind not in known)
    pairs = [(count, seen.get(kind, 0)) for kind, count in known.items()]
    if others or reference.get(OTHER):
        pairs.append((reference.get(OTHER, 0), others))
    return _index(pairs)


def shift_of_bins(reference: Iterable[int], seen: Iterable[int]) -> Shift:
    """Return the shift between histograms; bins that are empty in both are ignored."""
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
    """Return the 0.999 quantile by Wilson and Hilferty; 3 % too large at 1, else within 1 %."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + _QUANTILE * sqrt(part)) ** 3
