"""The registry of checks, and their input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.checks.mask_fit import MaskFit
from foveal.checks.text_fit import TextFit
from foveal.data.resemblance import Copies
from foveal.data.scan import Scan
from foveal.data.source import Sample, TargetKind
from foveal.errors import PluginError
from foveal.registry import Registry
from foveal.types import Finding

_SEVERITIES = ("error", "warning", "info")


@final
@dataclass(frozen=True)
class OutOfFold:
    """Answers of models to samples that they were not trained on.

    Attributes:
        labels: Labels of the columns.
        scores: (N, K) float32 probabilities in the order of the samples; NaN for samples that were
            not answered.
        models: The models, in words.
    """

    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    models: str


@final
@dataclass(frozen=True)
class CheckInput:
    """The input of a check.

    Attributes:
        samples: Samples of the source.
        scan: Scan of the same samples.
        split: (N,) int8: 0 train, 1 val, 2 test, -1 unused.
        near_distance: Largest distance of near-duplicates, in bits of the perceptual hash.
        target: Kind of label.
        features: (N, D) float32 features of a network, pretrained or trained on the data; zeros for
            unreadable samples; None if they were not computed.
        out_of_fold: Out-of-fold answers; None if they were not computed.
        mask_fit: Fit of the masks to their pictures; None if it was not computed.
        text_fit: Out-of-fold readings of the texts; None if they were not computed.
        copies: Result of `find_copies` for the usable samples, if it is already known.
        folds: (N,) int8 fold of each sample, -1 for none, where the model is trained on the
            pictures of all folds in the end; None without cross-validation.
    """

    samples: tuple[Sample, ...]
    scan: Scan
    split: NDArray[np.int8]
    near_distance: int
    target: TargetKind = "labels"
    features: NDArray[np.float32] | None = None
    out_of_fold: OutOfFold | None = None
    mask_fit: MaskFit | None = None
    text_fit: TextFit | None = None
    copies: Copies | None = None
    folds: NDArray[np.int8] | None = None

    def usable(self) -> NDArray[np.int64]:
        """Return the positions of the labelled, readable samples."""
        labelled = np.array([sample.raw is not None for sample in self.samples], np.bool_)
        return np.flatnonzero(labelled & self.scan.ok).astype(np.int64)


CheckFunction: TypeAlias = Callable[[CheckInput], Iterator[Finding]]


@final
@dataclass(frozen=True)
class Check:
    """A check and the tasks that it applies to.

    Attributes:
        run: Function that yields the findings; its docstring is the help text.
        tasks: Names of tasks, or None for all.
    """

    run: CheckFunction
    tasks: tuple[str, ...] | None


CHECKS: Registry[Check] = Registry("check", Check, group="foveal.checks")


def check(
    id: str, *, tasks: tuple[str, ...] | None = None
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a check under a dotted id.

    Args:
        id: Id of the check; the ids of its findings start with it.
        tasks: Names of the tasks that it applies to, or None for all.
    """

    def register(function: CheckFunction) -> CheckFunction:
        CHECKS.add(id, Check(function, tasks))
        return function

    return register


def run_checks(given: CheckInput, *, task: str = "classify") -> list[Finding]:
    """Run all checks of a task and return the findings, most severe first.

    Args:
        given: Input of the checks.
        task: Name of the task.
    """
    findings = [
        finding
        for name, check in CHECKS.works()
        if check.tasks is None or task in check.tasks
        for finding in _run(name, check, given)
    ]
    return most_severe_first(findings)


def _run(name: str, check: Check, given: CheckInput) -> list[Finding]:
    try:
        with CHECKS.blaming(name):
            return list(check.run(given))
    except PluginError as error:
        return [Finding(name, "warning", error.message, hint=error.hint)]


def most_severe_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings sorted by severity; the order within a severity is kept."""
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))
