"""The proof of an export: in the runtime that its users have, it answers as the bundle does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import NetworkError, ParityError
from foveal.export.job import ExportJob, Pictures
from foveal.export.prove import LEAST_SHARE, TOLERANCE
from foveal.predict.engine import Engine
from foveal.predict.predictor import Predictor
from foveal.tasks.prediction import Prediction
from foveal.types import JsonObject, Outputs

_BATCH = 16
_NAMED = 5


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """What was found when an exported model answered pictures in its own runtime.

    Attributes:
        runtime: Name and version of the runtime.
        samples: Number of pictures.
        label_agreement: Share of the pictures (of a mask, mean share of the pixels) that are
            answered as by the bundle.
        max_probability_difference: Largest difference of a probability.
        identical_inputs: Share of the pictures whose model input is the same to the bit; None
            where the export begins at the model input.
        measured: Further figures, by name.
    """

    runtime: str
    samples: int
    label_agreement: float
    max_probability_difference: float
    identical_inputs: float | None = None
    measured: JsonObject = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return the proof as it stands in exports and in the list of a run's exports."""
        shown: JsonObject = {
            "runtime": self.runtime,
            "samples": self.samples,
            "label_agreement": self.label_agreement,
            "max_probability_difference": self.max_probability_difference,
        }
        if self.identical_inputs is not None:
            shown["identical_inputs"] = self.identical_inputs
        return {**shown, **self.measured}


@final
@dataclass(frozen=True, slots=True)
class TargetAnswer:
    """What an exported model said of one picture.

    Attributes:
        outputs: The network's outputs, each with a first axis of 1.
        model_input: (H, W, 3) uint8, where the export does the pre-processing itself.
        headline: The answer in words, where the export decodes the outputs itself; the same as
            `Prediction.headline`.
    """

    outputs: Outputs
    model_input: NDArray[np.uint8] | None = None
    headline: str | None = None


class Target(Protocol):
    """An exported model in its runtime, from the bytes of picture files on."""

    @property
    def runtime(self) -> str:
        """Name and version of the runtime."""

    def answer(self, files: Sequence[bytes]) -> Sequence[TargetAnswer]:
        """Return what it says of each picture."""


def prove_target(job: ExportJob, pictures: Pictures, target: Target) -> Proof:
    """Give an exported model the validation pictures, as files, and compare all its answers.

    Raises:
        ParityError: When an answer differs, or a probability differs by more than 0.01 or is not a
            number, or there are no pictures. The message names the first differing pictures.
    """
    predictor = Predictor(job.bundle)
    manifest = job.bundle.manifest
    comparison = _Comparison(predictor)
    for chunk in _chunks(job, pictures):
        answers = target.answer([data for _, data in chunk])
        for (name, data), answer in zip(chunk, answers, strict=True):
            pixels, frame = predictor.prepare(predictor.decode(data))
            expected = predictor.predict_inputs([pixels], [frame])[0]
            (said,) = predictor.task.decode(answer.outputs, [frame], manifest.calibration)
            comparison.add(name, expected, said, headline=answer.headline)
            if answer.model_input is not None:
                comparison.add_input(np.array_equal(pixels, answer.model_input))
    return comparison.proof(target.runtime)


def prove_engine(
    job: ExportJob,
    pictures: Pictures,
    engine: Engine,
    runtime: str,
    *,
    accepted: Engine | None = None,
) -> Proof:
    """Let an exported network take the place of the bundle's, and compare all answers.

    For exports that begin at the model input. Pictures are decoded and prepared by foveal, and a
    tiled picture is answered tile by tile.

    Args:
        job: Names the bundle.
        pictures: `val` of them are answered.
        engine: Runs the exported network.
        runtime: Name and version of what it runs in.
        accepted: Runs the network to compare with; None takes the bundle's own.

    Raises:
        ParityError: As for `prove_target`.
    """
    own, exported = (Predictor(job.bundle, engine=given) for given in (accepted, engine))
    comparison = _Comparison(own)
    for chunk in _chunks(job, pictures):
        for name, data in chunk:
            picture = own.decode(data)
            (expected,) = own.predict([picture])
            try:
                (said,) = exported.predict([picture])
            except NetworkError as error:
                raise ParityError(f"{runtime} gives no answer to {name}: {error}") from error
            comparison.add(name, expected, said)
    return comparison.proof(runtime)


def _chunks(job: ExportJob, pictures: Pictures) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the validation pictures, a few at a time, and report how far the work is."""
    files = pictures.files(pictures.val)
    job.progress.start("prove the export", len(pictures.val))
    done = 0
    while chunk := list(islice(files, _BATCH)):
        yield chunk
        done += len(chunk)
        job.progress.update(done)
    job.progress.finish()


class _Comparison:
    """Answers of the bundle and of an export, compared one by one."""

    def __init__(self, predictor: Predictor) -> None:
        self._task = predictor.task
        self._differing: list[str] = []
        self._count, self._agreeing, self._largest = 0, 0.0, 0.0
        self._inputs: list[bool] = []

    def add(
        self, name: str, expected: Prediction, said: Prediction, *, headline: str | None = None
    ) -> None:
        """Compare two answers to one picture."""
        share, difference = self._task.agreement(expected, said)
        if headline is not None and headline != expected.headline:
            share = 0.0
        # Not-a-number passes every comparison of size, so it is made to fail here.
        difference = difference if math.isfinite(difference) else math.inf
        self._count += 1
        self._agreeing += share
        self._largest = max(self._largest, difference)
        if share < LEAST_SHARE or difference > TOLERANCE:
            became = said.headline if headline is None else headline
            self._differing.append(f"{name} ({expected.headline} became {became})")

    def add_input(self, is_same: bool) -> None:
        """Count whether a model input was the same to the bit."""
        self._inputs.append(is_same)

    def proof(self, runtime: str) -> Proof:
        """Return the proof.

        Raises:
            ParityError: When there is none.
        """
        if not self._count:
            raise ParityError("The export cannot be proven: no validation picture can be read.")
        agreement = self._agreeing / self._count
        if self._differing:
            more = len(self._differing) - _NAMED
            named = "; ".join(self._differing[:_NAMED]) + (f" and {more} more" if more > 0 else "")
            raise ParityError(
                f"The export answers differently from the bundle in {runtime} on "
                f"{len(self._differing)} of {self._count} validation pictures (agreement "
                f"{agreement:.2%}, largest probability difference {self._largest:.3g}): {named}. "
                "Nothing was written."
            )
        identical = float(np.mean(self._inputs)) if self._inputs else None
        return Proof(runtime, self._count, agreement, self._largest, identical)
