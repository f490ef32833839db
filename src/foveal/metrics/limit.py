"""The confidence below which an answer is `unsure`, so that the others keep what is promised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveal.metrics.calibration import CoverageCurve, coverage_curve

CONFIDENCE = 0.95
"""Confidence level of what is shown about the answers that are kept."""

# All answers, the surer half, quarter and eighth. A model that answers less than an eighth of the
# pictures is of little use, and every further candidate makes the test of each one stricter.
_CANDIDATES = 4


@final
@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the confidence, and what it promises.

    Attributes:
        threshold: Answers with a confidence of at least this are kept.
        shown: Share of the kept answers that is right on samples like these, at least: a lower
            confidence limit.
        kept: Answers that are kept.
        right: How many of these are right.
    """

    threshold: float
    shown: float
    kept: int
    right: int


def choose_limit(
    confidence: ArrayLike, correct: ArrayLike, wanted: float, *, least: float = 0.0
) -> Limit:
    """Choose the limit that keeps the most answers while `wanted` is shown to hold for them.

    With a probability of at least 95 % over the draw of the samples, the kept answers to further
    samples of the same kind are right at least as often as `Limit.shown` says. That is shown for
    a few candidates that are fixed in advance, the surest n, n/2, n/4 and n/8 answers, by
    exact binomial limits (C. J. Clopper and E. S. Pearson, "The Use of Confidence or Fiducial
    Limits Illustrated in the Case of the Binomial", 1934) that share the error of 5 % among
    them, as Y. Geifman and R. El-Yaniv, "Selective Classification for Deep Neural Networks",
    2017, https://arxiv.org/abs/1705.08500 do. Where `wanted` is shown for one, further answers
    are added one at a time, each tested at the same error, until a test fails: fixed-sequence
    testing, A. N. Angelopoulos et al., "Learn then Test", 2021, https://arxiv.org/abs/2110.01052.
    Deviation: the candidates are ranks, not values of the confidence; see decision 0040.

    Where `wanted` cannot be shown, the candidate for which the most can be shown is taken, in
    whole percents; of equals the one that keeps the most answers.

    The threshold lies half-way between the least sure answer kept and the surest refused. When
    all are kept it lies just under the least sure answer: below that, nothing was measured.

    Args:
        confidence: (N,) in [0, 1].
        correct: (N,) whether the answer was right.
        wanted: The accuracy that is wanted, in (0, 1).
        least: An accuracy under which a limit is of no use. Candidates that could not show it
            even without a mistake are left out.

    Returns:
        The limit; `shown` may be under `wanted` and under `least`.

    Raises:
        ValueError: For no answers.
    """
    if np.size(confidence) == 0:
        raise ValueError("Invalid confidence. Expected at least one answer. Received: none.")
    curve = coverage_curve(confidence, correct)
    right = np.rint(curve.accuracy * curve.kept).astype(np.int64)
    counts, error = _candidates(int(curve.kept[-1]), least)
    # Equally sure answers are kept or refused together.
    places = np.searchsorted(curve.kept, counts)
    tests = _Tests(int(curve.kept[-1]), error)
    shown = [tests.lower(int(right[i]), int(curve.kept[i])) for i in places]
    reaching = [int(i) for i, low in zip(places, shown, strict=True) if low >= wanted]
    if reaching:
        last = reaching[0]
        while last + 1 < len(right) and tests.shows(
            int(right[last + 1]), int(curve.kept[last + 1]), wanted
        ):
            last += 1
        return Limit(_threshold(curve, last), wanted, int(curve.kept[last]), int(right[last]))
    percents = [math.floor(100 * low + 1e-9) / 100 for low in shown]
    # The first of equals keeps the most.
    best = int(np.argmax(percents))
    last = int(places[best])
    return Limit(_threshold(curve, last), percents[best], int(curve.kept[last]), int(right[last]))


def lower_limit(right: int, kept: int, *, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided Clopper-Pearson lower limit of a share.

    Args:
        right: How many of the trials succeeded.
        kept: How many there were.
        confidence: Confidence level.
    """
    return _Tests(kept, 1 - confidence).lower(right, kept)


def pictures_needed(accuracy: float, *, confidence: float = CONFIDENCE) -> int:
    """Return how many right answers without a mistake show an accuracy: accuracyⁿ <= 5 %."""
    return math.ceil(math.log(1 - confidence) / math.log(accuracy) - 1e-9)


def _candidates(total: int, least: float) -> tuple[list[int], float]:
    """Return how many answers each candidate keeps, and the error that each may make."""
    counts, error = [total], 1 - CONFIDENCE
    while len(counts) < _CANDIDATES:
        following = -(-total // 2 ** len(counts))
        shared = (1 - CONFIDENCE) / (len(counts) + 1)
        if following >= counts[-1] or shared ** (1 / following) < least:
            break
        counts.append(following)
        error = shared
    return counts, error


@final
class _Tests:
    """Exact one-sided tests of a share of right answers, each at the same error."""

    def __init__(self, most: int, error: float) -> None:
        steps = np.log(np.arange(1, most + 1, dtype=np.float64))
        self._log_factorial = np.concatenate([[0.0], np.cumsum(steps)])
        self._error = error

    def shows(self, right: int, kept: int, accuracy: float) -> bool:
        """Return whether so many right answers are too many for any lower accuracy."""
        return self._chance(right, kept, accuracy) <= self._error

    def lower(self, right: int, kept: int) -> float:
        """Return the highest accuracy that so many right answers show."""
        low, high = 0.0, right / max(1, kept)
        if right == 0:
            return 0.0
        for _ in range(36):
            middle = (low + high) / 2
            if self.shows(right, kept, middle):
                low = middle
            else:
                high = middle
        return low

    def _chance(self, right: int, kept: int, accuracy: float) -> float:
        """Return P(at least `right` of `kept`) where each is right with chance `accuracy`."""
        if not 0 < accuracy < 1:
            return float(accuracy >= 1 or right == 0)
        wrong = np.arange(kept - right + 1)
        table = self._log_factorial
        logs: NDArray[np.float64] = (
            table[kept]
            - table[wrong]
            - table[kept - wrong]
            + wrong * math.log1p(-accuracy)
            + (kept - wrong) * math.log(accuracy)
        )
        return float(np.exp(logs).sum())


def _threshold(curve: CoverageCurve, last: int) -> float:
    lowest = float(curve.threshold[last])
    if last + 1 < len(curve.threshold):
        return (lowest + float(curve.threshold[last + 1])) / 2
    return math.floor(lowest * 1e4) / 1e4
