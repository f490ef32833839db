"""The last check report of data, which is renewed if the data have changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, final

from foveal.checks.report import CheckReport
from foveal.console import Progress
from foveal.curation.workspace import Workspace
from foveal.data.source import Source
from foveal.data.stamp import stamp_of
from foveal.errors import DataError, MissingExtraError
from foveal.recipe import Recipe
from foveal.recipe.recipe import nested
from foveal.workflow.check import AddAnswers, check_source, settings_given
from foveal.workflow.sources import open_for, with_task

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class Checked:
    """Data with the report of their last check.

    Attributes:
        report: Report of the check.
        source: The data, opened as they were for the check.
        recipe: The recipe that they were opened with.
    """

    report: CheckReport
    source: Source
    recipe: Recipe


MakeAnswers: TypeAlias = Callable[[], AddAnswers]
"""Imports what computes features; MissingExtraError where torch is not installed."""


def checked(
    data: str | Path, recipe: Recipe, progress: Progress, *, answers: MakeAnswers | None = None
) -> Checked:
    """Return data with the report of their last check; check them where there is none that fits.

    A kept report fits when nothing was added, removed or changed since, and when it was made with
    the settings that are given. What is not given is as it was for that check, and where that
    computed features or used predictions, so does this one.

    Args:
        data: As for `foveal train`.
        recipe: Settings given for reading the data.
        progress: Receives the progress of a check.
        answers: Imports what computes features; None computes none.

    Raises:
        DataError: If there is nothing to look at.
        RecipeError: For a setting that says nothing of reading or dividing the data.
    """
    recipe = with_task(recipe, data)
    kept = _kept(Workspace.of(data).report)
    why = "this data has not been checked yet"
    if kept is not None:
        why = "the last check had other settings"
        if (as_checked := _as_checked(recipe, kept)) is not None:
            recipe = as_checked
            source = open_for(data, recipe)
            if stamp_of(source) == kept.stamp:
                return Checked(replace(kept, source=source), source, recipe)
            why = "the data has changed since the last check"
    logger.warning("%s: checking it now", why)
    report = check_source(
        data,
        recipe,
        progress,
        answer=_answers_of(kept, answers),
        predictions=_predictions_of(kept),
    )
    return Checked(report, open_for(data, recipe), recipe)


def _answers_of(kept: CheckReport | None, answers: MakeAnswers | None) -> AddAnswers | None:
    """Return what computes the features that the last check had."""
    if kept is None or not kept.features or answers is None:
        return None
    try:
        return answers()
    except MissingExtraError as error:
        logger.warning("labels are not checked for errors as in the last check: %s", error.message)
        return None


def _predictions_of(kept: CheckReport | None) -> Path | None:
    """Return the file of predictions that the last check used."""
    if kept is None or not kept.predictions:
        return None
    path = Path(kept.predictions)
    if not path.is_file():
        logger.warning("labels are not checked as in the last check: %s is gone", path)
        return None
    return path


def opened(data: str | Path, recipe: Recipe) -> tuple[Source, Recipe]:
    """Return data, read as they were for the last check where nothing else is given.

    Raises:
        DataError: If nothing is there, or nothing that can be read.
    """
    recipe = with_task(recipe, data)
    kept = _kept(Workspace.of(data).report)
    if kept is not None:
        recipe = _as_checked(recipe, kept) or recipe
    return open_for(data, recipe), recipe


def _as_checked(recipe: Recipe, kept: CheckReport) -> Recipe | None:
    """Return the recipe with what a check was given; None where something else is given."""
    if not settings_given(recipe).items() <= kept.settings.items():
        return None
    for key, value in kept.settings.items():
        recipe = recipe.overlaid(nested(key, value))
    return recipe


def _kept(path: Path) -> CheckReport | None:
    if not path.is_file():
        return None
    try:
        return CheckReport.load(path)
    except DataError as error:
        # Of another version, or damaged: it can be made again.
        logger.info("%s", error)
        return None
