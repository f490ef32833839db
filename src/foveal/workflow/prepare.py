"""Prepare a source for training: decode, split and check."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.checks import CheckInput, run_checks
from foveal.console import Progress
from foveal.data.cache import Cache
from foveal.data.source import Sample, Source
from foveal.data.split import assign_folds, assign_splits
from foveal.data.split_csv import read_split_csv, write_split_csv
from foveal.errors import DataError
from foveal.machine import available_cores
from foveal.pipeline import Pipeline
from foveal.recipe import Recipe
from foveal.tasks import get_task
from foveal.tasks.base import Task
from foveal.types import IGNORED, Finding, RawTarget
from foveal.workflow.resolve import pipeline_of
from foveal.workflow.retained import keep_trained_on
from foveal.workflow.rundir import RunDirectory, write_json
from foveal.workflow.sources import limits_of, target_kind_of
from foveal.workflow.start import Start

logger = logging.getLogger(__name__)

TRAIN, VAL, TEST = 0, 1, 2


@final
@dataclass(frozen=True)
class Prepared:
    """A source that is ready to be trained on.

    Attributes:
        recipe: The recipe, with no automatic value left.
        source: The pictures and their labels.
        task: Bound to the labels found.
        pipeline: The pre-processing.
        cache: Every readable picture at the size of the model input, or for tiles at its scale.
        split: (N,) int8: 0 train, 1 val, 2 test, -1 unused.
        findings: Findings of readers, split and checks.
        start: The model that the training starts from; None for new weights.
        folds: (N,) int8: fold of each sample, -1 for none; None without cross-validation. Then no
            sample is on the validation side.
    """

    recipe: Recipe
    source: Source
    task: Task
    pipeline: Pipeline
    cache: Cache
    split: NDArray[np.int8]
    findings: tuple[Finding, ...]
    start: Start | None = None
    folds: NDArray[np.int8] | None = None

    def fold(self, number: int) -> Prepared:
        """Return the same with a fold, counted from 0, as the validation side."""
        if self.folds is None:
            raise ValueError("prepared without folds")
        split = np.where(self.folds == number, np.int8(VAL), self.split)
        return replace(self, split=split, folds=None)

    def indices(self, side: int) -> NDArray[np.int64]:
        """Return the positions of the samples on one side of the split."""
        return np.flatnonzero(self.split == side).astype(np.int64)

    def targets(self, indices: NDArray[np.int64]) -> list[Any]:
        """Return the parsed targets of some samples."""
        samples = self.source.samples
        return [self.task.parse_target(raw_target(samples[i])) for i in indices]

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """Return (N,) the samples' own weights."""
        return np.array([sample.weight for sample in self.source.samples], np.float32)

    @cached_property
    def classes_of_masks(self) -> NDArray[np.uint8] | None:
        """Return (256,) position in the source's classes → class of the task, for tiles alone."""
        if not self.pipeline.is_tiled:
            return None
        classes = np.full(256, IGNORED, np.uint8)
        for i, name in enumerate(self.source.classes):
            position = self.task.labels.index(name)
            if position is not None:
                classes[i] = position
        return classes


def raw_target(sample: Sample) -> RawTarget:
    """Return a labelled sample's raw target.

    Raises:
        DataError: If it has no label.
    """
    if sample.raw is None:
        raise DataError(f"The sample {sample.id} has no label.")
    return sample.raw


def prepare(
    source: Source,
    recipe: Recipe,
    run: RunDirectory,
    progress: Progress,
    *,
    resume: bool = False,
    start: Start | None = None,
) -> Prepared:
    """Decode every picture once, split, check, and write what a person wants to see first.

    Args:
        source: The pictures.
        recipe: Resolved.
        run: Gets split.csv, findings.json and the cache.
        progress: Receives the progress.
        resume: Take cache and split that a killed run left, where they are whole.
        start: The model that the training starts from.

    Raises:
        DataError: If a check finds what training cannot work with.
    """
    pipeline = pipeline_of(recipe)
    # Before anything is decoded: the pictures of another set must not be left in the run's cache.
    kept = _kept_split(source, recipe, run) if resume else None
    cache = _cache(source, recipe, pipeline, run, progress, resume=resume)
    split, folds, found = kept or _split(source, cache, recipe, run, start=start)
    task = _bound(source, split, recipe)
    given = CheckInput(
        source.samples,
        cache.scan,
        # Every fold has pictures of each kind: what holds for the first holds for all.
        split if folds is None else np.where(folds == 0, np.int8(VAL), split),
        recipe.data.near_duplicate_distance,
        target_kind_of(recipe),
        folds=folds,
    )
    checked = run_checks(given, task=recipe.task)
    findings = (*source.findings, *found, *checked)
    write_json(run.findings, {"findings": [finding.to_json() for finding in findings]})
    raws = [s.raw for s, side in zip(source.samples, split, strict=True) if s.raw and side >= 0]
    _log_balance(raws, task)
    _log_findings(findings)
    prepared = Prepared(recipe, source, task, pipeline, cache, split, findings, start, folds)
    try:
        _refuse(prepared)
    except DataError:
        cache.close()
        shutil.rmtree(run.cache, ignore_errors=True)
        raise
    return prepared


def reopen(source: Source, recipe: Recipe, run: RunDirectory, start: Start | None) -> Prepared:
    """Return what `prepare` has prepared in a run directory, in another process.

    Raises:
        DataError: If the pictures are no longer those that were prepared, or the run directory
            is not there.
    """
    if not (Cache.is_complete(run.cache) and run.split.is_file()):
        raise DataError(
            f"The prepared pictures of the run are not in {run.cache} on this machine.",
            hint="use an --out that all machines share",
        )
    cache = Cache.open(run.cache)
    if len(cache.sizes) != len(source.samples):
        raise DataError(
            f"The data has changed: {len(cache.sizes)} pictures were prepared, but there are now "
            f"{len(source.samples)}.",
            hint="foveal train DATA",
        )
    split, _ = read_split_csv(run.split, source.samples)
    task = _bound(source, split, recipe)
    return Prepared(recipe, source, task, pipeline_of(recipe), cache, split, (), start)


def _bound(source: Source, split: NDArray[np.int8], recipe: Recipe) -> Task:
    """Return the task with the labels of the samples that are used."""
    raws = [s.raw for s, side in zip(source.samples, split, strict=True) if s.raw and side >= 0]
    return get_task(recipe.task).bind(get_task(recipe.task).fit_labels(raws), recipe.task_options)


def _refuse(prepared: Prepared) -> None:
    errors = [finding for finding in prepared.findings if finding.severity == "error"]
    if errors:
        raise DataError(errors[0].message, hint=errors[0].hint, code=errors[0].id)


def _cache(
    source: Source,
    recipe: Recipe,
    pipeline: Pipeline,
    run: RunDirectory,
    progress: Progress,
    *,
    resume: bool,
) -> Cache:
    if resume and Cache.is_complete(run.cache):
        return Cache.open(run.cache)
    return Cache.build(
        source,
        pipeline,
        run.cache,
        limits_of(recipe),
        workers=available_cores(),
        progress=progress,
    )


_Split: TypeAlias = tuple[NDArray[np.int8], NDArray[np.int8] | None, Sequence[Finding]]
"""The side of each sample, its fold, or None without folds, and findings."""


def _kept_split(source: Source, recipe: Recipe, run: RunDirectory) -> _Split | None:
    """Return the split that a run has, None if it has none yet.

    Raises:
        DataError: If the samples are no longer those of the run.
    """
    if not run.split.is_file():
        return None
    split, folds = read_split_csv(run.split, source.samples)
    if (recipe.train.folds is not None) != (folds is not None):
        raise DataError(
            f"{run.split} and the train.folds of {run.recipe} do not belong together: one has "
            "folds, and the other has none."
        )
    return split, folds, ()


def _split(
    source: Source,
    cache: Cache,
    recipe: Recipe,
    run: RunDirectory,
    *,
    start: Start | None,
) -> _Split:
    has_folds = recipe.train.folds is not None
    findings: Sequence[Finding]
    samples, shares = source.samples, recipe.split
    if has_folds:
        # Validation pictures of the data are dealt into folds with the others.
        samples = tuple(replace(s, split="train") if s.split == "val" else s for s in samples)
        shares = replace(shares, val_share=0.0)
    split, findings = assign_splits(
        samples,
        cache.scan,
        shares,
        seed=recipe.seed,
        near_distance=recipe.data.near_duplicate_distance,
        target=target_kind_of(recipe),
    )
    if start is not None:
        split, more = keep_trained_on(start, source.samples, cache.scan, split, recipe)
        findings = (*findings, *more)
    folds = _folds(source, cache, recipe, split)
    write_split_csv(run.split, source.samples, split, folds)
    return split, folds, findings


def _folds(
    source: Source, cache: Cache, recipe: Recipe, split: NDArray[np.int8]
) -> NDArray[np.int8] | None:
    if recipe.train.folds is None:
        return None
    try:
        return assign_folds(
            source.samples,
            cache.scan,
            np.flatnonzero(split == TRAIN).astype(np.int64),
            recipe.train.folds,
            seed=recipe.seed,
            near_distance=recipe.data.near_duplicate_distance,
            target=target_kind_of(recipe),
        )
    except DataError:
        cache.close()
        raise


# More labels than this are summed up rather than listed.
_LABELS_LISTED = 30


def _log_balance(raws: Sequence[RawTarget], task: Task) -> None:
    is_text = task.target_kind == "text"
    names = (name for raw in raws for name in ("".join(raw) if is_text else raw))
    counts = Counter(names).most_common()
    listed = ", ".join(f"{name} {count}" for name, count in counts[:_LABELS_LISTED])
    more = f", … down to {counts[-1][1]}" if len(counts) > _LABELS_LISTED else ""
    what = "characters" if is_text else "classes"
    logger.info("%d pictures, %d %s: %s%s", len(raws), len(counts), what, listed, more)


def _log_findings(findings: Sequence[Finding]) -> None:
    levels = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}
    # The first error is raised, with its hint.
    raised = next((finding for finding in findings if finding.severity == "error"), None)
    for finding in findings:
        if finding is raised:
            continue
        logger.log(levels[finding.severity], "%s: %s", finding.id, finding.message)
