"""The table of checks and what a check is given."""

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
    """What models answer to samples that they were not trained on.

    Attributes:
        labels: Names of the columns.
        scores: (N, K) float32 probabilities, rows in the order of the samples; a row of NaN for a
            sample that was not answered.
    """

    labels: tuple[str, ...]
    scores: NDArray[np.float32]


@final
@dataclass(frozen=True)
class CheckInput:
    """What a check may look at.

    Attributes:
        samples: Samples of the source.
        scan: Scan of the same samples.
        split: (N,) int8: 0 train, 1 val, 2 test, -1 unused.
        near_distance: In bits, up to which pictures count as near-duplicates.
        target: What a label is.
        features: (N, D) float32, one row for each sample, of a pretrained network or of one that
            was trained on them; None where they were not computed. Zeros for unreadable samples.
        out_of_fold: Answers of models of the other folds; None where they were not computed.
        mask_fit: How masks fit their pictures; None where that was not computed.
        text_fit: What readers of the other folds make of the texts; None where none read.
        copies: What `find_copies` returns for the usable samples, if it is known already.
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

    def usable(self) -> NDArray[np.int64]:
        """Return the positions of the labelled, readable samples."""
        labelled = np.array([sample.raw is not None for sample in self.samples], np.bool_)
        return np.flatnonzero(labelled & self.scan.ok).astype(np.int64)


CheckFunction: TypeAlias = Callable[[CheckInput], Iterator[Finding]]


@final
@dataclass(frozen=True)
class Check:
    """A check and the tasks that it is for.

    Attributes:
        run: Yields the findings; its docstring is the help text.
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
        id: Its findings carry it, or an id that begins like it.
        tasks: Names of the tasks it is for, or None for all.
    """

    def register(function: CheckFunction) -> CheckFunction:
        CHECKS.add(id, Check(function, tasks))
        return function

    return register


def run_checks(given: CheckInput, *, task: str = "classify") -> list[Finding]:
    """Run every check that is for a task and return the findings, the most severe first.

    Args:
        given: What is known of the samples.
        task: What is to be learnt.
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
    """Return findings by severity; those of one severity keep their order."""
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))
