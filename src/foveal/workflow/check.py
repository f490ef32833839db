"""Look a source over without training on it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from foveal.checks import CheckInput, characters, class_balance, length_balance, run_checks
from foveal.checks.base import most_severe_first
from foveal.console import Progress
from foveal.data.cache import Cache
from foveal.data.source import TargetKind
from foveal.data.split import assign_splits
from foveal.errors import RecipeError
from foveal.machine import available_cores
from foveal.pipeline import Pipeline
from foveal.recipe import Recipe
from foveal.types import Finding, JsonObject
from foveal.workflow.sources import limits_of, open_for, target_kind_of, with_task

# Large enough for the perceptual hash; the pixels are thrown away.
_SIDE = 32
# Pictures with masks keep their shape.
_MASK_PIPELINE = Pipeline(_SIDE, _SIDE, "tile", scale=0.125)


# What of a recipe says how data is read and divided.
_READ = ("task", "seed", "data", "split")


@final
@dataclass(frozen=True, repr=False)
class CheckReport:
    """What was found.

    Attributes:
        location: Location of the data.
        layout: How it is laid out, in words.
        samples: How many pictures.
        target: What a label is.
        balance: Label, or length of the text → side → number of pictures.
        characters: The different characters of the texts; empty for labels.
        findings: The most severe first.
    """

    location: str
    layout: str
    samples: int
    target: TargetKind
    balance: dict[str, dict[str, int]]
    characters: str
    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        """Return one line."""
        return (
            f"CheckReport({self.location}: {self.samples} pictures, {len(self.findings)} findings)"
        )

    def to_json(self) -> JsonObject:
        """Return the report as `check --json` prints it."""
        return {
            "schema_version": 1,
            "data": self.location,
            "layout": self.layout,
            "samples": self.samples,
            "target": self.target,
            "balance": self.balance,
            "characters": self.characters,
            "findings": [asdict(finding) for finding in self.findings],
        }


def check_source(data: str | Path, recipe: Recipe, progress: Progress) -> CheckReport:
    """Decode every picture of a source, split it as training would, and run the checks.

    Raises:
        DataError: When there is nothing to look at.
        RecipeError: For a setting that says nothing of reading or dividing the data.
    """
    for key in sorted(recipe.given):
        if key.partition(".")[0] not in _READ:
            raise RecipeError(
                f"{key} has no effect on a check. Expected keys of {', '.join(_READ)}.",
                hint=f"leave {key} out",
            )
    recipe = with_task(recipe, data)
    source = open_for(data, recipe)
    target = target_kind_of(recipe)
    with tempfile.TemporaryDirectory(prefix="foveal-check-") as folder:
        cache = Cache.build(
            source,
            _MASK_PIPELINE if source.classes else Pipeline(_SIDE, _SIDE),
            Path(folder) / "cache",
            limits_of(recipe),
            workers=available_cores(),
            progress=progress,
        )
        cache.close()
    distance = recipe.data.near_duplicate_distance
    split, leaks = assign_splits(
        source.samples,
        cache.scan,
        recipe.split,
        seed=recipe.seed,
        near_distance=distance,
        target=target,
    )
    found = run_checks(
        source, cache.scan, split, near_distance=distance, task=recipe.task, target=target
    )
    given = CheckInput(source.samples, cache.scan, split, distance, target)
    is_text = target == "text"
    return CheckReport(
        location=source.location,
        layout=source.layout,
        samples=len(source.samples),
        target=target,
        balance=length_balance(given) if is_text else class_balance(given),
        characters=characters(given) if is_text else "",
        findings=tuple(most_severe_first((*source.findings, *leaks, *found))),
    )
