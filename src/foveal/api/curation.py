"""Decide about data and change it: nothing is deleted, and everything can be undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foveal.console import Progress
from foveal.foreign import spelled
from foveal.model import shown_progress

if TYPE_CHECKING:
    from foveal.curation.cleaned import CleanReport
    from foveal.curation.journal import Cleaning


@spelled
def clean(
    data: str | Path,
    *,
    auto: bool = False,
    only: Sequence[str] = (),
    dry_run: bool = False,
    undo: bool = False,
    confirm: Callable[[CleanReport], bool] | None = None,
    task: str | None = None,
    overrides: Sequence[str] = (),
    label_regex: str | None = None,
    verbose: bool = True,
    progress: Progress | None = None,
) -> CleanReport:
    """Do what a review decided: move pictures to quarantine, give others another label.

    A cleaning is done whole or not at all, also when the process is killed, and nothing is
    deleted: pictures go to `.foveal/quarantine/` in the folder.

    Args:
        data: A folder of pictures, or a table in one.
        auto: Deal with findings of `foveal.check` too, by the rules in
            `foveal.curation.rules.RULES`; what a person decided comes first.
        only: Ids of findings, such as `["images.near_duplicate"]`; then nothing else is dealt
            with.
        dry_run: Only return what would be done.
        undo: Bring back everything as it was before the last cleaning, instead of cleaning.
        confirm: Given the plan, returns whether to go on; None goes on.
        task: As for `foveal.check`; None takes that of the last check.
        overrides: As for `foveal.check`.
        label_regex: As for `foveal.check`.
        verbose: Whether a terminal or notebook shows a bar, if no `progress` is given.
        progress: Receives the progress of a check, where the last one is out of date.

    Returns:
        What was done. Its `changes` hold every sample; a notebook shows it as a table.

    Raises:
        DataError: For data that cannot be changed in place, and where files changed meanwhile.
        UsageError: When nothing is decided, nothing can be undone, or another process is cleaning.

    Example:
        >>> foveal.clean("photos", auto=True, dry_run=True)  # doctest: +SKIP
        CleanReport(photos, planned: 12 pictures to quarantine)
    """
    from foveal.errors import UsageError
    from foveal.recipe import make_recipe
    from foveal.workflow.clean import clean_data, undo_cleaning

    if undo:
        if auto or only or dry_run:
            raise UsageError(
                "Undoing brings back all of a cleaning. Expected no auto, only or dry_run with it."
            )
        return undo_cleaning(data)
    recipe = make_recipe(None, overrides, {"task": task, "label_regex": label_regex})
    reporting = shown_progress(progress, verbose=verbose)
    agree = confirm or (lambda plan: True)
    try:
        return clean_data(
            data,
            recipe,
            auto=auto,
            only=only,
            confirm=(lambda plan: False) if dry_run else agree,
            progress=reporting,
        )
    finally:
        reporting.finish()


def cleanings(data: str | Path) -> list[Cleaning]:
    """Return the cleanings of some data, the first one first.

    Args:
        data: As for `clean`.

    Raises:
        DataError: For data that cannot be changed in place.
    """
    from foveal.workflow.clean import cleanings_of

    return cleanings_of(data)
