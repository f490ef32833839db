"""Look a source over without training on it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from foveal.checks import Facts, class_balance, run_checks
from foveal.checks.base import most_severe_first
from foveal.console import Progress
from foveal.data.cache import Cache
from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.split import assign_splits
from foveal.pipeline import Pipeline
from foveal.predict.engine import available_cores
from foveal.recipe import Recipe
from foveal.types import Finding, JsonObject

# Large enough for the perceptual hash; the pixels are thrown away.
_SIDE = 32


@final
@dataclass(frozen=True)
class CheckReport:
    """What was found.

    Attributes:
        location: Of the data.
        layout: How it is laid out, in words.
        samples: How many pictures.
        balance: Label → side → number of pictures.
        findings: The most severe first.
    """

    location: str
    layout: str
    samples: int
    balance: dict[str, dict[str, int]]
    findings: tuple[Finding, ...]

    def to_json(self) -> JsonObject:
        """Return the report as `check --json` prints it."""
        return {
            "schema_version": 1,
            "data": self.location,
            "layout": self.layout,
            "samples": self.samples,
            "balance": self.balance,
            "findings": [asdict(finding) for finding in self.findings],
        }


def check_source(data: str | Path, recipe: Recipe, progress: Progress) -> CheckReport:
    """Decode every picture of a source, split it as training would, and run the checks.

    Raises:
        DataError: When there is nothing to look at.
    """
    source = open_source(data, recipe.data)
    limits = DecodeLimits(max_bytes=recipe.data.max_bytes, max_pixels=recipe.data.max_pixels)
    with tempfile.TemporaryDirectory(prefix="foveal-check-") as folder:
        cache = Cache.build(
            source,
            Pipeline(_SIDE, _SIDE),
            Path(folder) / "cache",
            limits,
            workers=available_cores(),
            progress=progress,
        )
        cache.close()
    distance = recipe.data.near_duplicate_distance
    split, leaks = assign_splits(
        source.samples, cache.scan, recipe.split, seed=recipe.seed, near_distance=distance
    )
    found = run_checks(source, cache.scan, split, near_distance=distance, task=recipe.task)
    facts = Facts(source.samples, cache.scan, split, distance)
    findings = most_severe_first((*source.findings, *leaks, *found))
    return CheckReport(
        source.location, source.layout, len(source.samples), class_balance(facts), tuple(findings)
    )
