"""The parity gate: what ships answers like what was trained, on every picture, or is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import ParityError
from foveal.predict.engine import Engine
from foveal.tasks.base import Task
from foveal.tasks.prediction import Prediction
from foveal.types import UNFAMILIARITY, Calibration, Frame, JsonObject, Outputs

# Largest probability difference that passes. Exports drift by 1e-6 to 1e-4; a hundred times that
# is no rounding, even where every label still agrees.
TOLERANCE = 0.01
# Share of an answer that must agree: all of a label or a text, and all but one in ten thousand of
# a mask's pixels, whose classes meet in places where the two are equally likely.
LEAST_SHARE = 0.9999
_NAMED = 5


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
        ParityError: When any answer differs, a probability or an unfamiliarity differs by more than
            0.01 or is not a number, or there are no pictures. The message names the first
            differing pictures.
    """
    differing: list[str] = []
    count, agreeing, largest, drift = 0, 0.0, 0.0, 0.0
    names = (*task.core_outputs, *([UNFAMILIARITY] if is_judged else []))
    for batch in batches:
        expected, outputs = (engine.run(batch.inputs, names) for engine in (trained, shipped))
        if keep is not None:
            keep(outputs, batch.frames)
        for sample, first, second in _answers(task, batch, expected, outputs):
            share, difference = task.agreement(first, second)
            # Not-a-number passes every comparison of size, so it is made to fail here.
            difference = difference if math.isfinite(difference) else math.inf
            count += 1
            agreeing += share
            largest = max(largest, difference)
            moved = _drift(first.unfamiliarity, second.unfamiliarity)
            drift = max(drift, moved)
            if share < LEAST_SHARE or max(difference, moved) > TOLERANCE:
                differing.append(f"{sample} ({_words(first)} became {_words(second)})")
    if not count:
        raise ParityError("The export cannot be proven: there are no validation pictures.")
    if differing:
        raise _refusal(differing, count, agreeing, largest)
    proof: JsonObject = {
        "samples": count,
        "label_agreement": float(agreeing / count),
        "max_probability_difference": largest,
    }
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


def _refusal(differing: Sequence[str], count: int, agreeing: float, largest: float) -> ParityError:
    more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
    return ParityError(
        f"The exported model answers differently on {len(differing)} of {count} validation "
        f"pictures (label agreement {agreeing / count:.2%}, largest probability difference "
        f"{largest:.3g}): {'; '.join(differing[:_NAMED])}{more}. Nothing was written.",
        hint="foveal train --resume RUN tries the export again; report the backbone if it repeats",
    )
