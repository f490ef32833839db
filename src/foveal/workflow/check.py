"""Check a source without training."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from foveal.checks import CheckInput, characters, class_balance, length_balance, run_checks
from foveal.checks.base import most_severe_first
from foveal.checks.report import CheckReport
from foveal.console import Progress
from foveal.curation.workspace import Workspace
from foveal.data.cache import Cache
from foveal.data.measures import SIDE
from foveal.data.resemblance import find_copies
from foveal.data.source import Source
from foveal.data.split import assign_splits
from foveal.data.stamp import stamp_of
from foveal.errors import RecipeError
from foveal.machine import available_cores
from foveal.pipeline import Pipeline
from foveal.recipe import Recipe
from foveal.workflow.predicted import predicted
from foveal.workflow.sources import limits_of, open_for, target_kind_of, unread, with_task

logger = logging.getLogger(__name__)

# Large enough for the perceptual hash; the pixels are thrown away.
_SIDE = 32
# Pictures with masks keep their shape.
_MASK_PIPELINE = Pipeline(_SIDE, _SIDE, "tile", scale=0.125)


# What of a recipe says how data is read and divided.
_READ = ("task", "seed", "data", "split")


AddAnswers: TypeAlias = Callable[[CheckInput, Source, Recipe, Path, Progress], CheckInput]
"""Adds features and out-of-fold answers: see `foveal.workflow.features.answer`."""


def check_source(
    data: str | Path,
    recipe: Recipe,
    progress: Progress,
    *,
    answer: AddAnswers | None = None,
    predictions: Path | None = None,
) -> CheckReport:
    """Decode every picture of a source, split it as training would, and run the checks.

    The report is kept in the cache of the source's workspace.

    Args:
        data: As for `foveal train`.
        recipe: Settings given for reading and dividing the data.
        progress: Receives the progress.
        answer: Adds what the checks with a network look at; None leaves them out.
        predictions: `predictions.csv` by which labels are checked, in place of answers that
            `answer` computes; None takes these.

    Raises:
        DataError: If there is nothing to look at, or if the predictions do not belong to the data.
        RecipeError: For a setting that says nothing of reading or dividing the data.
    """
    recipe = with_task(recipe, data)
    _refuse_unread(recipe)
    source = open_for(data, recipe)
    # Before the pictures are read: what changes meanwhile is seen the next time.
    stamp = stamp_of(source)
    target = target_kind_of(recipe)
    known = None if predictions is None else predicted(predictions, source, target)
    with tempfile.TemporaryDirectory(prefix="foveal-check-") as folder:
        cache = Cache.build(
            source,
            _MASK_PIPELINE if source.classes else Pipeline(_SIDE, _SIDE),
            Path(folder) / "cache",
            limits_of(recipe),
            workers=available_cores(),
            progress=progress,
            # Strokes of text are seen at the scale at which they were written.
            side=None if target == "text" else SIDE,
        )
        cache.close()
    distance = recipe.data.near_duplicate_distance
    labelled = np.array([sample.raw is not None for sample in source.samples], np.bool_)
    usable = np.flatnonzero(labelled & cache.scan.ok).astype(np.int64)
    copies = find_copies(source.samples, cache.scan, usable, target, distance)
    split, leaks = assign_splits(
        source.samples,
        cache.scan,
        recipe.split,
        seed=recipe.seed,
        near_distance=distance,
        target=target,
        copies=copies,
    )
    given = CheckInput(source.samples, cache.scan, split, distance, target, copies=copies)
    if answer is not None:
        given = answer(given, source, recipe, Workspace.of(data).cache, progress)
    if known is not None:
        given = replace(given, out_of_fold=known)
    found = run_checks(given, task=recipe.task)
    is_text = target == "text"
    report = CheckReport(
        location=source.location,
        layout=source.layout,
        samples=len(source.samples),
        target=target,
        balance=length_balance(given) if is_text else class_balance(given),
        characters=characters(given) if is_text else "",
        findings=tuple(most_severe_first((*source.findings, *leaks, *found))),
        settings=settings_given(recipe),
        features=answer is not None,
        predictions="" if predictions is None else str(predictions.absolute()),
        stamp=stamp,
        source=source,
    )
    keep(report, Workspace.of(data))
    return report


def _refuse_unread(recipe: Recipe) -> None:
    """Raise for a setting that was given and changes neither reading nor dividing."""
    for key in unread(recipe, _READ):
        raise RecipeError(
            f"{key} has no effect on a check. Expected keys of {', '.join(_READ)}.",
            hint=f"leave {key} out",
        )


def settings_given(recipe: Recipe) -> dict[str, Any]:
    """Return dotted key → value of what a recipe was given."""
    values = {}
    for key in sorted(recipe.given):
        value: Any = recipe.to_dict()
        for part in key.split("."):
            value = value[part]
        values[key] = value
    return values


def keep(report: CheckReport, workspace: Workspace) -> None:
    """Keep a report for `review` and `clean`."""
    try:
        workspace.cache.mkdir(parents=True, exist_ok=True)
        report.save(workspace.report)
    except OSError as error:
        # What was found is still worth showing.
        logger.warning("cannot save the report of this check: %s", error)
