"""Evaluate a bundle on labelled data: metrics with intervals, findings, pictures, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.atomic import write_atomic
from foveal.bundle.manifest import Manifest
from foveal.console import NoProgress, Progress
from foveal.data.source import Sample, Source
from foveal.errors import MissingExtraError
from foveal.evaluate.baseline import BaselineComparison, compare_baseline, primary_by_sample
from foveal.evaluate.certainty import certainty
from foveal.evaluate.examples import choose_best, choose_lowest, choose_worst, make_examples
from foveal.evaluate.findings import groups, own_findings, promise_findings
from foveal.evaluate.frames import (
    Mistakes,
    answers_frame,
    confusion_frame,
    mistakes_of,
    plot_confusion,
)
from foveal.evaluate.latency import time_single
from foveal.evaluate.limit import below, calibrate_limit
from foveal.evaluate.measure import Measure, MeasuredSamples, MeasureOptions, measure
from foveal.evaluate.recognise import recognised, trained_on_finding
from foveal.evaluate.report import render_report
from foveal.evaluate.results import Results
from foveal.evaluate.table import target_text, write_predictions
from foveal.extras import install_extra
from foveal.foreign import missing_attribute
from foveal.predict.predictor import Predictor
from foveal.tasks.base import ReportSection, Task
from foveal.types import Finding


@final
@dataclass(frozen=True, repr=False)
class Evaluation(Results):
    """What a bundle does on labelled data, and how it is shown; see `Results` for its values."""

    @property
    def mistakes(self) -> Mistakes:
        """The wrong answers, the surest first: a sequence with `to_pandas()`."""
        return mistakes_of(self)

    @property
    def confusion(self) -> Any:
        """A data frame of counts: a row for each true class, a column for each answer.

        Of masks, pixels are counted.

        Raises:
            MissingExtraError: If pandas is not installed.
            UsageError: If the answers are not classes.
        """
        return confusion_frame(self)

    def to_pandas(self) -> Any:
        """Return a data frame with a row for each picture, as `predictions.csv` has it.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        return answers_frame(self)

    def plot(self, ax: Any = None) -> Any:
        """Draw the confusion of the classes, and return the axes.

        Args:
            ax: Axes of matplotlib to draw on; None makes some.

        Raises:
            MissingExtraError: If matplotlib is not installed.
            UsageError: If the answers are not classes.
        """
        return plot_confusion(self, ax)

    def __repr__(self) -> str:
        """Return one line: the primary metric, how many pictures, and mistakes or the worst."""
        name = self.task.primary_metric
        tail = f"{self.samples - int(self.correct.sum())} mistakes"
        if self.degree is not None:
            tail = f"the lowest {self.degree.min():.3f}"
        return (
            f"Evaluation({self.manifest.name}: {name} {self.metrics[name]}, {self.samples} "
            f"pictures, {tail})"
        )

    def __getattr__(self, name: str) -> Any:
        """Say what to type instead of what other libraries have."""
        raise missing_attribute("evaluation", "evaluation", name, dir(type(self)))

    def to_html(self, *, results: Path | None = None, more: Sequence[ReportSection] = ()) -> str:
        """Return the report: one HTML document that needs nothing else.

        Args:
            results: A run's `results.csv`, for the training curves.
            more: Sections that come first.
        """
        return render_report(self, results=results, more=more)

    def write(
        self, out: Path, *, results: Path | None = None, more: Sequence[ReportSection] = ()
    ) -> None:
        """Write `report.html`, `metrics.json` and `predictions.csv` into a folder.

        Args:
            out: The folder; made when it is not there.
            results: A run's `results.csv`, for the training curves.
            more: Sections of the report that come first.
        """
        out.mkdir(parents=True, exist_ok=True)
        write_predictions(self, out / "predictions.csv")
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(out / "metrics.json", text + "\n")
        write_atomic(out / "report.html", self.to_html(results=results, more=more))

    def show(self) -> None:
        """Show the whole report in a notebook.

        Raises:
            MissingExtraError: Where IPython is not installed.
        """
        try:
            from IPython.display import display
        except ImportError as error:
            raise MissingExtraError(
                "show() draws in a notebook, and IPython is not installed.",
                hint=f'{install_extra("notebook")}, or evaluation.write(Path("report"))',
            ) from error
        display(self)  # type: ignore[no-untyped-call]

    def _repr_html_(self) -> str:
        """Return the report in a frame of its own, so that its style stays inside."""
        return (
            '<iframe title="foveal report" style="width:100%;height:860px;border:0" '
            f'srcdoc="{escape(self.to_html())}"></iframe>'
        )


def evaluate_bundle(
    predictor: Predictor,
    source: Source,
    *,
    samples: Sequence[Sample] | None = None,
    split: str | None = None,
    options: MeasureOptions | None = None,
    findings: Sequence[Finding] = (),
    progress: Progress | None = None,
    unsure_accuracy: float | None = None,
    near_copies: bool = True,
    measuring: Measure = measure,
) -> Evaluation:
    """Measure a bundle on a source, through the same code that serves it.

    A sample that cannot be decoded, has no label or one that the bundle does not know is counted
    and listed in `failures`; the metrics are over the others.

    Args:
        predictor: The opened bundle.
        source: The labelled pictures.
        samples: Those of the source to measure; None takes all.
        split: What part of the source these are, where they are one.
        options: How.
        findings: What is known about the data already; shown in the report.
        progress: Told how far the work is.
        unsure_accuracy: Choose the bundle's `unsure` limit on these answers, for this accuracy:
            the evaluation's manifest holds it, and its answers are judged by it.
        near_copies: Whether near copies of pictures that were trained on count as trained on. A
            split has been looked at more closely than hashes can.
        measuring: Answers the samples; other machines may do that.

    Raises:
        DataError: When not one sample could be measured.
    """
    chosen = options or MeasureOptions()
    task, shown = predictor.task, progress or NoProgress()
    measured = measuring(
        predictor,
        source,
        source.samples if samples is None else samples,
        batch_size=chosen.batch_size,
        progress=shown,
        with_looks=near_copies,
    )
    # Intervals, latency and examples: some seconds, on large pictures a minute.
    shown.start("summarise", None)
    correct = task.is_correct(measured.rows)
    raws = [sample.raw or () for sample in measured.samples]
    baseline = compare_baseline(task, raws, measured.rows, seed=chosen.seed)
    manifest = predictor.bundle.manifest
    if unsure_accuracy is not None:
        manifest, measured = _with_limit(
            manifest, task, measured, correct, baseline, unsure_accuracy
        )
    confidence = np.array([p.confidence for p in measured.predictions], np.float64)
    unsure = np.array([p.unsure for p in measured.predictions], bool)
    seen = recognised(predictor.bundles, measured)
    targets = [target_text(sample) for sample in measured.samples]
    degree = primary_by_sample(task, measured.rows) if task.right_when else None
    worst, best = _shown(confidence, correct, targets, degree, chosen)
    intervals = metrics.summarise_with_intervals(
        measured.rows, task.summarise, correct, resamples=chosen.resamples, seed=chosen.seed
    )
    evaluation = Evaluation(
        task=task,
        manifest=manifest,
        version=predictor.bundle.version,
        location=source.location,
        split=split,
        measured=measured,
        correct=correct,
        confidence=confidence,
        unsure=unsure,
        trained_on=seen,
        metrics=intervals,
        degree=degree,
        certainty=certainty(confidence, correct, unsure, manifest.calibration),
        baseline=baseline,
        groups=groups(task, measured, correct),
        details=task.analyse(measured.predictions, raws, measured.rows),
        findings=(
            *trained_on_finding(seen, measured),
            *promise_findings(task, manifest.calibration, baseline, correct, unsure),
            *findings,
            *own_findings(measured, targets, correct, confidence),
        ),
        latency=time_single(predictor, source, measured.samples, chosen.timed),
        size_bytes=predictor.bundle.size_bytes,
        worst=make_examples(predictor, source, measured, worst, targets, degree),
        best=make_examples(predictor, source, measured, best, targets, degree),
    )
    shown.finish()
    return evaluation


def _with_limit(
    manifest: Manifest,
    task: Task,
    measured: MeasuredSamples,
    correct: NDArray[np.bool_],
    baseline: BaselineComparison,
    unsure_accuracy: float,
) -> tuple[Manifest, MeasuredSamples]:
    """Choose the limit of `unsure` on these answers, and judge them by it."""
    calibration = calibrate_limit(
        manifest.calibration,
        task,
        measured.predictions,
        [sample.raw or () for sample in measured.samples],
        correct,
        baseline,
        unsure_accuracy,
    )
    judged = below(measured.predictions, calibration.unsure_below)
    chosen = replace(manifest, calibration=calibration)
    return chosen, replace(measured, predictions=judged)


def _shown(
    confidence: NDArray[np.float64],
    correct: NDArray[np.bool_],
    targets: Sequence[str],
    degree: NDArray[np.float64] | None,
    options: MeasureOptions,
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the positions of the worst answers to show, and of the best."""
    if degree is not None:
        return choose_lowest(degree, options.worst), []
    worst = choose_worst(confidence, correct, options.worst)
    return worst, choose_best(confidence, correct, targets, options.best)
