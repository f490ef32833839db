"""The end of a study: its result is written into its folder."""

from __future__ import annotations

import os
import shutil

from foveal.atomic import atomic_path, write_atomic
from foveal.tune.folder import StudyFolder
from foveal.tune.importance import importances
from foveal.tune.journal import Journal
from foveal.tune.page import page
from foveal.tune.result import Tuning
from foveal.tune.spacefile import space_from_json
from foveal.tune.state import State
from foveal.tune.table import rows_of, trials_csv
from foveal.tune.verdict import Verdict, judge


def conclude(
    folder: StudyFolder, *, seconds: float, budget_s: float | None, interrupted: bool
) -> Tuning:
    """Write the result of a study into its folder, and return it.

    Args:
        folder: The study.
        seconds: What it took.
        budget_s: The budget.
        interrupted: Whether it was stopped before its end.
    """
    about = folder.read_about()
    space = space_from_json(about["space"])
    journal = Journal(folder.journal, space, about["rungs"])
    rows = rows_of(journal, space)
    state = State.of(folder, journal)
    verdict = judge(folder, state.chosen, about["metric"])
    write_atomic(folder.table, trials_csv(rows, space))
    _write_winner(folder, verdict)
    tuning = Tuning(
        study=folder.path,
        metric=about["metric"],
        verdict=verdict,
        trials=tuple(rows),
        importances=importances(rows, space),
        space=space,
        seconds=seconds,
        budget_s=budget_s,
        interrupted=interrupted,
    )
    write_atomic(folder.report, page(tuning))
    folder.write(folder.result, tuning.to_json())
    if not interrupted:
        shutil.rmtree(folder.decoded, ignore_errors=True)
    return tuning


def _write_winner(folder: StudyFolder, verdict: Verdict) -> None:
    """Write the recipe that came out, and a model by it where one was trained."""
    run = folder.fixed
    name = "default-1"
    if verdict.is_better and verdict.trial is not None:
        run, name = folder.trial(verdict.trial), f"trial-{verdict.trial}-1"
    write_atomic(folder.recipe, run.recipe.read_bytes())
    trained = folder.comparison(name).bundle
    if not folder.compared(name).is_file():
        return
    with atomic_path(folder.bundle) as temporary:
        shutil.copytree(trained, temporary, copy_function=_link)


def _link(source: str, copy: str) -> None:
    try:
        os.link(source, copy)
    except OSError:
        shutil.copyfile(source, copy)
