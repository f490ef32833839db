"""Measure labelled pictures on Ray Data: actors answer parts of them, joined in their order.

As a program it runs on the head of a cluster that another machine sends the pictures' names to.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias, final

from foveal.bundle.bundle import Bundle
from foveal.cluster.connect import connected, import_ray
from foveal.cluster.rows import run_rows
from foveal.cluster.shipped import Shipped
from foveal.console import Progress
from foveal.data.decode import DecodeLimits
from foveal.data.source import ReadAnything, Sample
from foveal.errors import FovealError, complaint
from foveal.evaluate.measure import Failure, Measured, measure_each
from foveal.jobs.target import Target
from foveal.progress import command_progress
from foveal.workflow.sources import open_as

FOUND = "measured.pickle"
"""The file that the program writes."""

Part: TypeAlias = list[Measured | Failure]

# Samples of a part: a few batches.
_TOGETHER = 128


@final
@dataclass(frozen=True, slots=True)
class Labelled:
    """Labelled pictures, and how to measure them.

    Attributes:
        data: Where the source is, which each machine of the cluster has to see.
        options: How it is read.
        samples: Those of the source to answer.
        limits: Largest picture that is decoded.
        engine: What runs the network.
        workers: Actors that answer, at most, each on one core; None takes all cores.
        batch_size: Number of pictures in one run of the network.
        with_looks: Whether to note how pictures look; see `foveal.evaluate.measure.measure`.
    """

    data: str
    options: ReadAnything
    samples: tuple[Sample, ...]
    limits: DecodeLimits
    engine: str
    workers: int | None
    batch_size: int
    with_looks: bool


def measure_joined(
    target: Target, bundles: Sequence[Bundle], labelled: Labelled, progress: Progress
) -> Part:
    """Return what is found about each sample, in order.

    Args:
        target: `ray:local` or `ray:auto`.
        bundles: The model; several vote.
        labelled: The pictures.
        progress: Receives the progress.

    Raises:
        MissingExtraError: If Ray is not installed.
        UsageError: If there is no cluster.
        DataError: If a machine does not see the source.
    """
    samples = labelled.samples
    parts: dict[int, Part] = {}
    done = 0
    with connected(target) as ray:
        progress.start("evaluate", len(samples))
        model = Shipped.put(ray, bundles, labelled.limits, labelled.engine)
        starts = range(0, len(samples), _TOGETHER)
        finished = run_rows(
            ray,
            [(at, samples[at : at + _TOGETHER]) for at in starts],
            partial(_Measurer, model, replace(labelled, samples=())),
            workers=labelled.workers,
            resources=model.resources,
        )
        for at, found in finished:
            parts[at] = found
            done += len(found)
            progress.update(done)
    progress.finish()
    return [item for at in sorted(parts) for item in parts[at]]


@final
class _Measurer:
    """Measures a part of the samples; lives in an actor."""

    def __init__(self, model: Shipped, work: Labelled) -> None:
        self._work = work
        self._files = tempfile.TemporaryDirectory(prefix="foveal-")
        self._predictor = model.open(import_ray(), Path(self._files.name))
        self._source = open_as(work.data, work.options)

    def __call__(self, row: tuple[int, Sequence[Sample]]) -> tuple[int, Part]:
        """Return where the part begins, and what is found about each sample of it."""
        at, samples = row
        found = measure_each(
            self._predictor,
            self._source,
            samples,
            batch_size=self._work.batch_size,
            with_looks=self._work.with_looks,
        )
        return at, list(found)


def main() -> None:
    """Measure what a file says on the cluster that this machine belongs to."""
    options = argparse.ArgumentParser(description=main.__doc__)
    options.add_argument("labelled", type=Path, help="the pickled pictures")
    options.add_argument("out", type=Path, help="folder for what is found")
    options.add_argument("bundles", nargs="+", type=Path)
    given = options.parse_args()
    # Written by whoever sent this program along with it.
    labelled: Labelled = pickle.loads(given.labelled.read_bytes())  # noqa: S301
    bundles = [Bundle.open(path) for path in given.bundles]
    try:
        with command_progress(quiet=False) as progress:
            found = measure_joined(Target("ray", address="auto"), bundles, labelled, progress)
    except FovealError as error:
        sys.stderr.write(f"{complaint(error.message, error.hint)}\n")
        raise SystemExit(1) from error
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / FOUND).write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main()
