"""The table of checks and what a check is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.cache import Scan
from foveal.data.source import Sample, Source
from foveal.registry import Registry
from foveal.types import Finding

# Samples named in a finding.
SHOWN = 20


@final
@dataclass(frozen=True)
class Facts:
    """What a check may look at.

    Attributes:
        samples: Of the source.
        scan: Of the same samples.
        split: (N,) int8: 0 train, 1 val, 2 test, -1 unused.
        near_distance: In bits, under which pictures count as near-duplicates.
    """

    samples: tuple[Sample, ...]
    scan: Scan
    split: NDArray[np.int8]
    near_distance: int

    def usable(self) -> list[int]:
        """Return the positions of the labelled, readable samples."""
        return [i for i, s in enumerate(self.samples) if s.raw is not None and self.scan.ok[i]]


Check: TypeAlias = Callable[[Facts], Iterator[Finding]]

CHECKS: Registry[Check] = Registry("check")


def check(id: str) -> Callable[[Check], Check]:
    """Register a check under a dotted id; its docstring is its help text."""

    def register(function: Check) -> Check:
        return CHECKS.add(id, function)

    return register


def run_checks(
    source: Source, scan: Scan, split: NDArray[np.int8], *, near_distance: int
) -> list[Finding]:
    """Run every check and return the findings, the most severe first.

    Args:
        source: The samples.
        scan: Of the same samples.
        split: (N,) int8: 0 train, 1 val, 2 test, -1 unused.
        near_distance: In bits, under which pictures count as near-duplicates.
    """
    facts = Facts(source.samples, scan, split, near_distance)
    findings = [finding for name in CHECKS for finding in CHECKS[name](facts)]
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(findings, key=lambda finding: order[finding.severity])
