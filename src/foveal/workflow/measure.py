"""Evaluate a bundle on given data or on the validation split of its run."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foveal.console import Progress
from foveal.data.source import ReadAnything, Sample, Source
from foveal.destination import check_folder, writing
from foveal.errors import DataError, UsageError
from foveal.evaluate.answering import Answering
from foveal.evaluate.evaluate import Evaluation, evaluate_bundle
from foveal.evaluate.measure import Measure, MeasureOptions
from foveal.evaluate.measure import measure as measure_samples
from foveal.predict.predictor import Predictor
from foveal.recipe import Recipe
from foveal.types import SPLIT_NAMES
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.sources import open_as, read_options, reading_of

if TYPE_CHECKING:
    from foveal.workflow.prepare import Prepared


def measure(
    predictor: Predictor,
    data: str | Path | None,
    *,
    run: Path | None,
    split: str | None,
    out: Path | None,
    progress: Progress,
    label_regex: str | None = None,
    elsewhere: Callable[[str | Path, ReadAnything], Measure] | None = None,
) -> Evaluation:
    """Measure a bundle on labelled data.

    Args:
        predictor: The opened bundle.
        data: The source's location; None takes the run's, and of that the validation split.
        run: The bundle's run, whose split is used where the data names none.
        split: `train`, `val` or `test`: only that part; None takes everything labelled.
        out: Folder for the report, the metrics and the predictions; None writes nothing.
        progress: Receives the progress.
        label_regex: Finds the label in a file's name; None takes any layout.
        elsewhere: Gives what answers the samples of a source on other machines, from where that is
            and how it is read; None answers here.

    Raises:
        UsageError: For an unknown split, no data and no run, or where `out` cannot be written to.
        DataError: If that part is empty or nothing can be measured.
    """
    if out is not None:
        check_folder(out)
    if data is None:
        data, options = own_data(run)
        split = split or "val"
        if split == "val" and predictor.bundle.manifest.folds is not None:
            raise UsageError(
                "The model was trained on all pictures of its run, with cross-validation: none was "
                f"kept for validation. {run}/report.html has the out-of-fold results.",
                hint="foveal evaluate MODEL OTHER_PICTURES",
            )
    else:
        bundle, limits = predictor.bundle, predictor.limits
        options = reading_of(bundle, label_regex=label_regex, limits=limits)
    source = open_as(data, options)
    samples = part_of(source, split, run)
    evaluation = evaluate_bundle(
        predictor,
        source,
        samples=samples,
        split=split,
        findings=source.findings,
        progress=progress,
        near_copies=split is None or run is None,
        measuring=measure_samples if elsewhere is None else elsewhere(data, options),
    )
    if out is not None:
        with writing(out):
            evaluation.write(out)
    return evaluation


def measure_prepared(
    predictor: Predictor,
    prepared: Prepared,
    progress: Progress,
    *,
    answering: Answering | None = None,
) -> Evaluation:
    """Measure a draft on its run's validation split, and choose its `unsure` limit there.

    Args:
        predictor: Predictor of the draft.
        prepared: The data.
        progress: Receives the progress.
        answering: Answers the training pictures in place of the draft, each by a network that was
            not trained on it; they are measured instead of the validation split.
    """
    options = prepared.recipe.evaluate
    chosen = SPLIT_NAMES.index("val" if answering is None else "train")
    samples = [
        sample
        for sample, side in zip(prepared.source.samples, prepared.split, strict=True)
        if side == chosen
    ]
    return evaluate_bundle(
        predictor,
        prepared.source,
        samples=samples,
        split="val" if answering is None else "folds",
        answering=answering,
        options=MeasureOptions(batch_size=options.batch_size, resamples=options.bootstrap),
        findings=prepared.findings,
        progress=progress,
        unsure_accuracy=options.unsure_accuracy,
        near_copies=False,
    )


def part_of(source: Source, split: str | None, run: Path | None) -> Sequence[Sample]:
    """Return the labelled samples of a part of a source, or all of them.

    Args:
        source: The labelled pictures.
        split: `train`, `val` or `test`; None takes everything labelled.
        run: The run whose split is used where the source has none.

    Raises:
        UsageError: For an unknown split.
        DataError: If that part is empty, or there are no parts.
    """
    if split is None:
        return [sample for sample in source.samples if sample.raw is not None]
    if split not in SPLIT_NAMES:
        raise UsageError(f"Unknown split {split!r}. Expected one of: {', '.join(SPLIT_NAMES)}.")
    if any(sample.split is not None for sample in source.samples):
        chosen = [sample for sample in source.samples if sample.split == split]
    elif run is not None:
        sides = _read_sides(run / "split.csv")
        chosen = [sample for sample in source.samples if sides.get(sample.id) == split]
    else:
        raise DataError(
            f"The data at {source.location} has no splits, and the run of the model is not "
            "available.",
            hint="leave --split out",
        )
    if not chosen:
        raise DataError(f"The split {split!r} of {source.location} is empty.")
    return chosen


def own_data(run: Path | None) -> tuple[str, ReadAnything]:
    """Return where the data of a run is, and how it was read."""
    if run is None:
        raise UsageError(
            "There is no data to evaluate on: none was given, and the run of this model cannot be "
            "found.",
            hint='model.evaluate("held-out")',
        )
    directory = RunDirectory.open(run)
    recipe = Recipe.load(directory.recipe)
    return directory.data, read_options(recipe)


def _read_sides(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["image"]: row["split"] for row in csv.DictReader(file)}
