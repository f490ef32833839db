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
from foveal.evaluate.measure import Measured, load_picture
from foveal.predict.predictor import Predictor
from foveal.render import thumbnail
from foveal.types import Image, Picture

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
        confidence: Of the answer, in [0, 1].
        unsure: Whether the model said so itself.
        picture: The picture, as the bytes of a JPEG or PNG file.
        drawn: The same with the answer drawn on it (for a classifier, the evidence map).
    """

    sample: str
    target: str
    answer: str
    confidence: float
    unsure: bool
    picture: bytes
    drawn: bytes


def choose_worst(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], count: int
) -> list[int]:
    """Return the positions of mistakes, the surest first."""
    wrong = np.flatnonzero(~correct)
    return [int(i) for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:count]]


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
    predictor: Predictor,
    source: Source,
    measured: Measured,
    positions: Sequence[int],
    targets: Sequence[str],
    unsure: Sequence[bool],
) -> tuple[Example, ...]:
    """Answer the samples at `positions` once more, with explanations, and draw them."""
    examples = []
    for i in positions:
        sample, prediction = measured.samples[i], measured.predictions[i]
        picture, drawn = _draw(predictor, source, sample)
        examples.append(
            Example(
                sample=sample.id,
                target=targets[i],
                answer=_words(predictor.task.headline(prediction)),
                confidence=predictor.task.confidence(prediction),
                unsure=unsure[i],
                picture=encode(picture),
                drawn=encode(drawn),
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


def _draw(predictor: Predictor, source: Source, sample: Sample) -> tuple[Image, Image]:
    picture = load_picture(predictor, source, sample)
    pixels, frame = predictor.prepare(picture)
    # The network gets the very same input; only the answer is mapped to a small copy of the
    # picture, because drawing on fifty megapixels would take gigabytes.
    small = Picture.from_array(_fit(picture))
    frame = frame.for_copy(small.height, small.width)
    prediction = predictor.predict_inputs([pixels], [frame], explain=True)[0]
    return small.pixels, predictor.task.draw(small, prediction)


def _words(headline: str) -> str:
    # Said by a tag of its own; and a number stays beside its unit.
    return headline.removeprefix("unsure: ").replace(" %", "\u00a0%")


def _fit(picture: Picture) -> Image:
    """Return the picture in its original aspect ratio with a side of at most `_SIDE` pixels."""
    scale = min(1.0, _SIDE / max(picture.height, picture.width))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if (size[1], size[0]) == picture.pixels.shape[:2]:
        return picture.pixels
    resized = PILImage.fromarray(picture.pixels).resize(size, PILImage.Resampling.LANCZOS)
    return thumbnail(np.asarray(resized), _SIDE)
