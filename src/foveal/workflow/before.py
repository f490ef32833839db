"""Compare a fine-tuned model with the one that it started from, on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.console import Progress
from foveal.data.source import Sample
from foveal.errors import DataError
from foveal.evaluate.baseline import primary_by_sample
from foveal.evaluate.evaluate import Evaluation
from foveal.evaluate.measure import MeasuredSamples, measure
from foveal.metrics import Interval, paired_difference, wilson
from foveal.predict.predictor import Predictor
from foveal.tasks.base import ReportSection, Task
from foveal.types import JsonObject
from foveal.words import percent, percent_range
from foveal.workflow.prepare import VAL, Prepared
from foveal.workflow.start import Changes, Start


@final
@dataclass(frozen=True, slots=True)
class BesideBefore:
    """Comparison of a model with the one that its training started from.

    Attributes:
        start: Name of the model before.
        version: Version of that model.
        metric: Title of the primary metric, which all values are of.
        changes: The labels.
        samples: Validation pictures whose labels the model before knows.
        before: The model before on these; None when there are none.
        after: The new model on these.
        difference: The new one minus the one before, picture by picture.
        new_samples: Validation pictures with labels that the model before does not know.
        on_new: The new model on these; None when there are none.
    """

    start: str
    version: str
    metric: str
    changes: Changes
    samples: int
    before: Interval | None
    after: Interval | None
    difference: Interval | None
    new_samples: int
    on_new: Interval | None

    def to_json(self) -> JsonObject:
        """Return what `before.json` in a run holds."""
        values = {
            "before": self.before,
            "after": self.after,
            "difference": self.difference,
            "on_new": self.on_new,
        }
        return {
            "schema_version": 1,
            "start": self.start,
            "version": self.version,
            "metric": self.metric,
            "labels": {
                "known": list(self.changes.known),
                "added": list(self.changes.added),
                "dropped": list(self.changes.dropped),
            },
            "samples": self.samples,
            "new_samples": self.new_samples,
            **{name: None if v is None else v.to_json() for name, v in values.items()},
        }

    def sentences(self) -> list[str]:
        """Return what changed, for people."""
        said = []
        if self.before is not None and self.after is not None and self.difference is not None:
            low, high = 100 * self.difference.low, 100 * self.difference.high
            verdict = "better" if low > 0 else "worse" if high < 0 else "no clear change"
            said.append(
                f"on {self.samples} pictures with known labels, {self.metric.lower()} was "
                f"{percent(self.before.value)} before and is {percent(self.after.value)} now: "
                f"{100 * self.difference.value:+z.1f} points ({low:+z.1f} to {high:+z.1f}), "
                f"{verdict}"
            )
        if self.on_new is not None:
            said.append(
                f"on {self.new_samples} pictures with new labels it is "
                f"{percent(self.on_new.value)} "
                f"({percent_range(self.on_new.low, self.on_new.high)}); the earlier model could "
                "not answer them"
            )
        return said

    def section(self) -> ReportSection:
        """Return the section of the report."""
        rows = [
            ("known labels", self.samples, self.before, self.after, self.difference),
            ("new labels", self.new_samples, None, self.on_new, None),
        ]
        table = tuple(
            (what, str(count), _shown(before), _shown(after), _points(difference))
            for what, count, before, after, difference in rows
            if count
        )
        header = ("validation pictures with", "pictures", "before", "now", "difference")
        note = (
            f"{self.metric} with 95 % intervals, compared with {self.start} (version "
            f"{self.version}), which the training started from. Labels: "
            f"{'; '.join(self.changes.sentences())}."
        )
        return ReportSection("Before and after", note, tables=((header, table),))


def _shown(value: Interval | None) -> str:
    if value is None:
        return "-"
    return f"{percent(value.value)} ({percent_range(value.low, value.high)})"


def _points(value: Interval | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value.value:+z.1f} points ({100 * value.low:+z.1f} to {100 * value.high:+z.1f})"


def beside_before(
    start: Start, evaluation: Evaluation, prepared: Prepared, progress: Progress
) -> BesideBefore:
    """Let the model before answer the validation pictures, and compare.

    Args:
        start: The model before.
        evaluation: Evaluation of the new model on the validation pictures.
        prepared: The data.
        progress: Receives the progress.
    """
    task, manifest = prepared.task, start.bundle.manifest
    samples = [prepared.source.samples[i] for i in prepared.indices(VAL)]
    is_text = task.target_kind == "text"
    known = [sample for sample in samples if _is_known(sample, manifest.labels, is_text=is_text)]
    old = _scores_before(start, known, prepared, progress)
    new = scores(evaluation.task, evaluation.measured)
    both = [id for id in old if id in new]
    on_new = np.array([new[s.id] for s in samples if s.id in new and s not in known], np.float64)
    first, second = (np.array([found[id] for id in both]) for found in (old, new))
    return BesideBefore(
        start=start.bundle.name,
        version=start.bundle.version,
        metric=task.metric_words[task.primary_metric].title,
        changes=start.changes(task.labels),
        samples=len(both),
        before=_mean(first),
        after=_mean(second),
        difference=paired_difference(first, second) if both else None,
        new_samples=len(on_new),
        on_new=_mean(on_new),
    )


def _is_known(sample: Sample, labels: Sequence[str], *, is_text: bool) -> bool:
    raw = sample.raw or ()
    return set("".join(raw) if is_text else raw) <= set(labels)


def _scores_before(
    start: Start, known: Sequence[Sample], prepared: Prepared, progress: Progress
) -> dict[str, float]:
    if not known:
        return {}
    predictor = Predictor(start.bundle)
    try:
        measured = measure(
            predictor,
            prepared.source,
            known,
            batch_size=prepared.recipe.evaluate.batch_size,
            progress=progress,
            with_looks=False,
        )
    except DataError:
        # Not one picture that the model before could be measured on.
        return {}
    return scores(predictor.task, measured)


def scores(task: Task, measured: MeasuredSamples) -> dict[str, float]:
    """Return id → the primary metric of each sample."""
    values = primary_by_sample(task, measured.rows).tolist()
    return {sample.id: score for sample, score in zip(measured.samples, values, strict=True)}


def _mean(scores: NDArray[np.float64]) -> Interval | None:
    """Return the mean with a 95 % interval; None for no pictures."""
    if not scores.size:
        return None
    if np.isin(scores, (0.0, 1.0)).all():
        return Interval(float(scores.mean()), *wilson(int(scores.sum()), scores.size))
    # The difference from nothing: drawn as that of two models is.
    return paired_difference(np.zeros_like(scores), scores)
