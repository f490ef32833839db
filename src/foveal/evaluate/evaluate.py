"""Evaluate a bundle on labelled data: metrics with intervals, findings, and the report."""

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
from foveal.evaluate.answering import Answering, measure_each_by
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
    """The evaluation of a model on labelled data; see `Results` for its attributes."""

    @property
    def mistakes(self) -> Mistakes:
        """The wrong answers, most confident first; a sequence with `to_pandas()`."""
        return mistakes_of(self)

    @property
    def confusion(self) -> Any:
        """The confusion matrix as a data frame: rows are true classes, columns are answers.

        For masks, pixels are counted.

        Raises:
            MissingExtraError: If pandas is not installed.
            UsageError: If the task does not predict classes.
        """
        return confusion_frame(self)

    def to_pandas(self) -> Any:
        """Return a data frame with one row per picture and the columns of `predictions.csv`.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        return answers_frame(self)

    def plot(self, ax: Any = None) -> Any:
        """Draw the confusion matrix, and return the axes.

        Args:
            ax: matplotlib axes to draw on; None creates new ones.

        Raises:
            MissingExtraError: If matplotlib is not installed.
            UsageError: If the task does not predict classes.
        """
        return plot_confusion(self, ax)

    def __repr__(self) -> str:
        """Return the primary metric, the number of pictures and of mistakes, in one line."""
        name = self.task.primary_metric
        tail = f"{self.samples - int(self.correct.sum())} mistakes"
        if self.degree is not None:
            tail = f"the lowest {self.degree.min():.3f}"
        return (
            f"Evaluation({self.manifest.name}: {name} {self.metrics[name]}, {self.samples} "
            f"pictures, {tail})"
        )

    def __getattr__(self, name: str) -> Any:
        """Raise an AttributeError that suggests the right name."""
        raise missing_attribute("evaluation", "evaluation", name, dir(type(self)))

    def to_html(self, *, results: Path | None = None, more: Sequence[ReportSection] = ()) -> str:
        """Return the report as a self-contained HTML document.

        Args:
            results: `results.csv` of a run, for the training curves.
            more: Sections to put first.
        """
        return render_report(self, results=results, more=more)

    def write(
        self, out: Path, *, results: Path | None = None, more: Sequence[ReportSection] = ()
    ) -> None:
        """Write `report.html`, `metrics.json` and `predictions.csv` to a folder.

        Args:
            out: The folder, which is created if it does not exist.
            results: `results.csv` of a run, for the training curves.
            more: Sections to put first in the report.
        """
        out.mkdir(parents=True, exist_ok=True)
        write_predictions(self, out / "predictions.csv")
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(out / "metrics.json", text + "\n")
        write_atomic(out / "report.html", self.to_html(results=results, more=more))

    def show(self) -> None:
        """Show the whole report in a notebook.

        Raises:
            MissingExtraError: If IPython is not installed.
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
        """Return the report in an iframe, which isolates its style sheet."""
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
    answering: Answering | None = None,
) -> Evaluation:
    """Evaluate a bundle on a source, with the same code that serves it.

    Samples that cannot be decoded, have no label, or have one that the bundle does not know are
    listed in `failures`; the metrics are computed over the others.

    Args:
        predictor: Predictor of the bundle.
        source: The labelled pictures.
        samples: Samples of the source to evaluate on; None takes all.
        split: Name of the split that they form, or None.
        options: Evaluation section of the recipe.
        findings: Findings about the data to show in the report.
        progress: Receives the progress.
        unsure_accuracy: Accuracy for which to choose the `unsure` limit of the bundle on these
            answers; the answers are judged by it, and the manifest of the evaluation holds it.
        near_copies: Whether near-duplicates of training pictures count as trained on. Not needed
            for a split, which has been searched for them more thoroughly.
        measuring: Answers the samples, perhaps on other machines.
        answering: Answers each sample instead, by a network that was not trained on it.

    Raises:
        DataError: If no sample could be evaluated.
    """
    chosen = options or MeasureOptions()
    task, shown = predictor.task, progress or NoProgress()
    asked = source.samples if samples is None else samples
    if answering is None:
        measured = measuring(
            predictor,
            source,
            asked,
            batch_size=chosen.batch_size,
            progress=shown,
            with_looks=near_copies,
        )
    else:
        measured = measure_each_by(
            answering, source, asked, batch_size=chosen.batch_size, progress=shown
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
    seen: NDArray[np.bool_] | None = np.zeros(len(correct), np.bool_)
    if answering is None:
        seen = recognised(predictor.bundles, measured)
    targets = [target_text(sample) for sample in measured.samples]
    degree = primary_by_sample(task, measured.rows) if task.right_when else None
    drawing = answering or (lambda sample: predictor)
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
        worst=make_examples(drawing, source, measured, worst, targets, degree),
        best=make_examples(drawing, source, measured, best, targets, degree),
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
    """Choose the `unsure` limit on these answers, and apply it to them."""
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
    """Return the positions of the worst and of the best answers to show."""
    if degree is not None:
        return choose_lowest(degree, options.worst), []
    worst = choose_worst(confidence, correct, options.worst)
    return worst, choose_best(confidence, correct, targets, options.best)
