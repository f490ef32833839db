"""Findings of an evaluation: failures, conflicting labels, too few pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.bundle.promise import promise, share
from foveal.data.findings import plural
from foveal.evaluate.baseline import BaselineComparison
from foveal.evaluate.limit import not_better
from foveal.evaluate.measure import Failure, MeasuredSamples
from foveal.tasks.base import Task
from foveal.types import Calibration, Finding, JsonObject

_LISTED = 20
_GROUPS = 30
# Under this many pictures an accuracy of 95 % has an interval of over ten points.
_FEW = 100
# Mean confidence over accuracy by more than this is worth a sentence.
_OVERCONFIDENT = 0.05

# Of pictures like those of the training, a hundredth is called unfamiliar; see
# `foveal.workflow.familiarity`. More than this is worth a warning.
_UNFAMILIAR = 0.05

_LEARN_MORE = "add labelled pictures, or train longer"

_FAILURES = {
    "unlabelled": ("without a label, not evaluated", None),
    "target_invalid": (
        "with a label that is unknown to the bundle, not evaluated",
        "train again with these classes, or evaluate on pictures of the bundle's classes",
    ),
}


def own_findings(
    measured: MeasuredSamples,
    targets: Sequence[str],
    correct: NDArray[np.bool_],
    confidence: NDArray[np.float64],
) -> list[Finding]:
    """Return the findings of an evaluation.

    Args:
        measured: The answers and the failures.
        targets: Each measured sample's target as text.
        correct: (N,) whether the answer was right.
        confidence: (N,) of each answer.
    """
    findings = _failed(measured.failures)
    findings += _two_labels(measured, targets)
    findings += _unfamiliar(measured)
    count, right = len(correct), int(correct.sum())
    low, high = metrics.wilson(right, count)
    if count < _FEW:
        findings.append(
            Finding(
                "evaluate.few_pictures",
                "info",
                f"Only {plural(count, 'picture')} {'was' if count == 1 else 'were'} measured: the "
                f"share of right answers is between {100 * low:.0f} and {100 * high:.0f} %.",
                count=count,
                hint="evaluate on more pictures",
            )
        )
    sure = float(confidence.mean())
    if sure - _OVERCONFIDENT > high:
        findings.append(
            Finding(
                "evaluate.overconfident",
                "warning",
                f"The model is overconfident here: it is {100 * sure:.0f} % sure on average and "
                f"right for {100 * right / count:.0f} %. These pictures differ from those that it "
                "was calibrated on.",
                count=count,
                hint="also train on pictures like these",
            )
        )
    return findings


def _unfamiliar(measured: MeasuredSamples) -> list[Finding]:
    odd = [i for i, p in enumerate(measured.predictions) if "unfamiliar" in p.reasons]
    if not odd:
        return []
    count = len(measured.samples)
    return [
        Finding(
            "evaluate.unfamiliar",
            "warning" if len(odd) > _UNFAMILIAR * count else "info",
            f"{len(odd):,} of {count:,} pictures are unlike those that the model was trained on; "
            "its answers to them are marked unsure.",
            samples=tuple(measured.samples[i].id for i in odd[:_LISTED]),
            count=len(odd),
            hint=("also train on pictures like these, if the model is meant for them"),
        )
    ]


def promise_findings(
    task: Task,
    calibration: Calibration,
    baseline: BaselineComparison,
    correct: NDArray[np.bool_],
    unsure: NDArray[np.bool_],
) -> list[Finding]:
    """Return what comes first: that the model is not usable, learned nothing, breaks its promise.

    Args:
        task: The bound task.
        calibration: The bundle's.
        baseline: The model beside the best constant answer, on these pictures.
        correct: (N,) whether the answer was right.
        unsure: (N,) whether the model said that it is unsure.
    """
    findings = []
    if calibration.not_usable is not None:
        findings.append(
            Finding(
                "evaluate.not_usable",
                "warning",
                promise(calibration, task),
                count=len(correct),
                hint=_LEARN_MORE,
            )
        )
    if not baseline.is_beaten and not_better(task, baseline) not in promise(calibration, task):
        findings.append(
            Finding(
                "evaluate.baseline",
                "warning",
                not_better(task, baseline),
                count=len(correct),
                hint=_LEARN_MORE,
            )
        )
    kept, right = int((~unsure).sum()), int(correct[~unsure].sum())
    promised = calibration.shown_accuracy
    if promised is not None and kept and metrics.wilson(right, kept)[1] < promised:
        findings.append(
            Finding(
                "evaluate.promise",
                "warning",
                f"Of the {kept} answers that are not unsure, {right} are right, "
                f"{share(right / kept)}: fewer than the {share(promised)} that the model reached "
                "on validation. These pictures differ from the validation pictures.",
                count=kept,
                hint="also train on pictures like these",
            )
        )
    return findings


def groups(
    task: Task, measured: MeasuredSamples, correct: NDArray[np.bool_]
) -> tuple[JsonObject, ...]:
    """Return the primary metric of each group of the source (writer, receipt), lowest first."""
    members: defaultdict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(measured.samples):
        if sample.group is not None:
            members[sample.group].append(i)
    if not 1 < len(members) < len(measured.samples):
        return ()
    table = []
    for name, positions in members.items():
        value = task.summarise(measured.rows[positions])[task.primary_metric]
        low, high = metrics.wilson(int(correct[positions].sum()), len(positions))
        table.append(
            {
                "group": name,
                "samples": len(positions),
                "correct": int(correct[positions].sum()),
                "low": low,
                "high": high,
                task.primary_metric: value if np.isfinite(value) else None,
            }
        )
    # The surest signs of weakness first: one wrong of one says less than ten wrong of twenty.
    return tuple(sorted(table, key=lambda row: (row["high"], row["group"]))[:_GROUPS])


def _failed(failures: Sequence[Failure]) -> list[Finding]:
    by_code: defaultdict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        by_code[failure.code].append(failure)
    findings = []
    for code, group in by_code.items():
        words, hint = _FAILURES.get(code, ("that cannot be read, not evaluated", None))
        findings.append(
            Finding(
                f"evaluate.{code}",
                "warning",
                f"{len(group)} sample{'s' if len(group) > 1 else ''} {words}. "
                f"The first: {group[0].message}",
                samples=tuple(failure.sample for failure in group[:_LISTED]),
                count=len(group),
                hint=hint,
            )
        )
    return findings


def _two_labels(measured: MeasuredSamples, targets: Sequence[str]) -> list[Finding]:
    found: defaultdict[bytes, list[int]] = defaultdict(list)
    for i, digest in enumerate(measured.digests):
        found[digest].append(i)
    twice = [positions for positions in found.values() if len({targets[i] for i in positions}) > 1]
    if not twice:
        return []
    samples = [measured.samples[i].id for positions in twice for i in positions]
    return [
        Finding(
            "evaluate.two_labels",
            "warning",
            f"{len(twice)} pictures are in the data more than once, under different labels: at "
            "least one answer to each counts as wrong.",
            samples=tuple(samples[:_LISTED]),
            count=len(samples),
            hint="foveal check DATA",
        )
    ]
