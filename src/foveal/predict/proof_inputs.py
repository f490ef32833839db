"""Synthetic model inputs for comparing networks without pictures.

They show whether two runtimes compute the same: shapes, gradients and texture of many colours
and sizes move all parts of a network, and where texts are read there are texts in its alphabet.
They do not show how well a network answers: that takes pictures of the kind it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw

from foveal.bundle.proof import ProofInputs
from foveal.lettering import measure, write
from foveal.pipeline import Pipeline
from foveal.predict.engine import Engine
from foveal.tasks.base import Task
from foveal.types import Image

_MOST = 16
_FEWEST = 2
# Inputs and outputs together: little beside a network.
_MOST_BYTES = 2_000_000
_SHAPES = 12
_SUPERSAMPLED = 2


def prove_inputs(
    engine: Engine, task: Task, pipeline: Pipeline, names: Sequence[str]
) -> ProofInputs:
    """Return inputs and the outputs of a network for them, as many as a bundle holds.

    Args:
        engine: Runs the network of the bundle.
        task: Task of the bundle.
        pipeline: Pipeline of the bundle.
        names: Outputs to keep.
    """
    some = draw_inputs(task, pipeline, _FEWEST)
    outputs = engine.run(some, names)
    size = (some.nbytes + sum(values.nbytes for values in outputs.values())) // _FEWEST
    count = min(_MOST, max(_FEWEST, _MOST_BYTES // size))
    inputs = draw_inputs(task, pipeline, count)
    each = [engine.run(inputs[i : i + 1], names) for i in range(count)]
    return ProofInputs(inputs, {n: np.concatenate([one[n] for one in each]) for n in names})


def draw_inputs(task: Task, pipeline: Pipeline, count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return (count, height, width, 3) uint8 RGB, drawn; the same for the same seed.

    Args:
        task: Task, whose alphabet is drawn if it reads texts.
        pipeline: Pipeline, which determines the size.
        count: Number of inputs.
        seed: Random seed.
    """
    generator = np.random.default_rng(seed)
    size = pipeline.example_size
    if task.target_kind == "text":
        return np.stack([_draw_text(generator, size, task.labels.names) for _ in range(count)])
    return np.stack([_draw_shapes(generator, size) for _ in range(count)])


def _draw_shapes(generator: np.random.Generator, size: tuple[int, int]) -> Image:
    """Draw overlapping shapes on a gradient, under texture."""
    height, width = (side * _SUPERSAMPLED for side in size)
    corners = generator.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    picture = PILImage.fromarray(corners).resize((width, height), PILImage.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)
    for _ in range(_SHAPES):
        x0, x1 = sorted(generator.integers(0, width, 2).tolist())
        y0, y1 = sorted(generator.integers(0, height, 2).tolist())
        color = tuple(generator.integers(0, 256, 3).tolist())
        stroke = int(generator.integers(1, max(2, min(size) // 16)))
        box = (x0, y0, x1, y1)
        shape = int(generator.integers(3))
        if shape == 0:
            pen.ellipse(box, fill=color)
        elif shape == 1:
            pen.rectangle(box, fill=color)
        else:
            pen.line(box, fill=color, width=stroke * _SUPERSAMPLED)
    small = picture.resize(size[::-1], PILImage.Resampling.BILINEAR)
    return _textured(generator, np.asarray(small))


def _draw_text(
    generator: np.random.Generator, size: tuple[int, int], names: Sequence[str]
) -> Image:
    """Draw characters of the alphabet, dark on light."""
    height, width = size
    paper, ink = (tuple(generator.integers(*r, 3).tolist()) for r in ((190, 256), (0, 90)))
    picture = PILImage.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(picture)
    letters = max(6, int(height * generator.uniform(0.5, 0.8)))
    x = float(generator.integers(1, 1 + height // 3))
    while x < width * generator.uniform(0.5, 1.0):
        character = names[int(generator.integers(len(names)))]
        write(pen, (x, height / 2), character, letters, ink, anchor="lm")
        x += max(1.0, measure(character, letters)) + generator.uniform(0, letters / 6)
    return _textured(generator, np.asarray(picture))


def _textured(generator: np.random.Generator, pixels: Image) -> Image:
    """Return the picture with noise of some strength, from none to much."""
    strength = generator.uniform(0, 12)
    noisy = pixels + generator.normal(0, strength, pixels.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
