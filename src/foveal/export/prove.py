"""The parity test: the exported network must answer every picture like the trained one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import ParityError
from foveal.predict.engine import Engine
from foveal.tasks.agreement import Comparison
from foveal.tasks.base import Task
from foveal.tasks.prediction import Prediction
from foveal.types import UNFAMILIARITY, Calibration, Frame, JsonObject, Outputs


@final
@dataclass(frozen=True, slots=True)
class ProofBatch:
    """Some pictures to compare the two networks on.

    Attributes:
        samples: Ids, for the error message.
        inputs: (N, H, W, 3) uint8 RGB, after the pipeline.
        frames: Where each original lies in its model input.
    """

    samples: Sequence[str]
    inputs: NDArray[np.uint8]
    frames: Sequence[Frame]


def prove(
    task: Task,
    batches: Iterable[ProofBatch],
    *,
    trained: Engine,
    shipped: Engine,
    keep: Callable[[Outputs, Sequence[Frame]], None] | None = None,
    is_judged: bool = False,
) -> JsonObject:
    """Run both networks on all pictures and compare the decoded answers.

    Answers are compared by `task.agreement`: near a tie a tiny drift may change the label, and
    that counts, because what ships would say something else.

    Args:
        task: Decodes and compares; no calibration yet.
        batches: The validation pictures.
        trained: The network as trained.
        shipped: The exported one.
        keep: Is given the exported network's outputs of each batch, and the frames.
        is_judged: Whether the networks also say how unfamiliar a picture is.

    Returns:
        `samples`, `label_agreement` (1.0; for masks the mean share of equal pixels) and
        `max_probability_difference`, for the manifest; where pictures are judged, also
        `max_unfamiliarity_difference`.

    Raises:
        ParityError: If any answer differs, a probability or an unfamiliarity differs by more than
            0.01 or is not a number, or there are no pictures. The message names the first
            differing pictures.
    """
    comparison, drift = Comparison(task), 0.0
    names = (*task.core_outputs, *([UNFAMILIARITY] if is_judged else []))
    for batch in batches:
        expected, outputs = (engine.run(batch.inputs, names) for engine in (trained, shipped))
        if keep is not None:
            keep(outputs, batch.frames)
        for sample, first, second in _answers(task, batch, expected, outputs):
            moved = _drift(first.unfamiliarity, second.unfamiliarity)
            drift = max(drift, moved)
            words = f"{_words(first)} became {_words(second)}"
            comparison.add(sample, first, second, drift=moved, words=words)
    if not comparison.count:
        raise ParityError("The export cannot be proven: there are no validation pictures.")
    if comparison.differing:
        raise ParityError(
            "The exported model answers differently on "
            f"{comparison.refusal('validation pictures')} Nothing was written.",
            hint="foveal train --resume RUN repeats the export",
        )
    proof = comparison.to_json()
    return {**proof, "max_unfamiliarity_difference": drift} if is_judged else proof


def _drift(first: float | None, second: float | None) -> float:
    """Return the difference of two values, beyond the limit of 1 as a share of the first."""
    if first is None or second is None:
        return 0.0
    difference = abs(first - second) / max(1.0, first)
    return difference if math.isfinite(difference) else math.inf


def _words(answer: Prediction) -> str:
    """Return the answer, and how unfamiliar the picture is where that is said."""
    if answer.unfamiliarity is None:
        return answer.headline
    return f"{answer.headline}, unfamiliarity {answer.unfamiliarity:.3f}"


def _answers(
    task: Task, batch: ProofBatch, trained: Outputs, shipped: Outputs
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (sample, trained network's answer, shipped network's answer)."""
    first, second = (_decode(task, batch, outputs) for outputs in (trained, shipped))
    yield from zip(batch.samples, first, second, strict=True)


def _decode(task: Task, batch: ProofBatch, outputs: Outputs) -> list[Prediction]:
    answers: list[Prediction] = task.decode(outputs, batch.frames, Calibration())
    if UNFAMILIARITY not in outputs:
        return answers
    values = outputs[UNFAMILIARITY].tolist()
    return [answer.judged(value) for answer, value in zip(answers, values, strict=True)]
