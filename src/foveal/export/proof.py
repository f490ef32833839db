"""Verify that an export, in its own runtime, answers as the bundle does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.findings import plural
from foveal.data.source import TargetKind
from foveal.errors import ImageError, NetworkError, ParityError
from foveal.export.job import ExportJob, Pictures
from foveal.predict.engine import Engine
from foveal.predict.predictor import Predictor
from foveal.tasks.agreement import Comparison
from foveal.types import Frame, JsonObject, Outputs
from foveal.words import percent

_BATCH = 16


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """The result of verifying an export in its own runtime.

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

    def agreement(self, target: TargetKind, picture: str = "picture") -> str:
        """Return how much is answered alike, such as `100.0 % of 70 pictures`.

        Args:
            target: What the task answers with: of masks, the share is one of pixels.
            picture: What the pictures are called.
        """
        what = "the pixels of " if target == "mask" else ""
        return f"{percent(self.label_agreement, 2)} of {what}{plural(self.samples, picture)}"

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
    """The answer of an exported model to one picture.

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
        """Return the answer to each picture."""


def prove_target(job: ExportJob, pictures: Pictures, target: Target) -> Proof:
    """Give an exported model the validation pictures, as files, and compare all its answers.

    Raises:
        ParityError: If an answer differs, or a probability differs by more than 0.01 or is not a
            number, or there are no pictures. The message names the first differing pictures.
    """
    predictor = Predictor(job.bundle)
    manifest = job.bundle.manifest
    comparison = Comparison(predictor.task)
    inputs: list[bool] = []
    for chunk in _chunks(job, pictures):
        prepared = [
            (name, data, *given) for name, data in chunk if (given := _prepared(predictor, data))
        ]
        answers = target.answer([data for _, data, _, _ in prepared]) if prepared else ()
        for (name, _, pixels, frame), answer in zip(prepared, answers, strict=True):
            expected = predictor.predict_inputs([pixels], [frame])[0]
            (said,) = predictor.task.decode(answer.outputs, [frame], manifest.calibration)
            headline = answer.headline or said.headline
            comparison.add(
                name,
                expected,
                said,
                is_same=answer.headline in (None, expected.headline),
                words=f"{expected.headline} became {headline}",
            )
            if answer.model_input is not None:
                inputs.append(np.array_equal(pixels, answer.model_input))
    identical = float(np.mean(inputs)) if inputs else None
    return _proof(job, comparison, target.runtime, identical)


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
    comparison = Comparison(own.task)
    for chunk in _chunks(job, pictures):
        for name, data in chunk:
            try:
                picture = own.decode(data)
                (expected,) = own.predict([picture])
            except ImageError:
                # What the bundle does not answer, such as too wide a line, proves nothing.
                continue
            try:
                (said,) = exported.predict([picture])
            except NetworkError as error:
                raise ParityError(f"{runtime} gives no answer to {name}: {error}") from error
            comparison.add(name, expected, said)
    return _proof(job, comparison, runtime)


def _prepared(predictor: Predictor, data: bytes) -> tuple[NDArray[np.uint8], Frame] | None:
    """Return the model input and its frame; None where the bundle refuses the picture."""
    try:
        return predictor.prepare(predictor.decode(data))
    except ImageError:
        return None


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


def _proof(
    job: ExportJob, comparison: Comparison, runtime: str, identical_inputs: float | None = None
) -> Proof:
    """Return what was found.

    Raises:
        ParityError: If an answer differs, or there is none.
    """
    if not comparison.count:
        raise ParityError(
            "The export cannot be proven: none of the validation pictures can be read."
        )
    if comparison.differing:
        raise ParityError(
            f"The export answers differently from the bundle in {runtime} on "
            f"{comparison.refusal('validation pictures')} Nothing was written.",
            hint="leave out --fp16" if job.options.precision == "fp16" else None,
        )
    agreement, largest = comparison.agreement, comparison.largest
    return Proof(runtime, comparison.count, agreement, largest, identical_inputs)
