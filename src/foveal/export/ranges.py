"""The inputs from which a quantisation takes the ranges of values: some training pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foveal.data.source import Sample
from foveal.errors import ParityError
from foveal.export.job import ExportJob, Pictures
from foveal.predict.predictor import Predictor
from foveal.types import Raster
from foveal.windows import read_window, scaled

# Ranges hardly move beyond some dozens of pictures; of these every value is looked at.
MOST_RANGES = 64


def range_samples(pictures: Pictures) -> Sequence[Sample]:
    """Return the training samples that are looked at: always the same of the same pictures."""
    chosen = np.random.default_rng(0).permutation(len(pictures.train))[:MOST_RANGES]
    return [pictures.train[i] for i in np.sort(chosen)]


def unseen(pictures: Pictures) -> Pictures:
    """Return the pictures without those of `val` that are among `range_samples`."""
    seen = {sample.id for sample in range_samples(pictures)}
    return replace(pictures, val=[sample for sample in pictures.val if sample.id not in seen])


def range_inputs(job: ExportJob, pictures: Pictures) -> list[NDArray[np.uint8]]:
    """Return model inputs of training pictures, each (1, H, W, 3) uint8; of tiles, one each.

    Raises:
        ParityError: If not one can be read.
    """
    predictor = Predictor(job.bundle, limits=pictures.limits)
    samples = range_samples(pictures)
    job.progress.start("look at training pictures", len(samples))
    generator = np.random.default_rng(0)
    inputs = []
    for done, (_, data) in enumerate(pictures.files(samples), 1):
        picture = predictor.decode(data)
        if predictor.pipeline.is_tiled:
            pixels = _tile(predictor, picture, generator)
        else:
            pixels, _ = predictor.prepare(picture)
        inputs.append(pixels[None])
        job.progress.update(done)
    job.progress.finish()
    if not inputs:
        raise ParityError(
            "The network cannot be quantised: none of the training pictures can be read."
        )
    return inputs


def _tile(
    predictor: Predictor, picture: Raster, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a tile from anywhere in a picture."""
    size = (predictor.pipeline.height, predictor.pipeline.width)
    small = scaled(picture, predictor.pipeline.scale)
    top, left = (
        int(generator.integers(0, max(1, whole - side + 1)))
        for whole, side in zip((small.height, small.width), size, strict=True)
    )
    return read_window(small, top, left, *size)
