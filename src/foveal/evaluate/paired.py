"""Is a run better than another one? Tests on the pictures that both answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from foveal.data.findings import plural
from foveal.metrics import Interval, holm, mcnemar, paired_difference
from foveal.types import JsonObject


@final
@dataclass(frozen=True, slots=True)
class PairedTest:
    """A run against the first one, on the pictures that both answered.

    Attributes:
        run: Name of the run.
        baseline: Name of the first run.
        common: How many pictures both answered.
        gained: Right here, wrong in the first.
        lost: Wrong here, right in the first.
        difference: Share of right answers here minus there, with its 95 % interval.
        p_value: Exact McNemar, adjusted by Holm when several runs are tested; None without
            common pictures.
    """

    run: str
    baseline: str
    common: int
    gained: int
    lost: int
    difference: Interval
    p_value: float | None

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "run": self.run,
            "baseline": self.baseline,
            "common": self.common,
            "gained": self.gained,
            "lost": self.lost,
            "difference": self.difference.to_json(),
            "p_value": self.p_value,
        }

    @property
    def sentence(self) -> str:
        """Return the result in words."""
        if self.p_value is None:
            return (
                f"{self.run} and {self.baseline} have no pictures in common, so there is no "
                "paired test."
            )
        difference = self.difference
        verdict = "more" if self.p_value < 0.05 else "no more"
        return (
            f"{self.run} against {self.baseline} on "
            f"{plural(self.common, 'common picture')}: "
            f"{100 * difference.value:+z.2f} points ({100 * difference.low:+z.2f} to "
            f"{100 * difference.high:+z.2f}), {self.gained} gained, {self.lost} lost, "
            f"p = {self.p_value:.2g} (McNemar): {verdict} than chance explains."
        )


def paired_tests(answers: Sequence[tuple[str, Mapping[str, bool]]]) -> tuple[PairedTest, ...]:
    """Test every run against the first, picture by picture.

    Args:
        answers: (name of the run, picture → whether its answer was right).
    """
    baseline, known = answers[0]
    drafts: list[tuple[str, list[bool], list[bool]]] = []
    for name, correct in answers[1:]:
        common = [image for image in known if image in correct]
        drafts.append((name, [known[i] for i in common], [correct[i] for i in common]))
    adjusted = iter(holm([mcnemar(before, after) for _, before, after in drafts if before]))
    return tuple(
        PairedTest(
            run=name,
            baseline=baseline,
            common=len(before),
            gained=sum(b and not a for a, b in zip(before, after, strict=True)),
            lost=sum(a and not b for a, b in zip(before, after, strict=True)),
            difference=paired_difference(before, after),
            p_value=next(adjusted) if before else None,
        )
        for name, before, after in drafts
    )
