"""Compare the answers of two networks, for the verification of exports."""

from __future__ import annotations

import math
from typing import final

from foveal.tasks.base import Task
from foveal.tasks.prediction import Prediction
from foveal.types import JsonObject
from foveal.words import percent

# Largest probability difference that passes. Exports drift by 1e-6 to 1e-4; a hundred times that
# is no rounding, even where every label still agrees.
TOLERANCE = 0.01
# Share of an answer that must agree: all of a label or a text, and all but one in ten thousand of
# a mask's pixels, whose classes meet in places where the two are equally likely.
LEAST_SHARE = 0.9999
_NAMED = 5


@final
class Comparison:
    """Comparison of pairs of answers to the same pictures.

    Attributes:
        count: Number of pictures.
        largest: Largest difference of a probability; infinite if one is NaN.
        differing: Names of the pictures with different answers, each with both answers (for masks,
            with the share of equal pixels).
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._shares = 0.0
        self.count, self.largest = 0, 0.0
        self.differing: list[str] = []

    def add(
        self,
        name: str,
        expected: Prediction,
        said: Prediction,
        *,
        is_same: bool = True,
        drift: float = 0.0,
        words: str | None = None,
    ) -> None:
        """Compare two answers to one picture.

        Args:
            name: Name of the picture.
            expected: The reference answer.
            said: The answer to compare with it.
            is_same: False if the answers are already known to differ.
            drift: Difference of another output, which must not exceed `TOLERANCE` either.
            words: Both answers as text, for the error message; None takes their headlines.
        """
        share, difference = self._task.agreement(expected, said)
        share = share if is_same else 0.0
        # Not-a-number passes every comparison of size, so it is made to fail here.
        difference = difference if math.isfinite(difference) else math.inf
        self.count += 1
        self._shares += share
        self.largest = max(self.largest, difference)
        if share < LEAST_SHARE or max(difference, drift) > TOLERANCE:
            became = words or f"{expected.headline} became {said.headline}"
            if 0 < share < LEAST_SHARE:
                # Both masks may well have the same headline.
                became = f"{percent(share, 2)} of the pixels have the same label"
            self.differing.append(f"{name} ({became})")

    @property
    def agreement(self) -> float:
        """Mean share of the answers that is equal."""
        return self._shares / self.count

    def refusal(self, kind: str) -> str:
        """Return the number of pictures with different answers, and the first of them, as text."""
        named = "; ".join(self.differing[:_NAMED])
        more = len(self.differing) - _NAMED
        return (
            f"{len(self.differing)} of {self.count} {kind} (label agreement {self.agreement:.2%}, "
            f"largest probability difference {self.largest:.3g}): {named}"
            + (f" and {more} more." if more > 0 else ".")
        )

    def to_json(self) -> JsonObject:
        """Return the results of the comparison as JSON values."""
        return {
            "samples": self.count,
            "label_agreement": self.agreement,
            "max_probability_difference": self.largest,
        }
