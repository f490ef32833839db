"""Clean data by decisions and rules, and undo it."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from foveal.collect.provenance import update_provenance
from foveal.console import Progress
from foveal.curation.cleaned import CleanReport
from foveal.curation.decisions import Decision, Decisions
from foveal.curation.journal import Cleaning, Journal
from foveal.curation.plan import Change, Layout, Plan, make_plan
from foveal.curation.rules import Known, by_rules
from foveal.curation.workspace import Workspace
from foveal.data.files_source import FileSource
from foveal.data.locate import location_of
from foveal.data.names import is_archive, is_tar_name, without_archive_suffix
from foveal.data.opening import picture_size
from foveal.data.source import Source, TargetKind
from foveal.data.storage import LocalStorage
from foveal.errors import DataError, ImageError, UsageError
from foveal.page import parse_steps
from foveal.recipe import Recipe
from foveal.synth import is_synth
from foveal.types import Finding, JsonObject
from foveal.urls import is_url
from foveal.workflow.kept import MakeAnswers, checked, opened
from foveal.workflow.sources import limits_of, target_kind_of

logger = logging.getLogger(__name__)

Confirm: TypeAlias = Callable[[CleanReport], bool]


def clean_data(
    data: str | Path,
    recipe: Recipe,
    *,
    auto: bool,
    only: Sequence[str],
    steps: Sequence[str],
    confirm: Confirm,
    progress: Progress,
    answers: MakeAnswers | None = None,
) -> CleanReport:
    """Apply the decisions about samples, completely or not at all.

    Args:
        data: A folder, or a table in one.
        recipe: Settings given for reading the data.
        auto: Whether findings are dealt with by `foveal.curation.rules` too.
        only: Ids of findings; then nothing else is dealt with.
        steps: Page steps that all other pictures go through; none leaves them as they are.
        confirm: Given the plan, says whether to go on.
        progress: Receives the progress of a check, where one is needed.
        answers: Imports what computes features for such a check.

    Raises:
        DataError: If the data cannot be changed, or a file changed meanwhile.
        UsageError: If nothing is decided, another process cleans the data, or `only` names a
            finding without a rule.
    """
    with _journal_of(data) as (journal, folder):
        past = [cleaning for cleaning in journal.history() if cleaning.state == "applied"]
        decided = Decisions(Workspace.of(data).review).read()
        wanted = _changes(_not_done(decided.values(), past), only)
        if not wanted and not auto and not steps:
            raise UsageError(
                f"There are no decisions about {data} left to apply.",
                hint=f"foveal review {_shown(data)}, or by rules: "
                f"foveal clean {_shown(data)} --auto",
            )
        findings: tuple[Finding, ...] = ()
        if auto or steps:
            last = checked(data, recipe, progress, answers=answers)
            findings, source, recipe = last.report.findings, last.source, last.recipe
        else:
            source, recipe = opened(data, recipe)
        files = _changeable(data, source)
        known = _known(files, recipe, wanted, {*decided, *_relabelled(past)})
        ruled, notes = by_rules(findings if auto else (), known, only)
        target = target_kind_of(recipe)
        layout = _layout(steps, recipe, findings, target) if steps else None
        plan = make_plan(files, folder, target, [*wanted, *ruled], layout)
        planned = CleanReport(
            source.location, "planned", plan.changes, plan.passed_over, tuple(notes)
        )
        if not plan.changes or not confirm(planned):
            return planned
        about = _about(plan, decided.values())
        cleaning = journal.apply(about, plan.moves, plan.edits, progress)
        update_provenance(folder)
        return replace(planned, state="applied", number=cleaning.number)


def _layout(
    steps: Sequence[str], recipe: Recipe, findings: Sequence[Finding], target: TargetKind
) -> Layout:
    if target == "mask":
        raise UsageError(
            "Steps cannot be applied to pictures with masks, which would no longer match them."
        )
    parse_steps(steps)
    unreadable = {
        suspect.sample
        for finding in findings
        if finding.id == "images.unreadable"
        for suspect in finding.suspects
    }
    return Layout(tuple(steps), limits_of(recipe), unreadable)


def _about(plan: Plan, decided: Iterable[Decision]) -> JsonObject:
    """Return what the journal keeps of a cleaning, besides what it does to files."""
    targets = {move.source: move.target for move in plan.moves}
    return {
        "changes": [change.to_json() for change in plan.changes],
        "decisions": [[d.sample, d.at.isoformat()] for d in decided],
        "relabelled": [
            targets.get(change.sample, change.sample)
            for change in plan.changes
            if change.action == "relabel"
        ],
    }


def undo_cleaning(data: str | Path) -> CleanReport:
    """Bring back everything as it was before the last cleaning that is not undone.

    Raises:
        DataError: If the data cannot be changed, or files changed since; then nothing is done.
        UsageError: If there is nothing to undo, or another process cleans the data.
    """
    with _journal_of(data) as (journal, folder):
        undone = journal.undo()
        update_provenance(folder)
        return replace(CleanReport.of(str(data), undone), state="undone")


def cleanings_of(data: str | Path) -> list[Cleaning]:
    """Return all cleanings of some data, the first one first.

    Raises:
        DataError: If the data cannot be changed.
    """
    folder, workspace = _folder(data)
    return Journal(folder, workspace.path).history()


@contextmanager
def _journal_of(data: str | Path) -> Iterator[tuple[Journal, Path]]:
    """Lock the data, and undo first what was interrupted."""
    folder, workspace = _folder(data)
    journal = Journal(folder, workspace.path)
    with journal.alone():
        left = journal.recover()
        if left is not None:
            logger.warning(
                "the cleaning of %s was interrupted, so its changes were undone",
                f"{left.at:%Y-%m-%d %H:%M}",
            )
            update_provenance(folder)
        yield journal, folder


def _folder(data: str | Path) -> tuple[Path, Workspace]:
    """Return the folder that will be changed.

    Raises:
        UsageError: If it is neither a path nor a URL.
        DataError: If there is none, with what to do instead.
    """
    workspace = Workspace.of(location_of(data))
    name = _shown(data)
    hint = "cp -r it to a folder of your own first"
    if is_synth(data):
        what, hint = "is generated anew each time", f"foveal synth {str(data)[6:]} --out FOLDER"
    elif is_url(data):
        what, hint = "is a URL", "copy it to this machine first"
    elif not Path(data).exists():
        raise DataError(f"{data} does not exist.", code="data_missing")
    elif is_archive(Path(data)):
        what = "is an archive"
        folder = shlex.quote(without_archive_suffix(Path(data).name))
        hint = f"unpack it first: python -m zipfile -e {name} {folder}"
        if is_tar_name(Path(data).name):
            hint = f"unpack it first: mkdir {folder} && tar -xf {name} -C {folder}"
    elif workspace.data is None:
        what = "cannot be written to"
    else:
        return workspace.data, workspace
    raise DataError(
        f"{data} {what}, so nothing in it can be moved. Expected a folder of pictures.", hint=hint
    )


def _changeable(data: str | Path, source: Source) -> FileSource:
    if isinstance(source, FileSource) and isinstance(source.storage, LocalStorage):
        return source
    raise DataError(
        f"{data} contains arrays, so no picture can be moved: {source.layout}.",
        hint=f"write them as files first: foveal split {_shown(data)} --out FOLDER",
    )


def _not_done(decided: Iterable[Decision], past: Sequence[Cleaning]) -> list[Decision]:
    """Return the decisions that no cleaning that stands has done."""
    done = {tuple(pair) for cleaning in past for pair in cleaning.about["decisions"]}
    return [d for d in decided if (d.sample, d.at.isoformat()) not in done]


def _relabelled(past: Sequence[Cleaning]) -> list[str]:
    """Return the samples that got their labels by cleanings: rules shall not doubt them again."""
    return [sample for cleaning in past for sample in cleaning.about["relabelled"]]


def _changes(decided: Sequence[Decision], only: Sequence[str]) -> list[Change]:
    words = "decided in the review"
    return [
        Change(d.sample, d.action, d.label, words, d.finding)
        for d in decided
        if d.action in ("relabel", "quarantine") and (not only or d.finding in only)
    ]


def _known(
    source: FileSource, recipe: Recipe, wanted: Sequence[Change], decided: set[str]
) -> Known:
    limits = limits_of(recipe)
    gone = {change.sample for change in wanted if change.action == "quarantine"}

    def pixels(name: str) -> int:
        try:
            height, width = picture_size(source.storage, name, limits)
        except ImageError:
            return 0
        return height * width

    samples = {sample.id: sample for sample in source.samples if sample.id not in gone}
    return Known(samples, pixels, decided)


def _shown(data: str | Path) -> str:
    """Return the location as a shell takes it."""
    return shlex.quote(str(data))
