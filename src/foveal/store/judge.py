"""Judge whether a version may replace another, by the pinned test set."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from foveal.bundle.bundle import Bundle
from foveal.errors import DataError, PromotionRefused
from foveal.store.answers import Answered, AnswerTable
from foveal.store.difference import Difference, paired
from foveal.store.state import TestSet
from foveal.types import JsonObject

# Of the arithmetic, where a difference is exactly the tolerance.
_ROUNDING = 1e-9


@final
@dataclass(frozen=True, slots=True)
class TestResult:
    """The result of a version on a pinned test set.

    Attributes:
        bundle: Version of the bundle.
        digest: Digest of the pictures and labels that were found there.
        metrics: Name → {"value", "low", "high"}.
        answers: Its answers; pictures that it could not be measured on are missing.
    """

    __test__ = False  # pytest would take it for a class of tests.

    bundle: str
    digest: str
    metrics: Mapping[str, Mapping[str, float | None]]
    answers: AnswerTable

    def to_bytes(self) -> bytes:
        """Return a file that `from_bytes` reads."""
        values = {
            "bundle": self.bundle,
            "digest": self.digest,
            "metrics": {name: dict(value) for name, value in self.metrics.items()},
            "answers": self.answers.to_bytes().decode(),
        }
        return json.dumps(values, ensure_ascii=False, allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> TestResult | None:
        """Read what `to_bytes` gave; None where it is damaged, for it can be measured again."""
        try:
            values = json.loads(content)
            answers = AnswerTable.from_bytes(values["answers"].encode())
            return cls(values["bundle"], values["digest"], dict(values["metrics"]), answers)
        except (ValueError, TypeError, KeyError, AttributeError, DataError):
            return None


Measure = Callable[[Bundle, TestSet], TestResult]
"""Measures a version on a pinned test set."""


def compare_on_test(metric: str, before: TestResult, after: TestResult) -> Difference:
    """Return how much better a version is than another one on the test set.

    A picture that only one of them could answer counts as wrong for the other.
    """
    return paired(
        metric,
        _filled(before.answers, after.answers),
        _filled(after.answers, before.answers),
    )


def _filled(answers: AnswerTable, others: AnswerTable) -> AnswerTable:
    missing = {
        image: Answered(other.target, "", 0.0, is_right=False)
        for image, other in others.pictures.items()
        if image not in answers.pictures
    }
    return AnswerTable({**answers.pictures, **missing})


def check_not_worse(
    difference: Difference, test: TestSet, versions: tuple[str, str], alias: str
) -> None:
    """Raise when a version is worse on the test set than the one that it is to replace.

    Args:
        difference: How the new version differs from the present one.
        test: The test set.
        versions: The present version and the new one, as users type them.
        alias: The alias that is to move.

    Raises:
        PromotionRefused: With the difference and its interval.
    """
    before, after = versions
    hint = f"foveal models promote {after} --alias {alias} --force"
    if math.isnan(difference.value):
        raise PromotionRefused(
            f"{after} cannot be compared with {before} on {test.data}: one of them was trained on "
            "each of its pictures.",
            hint=f"pin other pictures, or {hint}",
        )
    if difference.value < -test.tolerance - _ROUNDING:
        allowed = f" (allowed: {-100 * test.tolerance:.2f})" if test.tolerance else ""
        chance = "; this may be due to chance" if difference.value.high >= 0 else ""
        raise PromotionRefused(
            f"{after} is worse than {before} on the pinned test set {test.data}: "
            f"{difference.sentence}{allowed}{chance}.",
            hint=hint,
        )


def judgement(test: TestSet, after: TestResult, difference: Difference | None) -> JsonObject:
    """Return what the history keeps of a comparison."""
    return {
        "data": test.data,
        "digest": test.digest,
        "metrics": {name: dict(value) for name, value in after.metrics.items()},
        "difference": None if difference is None else difference.to_json(),
    }
