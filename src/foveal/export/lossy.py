"""The acceptance test of networks of reduced precision.

Such a network cannot answer every picture as the bundle does. It is calibrated anew on the
validation pictures, and must keep the task's own metric on them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.values import calibration
from foveal.errors import FovealError, NetworkError, ParityError, UsageError
from foveal.evaluate.baseline import primary_by_sample
from foveal.evaluate.evaluate import Evaluation, evaluate_bundle
from foveal.evaluate.measure import open_picture, target_of
from foveal.export.job import ExportJob, Pictures
from foveal.export.joined import joined_maps
from foveal.export.proof import Proof, prove_engine
from foveal.export.ranges import unseen
from foveal.machine import processor
from foveal.metrics import Interval, paired_difference
from foveal.predict.engine import Engine
from foveal.predict.predictor import Predictor
from foveal.recipe import EvaluateOptions
from foveal.tasks.base import OutputBatch, Task
from foveal.types import Calibration, JsonObject

# A point of the task's metric, and answers that stay.
MOST_LOST = 0.01
LEAST_AGREEMENT = 0.98
# Resamples of fewer pictures lie between the few differences that were seen, so their interval is
# far too narrow. Six of which each keeps the metric would be rare (1 in 64) if half of all lost it.
LEAST_PICTURES = 6
_PAIRS = 25
_LONGEST_S = 20.0


@final
@dataclass(frozen=True, slots=True)
class Accepted:
    """A network that passed.

    Attributes:
        evaluation: What it does on the validation pictures; its manifest holds the calibration
            that was fitted to it.
        proof: How it answers beside the bundle's network.
    """

    evaluation: Evaluation
    proof: Proof

    @property
    def calibration(self) -> Calibration:
        """The calibration of its outputs."""
        return self.evaluation.manifest.calibration


@final
@dataclass(frozen=True, slots=True)
class Ratio:
    """The speed-up of a network over another on this machine.

    Attributes:
        before_ms: Median time of the first for one input.
        after_ms: Median time of the second.
        ratio: Median of the ratios of runs that followed each other.
        low: A quarter of these ratios are below.
        high: A quarter of them are above.
    """

    before_ms: float
    after_ms: float
    ratio: float
    low: float
    high: float

    def to_json(self) -> JsonObject:
        """Return rounded values, with the processor that they were measured on."""
        return {
            "fp32_ms": round(self.before_ms, 2),
            "ms": round(self.after_ms, 2),
            "times_as_fast": round(self.ratio, 2),
            "quartiles": [round(self.low, 2), round(self.high, 2)],
            "processor": processor(),
        }


def times_as_fast(before: Callable[[], object], after: Callable[[], object]) -> Ratio:
    """Measure two ways by turns, so that what else the machine does meets both."""
    before(), after()
    pairs: list[tuple[float, float]] = []
    begun = time.perf_counter()
    while len(pairs) < _PAIRS and time.perf_counter() - begun < _LONGEST_S:
        pairs.append((_seconds(before), _seconds(after)))
    ratios = [first / second for first, second in pairs]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    first, second = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    return Ratio(first, second, statistics.median(ratios), low, high)


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def accept(job: ExportJob, pictures: Pictures, engine: Engine, runtime: str) -> Accepted:
    """Calibrate a network with fewer digits, and compare it with the bundle's on validation.

    Args:
        job: The bundle.
        pictures: `val` of them decide; see `foveal.export.held_out`.
        engine: Runs the network on model inputs.
        runtime: Name and version of what it runs in.

    Raises:
        ParityError: If it loses more than a point of the task's primary metric, or may lose more
            by the 95 % interval of the paired pictures, or there are fewer than six of them; or
            fewer than 98 % of the answers stay. The message has the figures.
    """
    bundle = job.bundle
    trained = Predictor(bundle, limits=pictures.limits)
    own = _calibrate(job, trained, pictures, engine)
    fitted = replace(bundle, manifest=replace(bundle.manifest, calibration=own))
    predictor = Predictor(fitted, engine=engine, limits=pictures.limits)
    proof = compared(job, pictures, predictor, runtime)
    wanted = bundle.manifest.calibration.wanted_accuracy
    evaluation = evaluate_bundle(
        predictor,
        pictures.source,
        samples=pictures.val,
        split="val",
        progress=job.progress,
        unsure_accuracy=wanted or EvaluateOptions().unsure_accuracy,
        near_copies=False,
    )
    return Accepted(evaluation, proof)


def compared(job: ExportJob, pictures: Pictures, predictor: Predictor, runtime: str) -> Proof:
    """Compare a network with fewer digits, and its own calibration, with the bundle's.

    Args:
        job: The bundle.
        pictures: `val` of them decide.
        predictor: Answers with the other network.
        runtime: Name and version of what it runs in.

    Raises:
        ParityError: As for `accept`.
    """
    task = job.bundle.task
    trained = Predictor(job.bundle, limits=pictures.limits)
    before, after, agreement, largest = _compare(job, trained, predictor, pictures)
    difference = paired_difference(
        primary_by_sample(task, before), primary_by_sample(task, after), resamples=2000
    )
    name = task.primary_metric
    values = [task.summarise(rows)[name] for rows in (before, after)]
    _refuse_lossy(task, len(before), values, difference, agreement)
    measured = {
        "metric": name,
        "bundle": values[0],
        "export": values[1],
        "difference": difference.to_json(),
    }
    return Proof(runtime, len(before), agreement, largest, measured=measured)


def prove_described(
    job: ExportJob, engine: Engine, described: JsonObject, runtime: str, *, has_ranges: bool
) -> Proof:
    """Repeat the proof of an export that holds its description; see `describe`.

    Args:
        job: The bundle that it was exported from.
        engine: Runs the export.
        described: The description inside it.
        runtime: Name and version of what it runs in.
        has_ranges: Whether int8 took the ranges of activations from training pictures, on which
            nothing is proven.

    Raises:
        UsageError: If it was exported from a model of another task or other labels, or there are no
            pictures.
        ParityError: If it answers differently; with fewer digits, when it loses too much.
    """
    known = job.bundle.manifest.to_json()
    if any(described[key] != known[key] for key in ("task", "labels")):
        raise UsageError(
            f"The export is not of {job.bundle.name}: it was made from {described['name']}, which "
            "has another task or other labels.",
            hint="give the model that it was exported from: --against MODEL",
        )
    pictures = job.needed_pictures("An export is verified")
    if described.get("proof", {}).get("precision") != "int8":
        return prove_engine(job, pictures, engine, runtime)
    kept = {output["name"] for output in described["outputs"]}
    manifest = replace(
        job.bundle.manifest,
        calibration=calibration(described["calibration"], len(job.bundle.manifest.labels)),
        outputs=tuple(spec for spec in job.bundle.manifest.outputs if spec.name in kept),
    )
    predictor = Predictor(
        replace(job.bundle, manifest=manifest), engine=engine, limits=pictures.limits
    )
    return compared(job, unseen(pictures) if has_ranges else pictures, predictor, runtime)


def _calibrate(
    job: ExportJob, predictor: Predictor, pictures: Pictures, engine: Engine
) -> Calibration:
    """Return the calibration for a network's outputs on the validation pictures."""
    task = predictor.task
    if predictor.pipeline.is_tiled:
        maps, masks = joined_maps(pictures, task, predictor.pipeline, engine)
        return task.fit_calibration(maps, masks)
    batches: list[OutputBatch] = []
    targets: list[Any] = []
    job.progress.start("calibrate", len(pictures.val))
    for done, sample in enumerate(pictures.val, 1):
        try:
            target = target_of(task, pictures.source, sample)
            pixels, frame = predictor.prepare_raster(
                open_picture(predictor, pictures.source, sample)
            )
        except FovealError:
            # Unreadable, or of a label that the bundle does not know: the bundle was not measured
            # on it either.
            continue
        outputs = engine.run(np.asarray(pixels)[None], task.core_outputs)
        batches.append((outputs, [frame]))
        targets.append(target)
        job.progress.update(done)
    job.progress.finish()
    if not targets:
        raise ParityError(
            "The export cannot be proven: none of the validation pictures can be measured."
        )
    return task.fit_calibration(batches, targets)


def _compare(
    job: ExportJob, trained: Predictor, exported: Predictor, pictures: Pictures
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Return the rows of both, the share of answers that stay, and the largest difference."""
    task = trained.task
    rows: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    agreements: list[float] = []
    largest = 0.0
    job.progress.start("prove the export", len(pictures.val))
    for done, sample in enumerate(pictures.val, 1):
        try:
            target = target_of(task, pictures.source, sample)
            picture = open_picture(trained, pictures.source, sample)
            (expected,) = trained.predict([picture])
            (said,) = exported.predict([picture])
        except NetworkError as error:
            raise ParityError(f"The export gives no answer to {sample.id}: {error}") from error
        except FovealError:
            continue
        share, difference = task.agreement(expected, said)
        agreements.append(float(share))
        largest = max(largest, difference)
        rows.append((task.measure(expected, target), task.measure(said, target)))
        job.progress.update(done)
    job.progress.finish()
    if not rows:
        raise ParityError(
            "The export cannot be proven: none of the validation pictures can be measured."
        )
    before, after = (np.stack(column) for column in zip(*rows, strict=True))
    return before, after, float(np.mean(agreements)), largest


def _refuse_lossy(
    task: Task,
    count: int,
    values: Sequence[float],
    difference: Interval,
    agreement: float,
) -> None:
    """Raise unless a network keeps the metric and the answers."""
    if difference.value < -MOST_LOST:
        why = "it loses more than a point"
    elif difference.low < -MOST_LOST or count < LEAST_PICTURES:
        why = "a loss of more than a point cannot be ruled out on so few pictures"
    elif agreement < LEAST_AGREEMENT:
        why = "too many of the answers change"
    else:
        return
    title = task.metric_words[task.primary_metric].title
    raise ParityError(
        f"This network is not accepted in the lower precision: {why}. {title} on {count} "
        f"validation pictures goes from {values[0]:.2%} to {values[1]:.2%} "
        f"({100 * difference.value:+z.2f} points, 95 % interval {100 * difference.low:+z.2f} to "
        f"{100 * difference.high:+z.2f}); {agreement:.2%} of the answers stay the same. Nothing "
        "was written.",
        hint="leave out the precision, or prove it on more labelled pictures: --data FOLDER",
    )
