"""Pictures for the report: the worst mistakes and the best answers, with what speaks for them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data.source import Sample, Source
from foveal.evaluate.answering import Answering
from foveal.evaluate.measure import MeasuredSamples, open_picture, target_of
from foveal.predict.copies import small_copy
from foveal.predict.predictor import Predictor
from foveal.types import Image

# Twice the width at which the report shows them, for screens with small pixels.
_SIDE = 288


@final
@dataclass(frozen=True, slots=True)
class Example:
    """One picture of the report.

    Attributes:
        sample: Its id.
        target: What it is.
        answer: What the model says, in a few words.
        confidence: Confidence of the answer, in [0, 1].
        unsure: Whether the model said so itself.
        degree: How right the answer is, in [0, 1]; None where it is right or wrong.
        picture: The picture, as the bytes of a JPEG or PNG file.
        beside: What is shown beside it: in words, and as a file (for a classifier the evidence
            map, for masks the truth, the answer and where they differ).
    """

    sample: str
    target: str
    answer: str
    confidence: float
    unsure: bool
    degree: float | None
    picture: bytes
    beside: tuple[tuple[str, bytes], ...]


def choose_worst(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], count: int
) -> list[int]:
    """Return the positions of mistakes, the surest first."""
    wrong = np.flatnonzero(~correct)
    return [int(i) for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:count]]


def choose_lowest(degree: NDArray[np.float64], count: int) -> list[int]:
    """Return the positions of the answers that are right to the lowest degree, lowest first."""
    return [int(i) for i in np.argsort(degree, kind="stable")[:count]]


def choose_best(
    confidence: NDArray[np.float64],
    correct: NDArray[np.bool_],
    targets: Sequence[str],
    count: int,
) -> list[int]:
    """Return the positions of the surest right answers, taking every target in turn."""
    right = np.flatnonzero(correct)
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int, int]] = []
    for i in right[np.argsort(-confidence[right], kind="stable")]:
        turn = seen[targets[i]] = seen.get(targets[i], 0) + 1
        ranked.append((turn, len(ranked), int(i)))
    return [i for _, _, i in sorted(ranked)[:count]]


def make_examples(
    answering: Answering,
    source: Source,
    measured: MeasuredSamples,
    positions: Sequence[int],
    targets: Sequence[str],
    degree: NDArray[np.float64] | None,
) -> tuple[Example, ...]:
    """Answer the samples at `positions` once more, with explanations, and draw them.

    Args:
        answering: Gives the predictor of each sample.
        source: The labelled pictures.
        measured: The answers.
        positions: Those to draw.
        targets: Each measured sample's target as text.
        degree: (N,) how right each answer is; None where it is right or wrong.
    """
    examples = []
    for i in positions:
        sample, prediction = measured.samples[i], measured.predictions[i]
        # Whether it is unsure is said by a tag of its own; and a number stays beside its unit.
        answer = prediction.summary.replace(" %", "\u00a0%")
        picture, beside = _draw(answering(sample), source, sample)
        examples.append(
            Example(
                sample=sample.id,
                target=targets[i],
                answer=answer,
                confidence=prediction.confidence,
                unsure=prediction.unsure,
                degree=None if degree is None else float(degree[i]),
                picture=encode(picture),
                beside=tuple((words, encode(drawn)) for words, drawn in beside),
            )
        )
    return tuple(examples)


def encode(image: Image) -> bytes:
    """Return a file of the picture: PNG for small ones, which JPEG would smear, else JPEG."""
    buffer = io.BytesIO()
    if max(image.shape[:2]) <= 96:
        PILImage.fromarray(image).save(buffer, "PNG", optimize=True)
    else:
        PILImage.fromarray(image).save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()


def _draw(
    predictor: Predictor, source: Source, sample: Sample
) -> tuple[Image, tuple[tuple[str, Image], ...]]:
    raster = open_picture(predictor, source, sample)
    # The network gets the very same input; only the answer is mapped to a small copy of the
    # picture, because drawing on fifty megapixels would take gigabytes.
    small = small_copy(raster, _SIDE)
    given, frame = predictor.prepare_raster(raster)
    ((_, drawing),) = predictor.predict_drawn([given], [frame], [small], explain=False)
    target = target_of(predictor.task, source, sample)
    return small.pixels, predictor.task.draw_beside(small, drawing, target)
