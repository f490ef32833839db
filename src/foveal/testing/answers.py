"""Answers of an untrained network of a task to drawn pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foveal.models.network import Network, build_network
from foveal.models.torch_engine import TorchEngine
from foveal.pipeline import Pipeline
from foveal.recipe import ModelOptions, PipelineOptions, Recipe
from foveal.tasks import get_task, get_training
from foveal.tasks.base import Task
from foveal.tasks.facts import DataFacts
from foveal.types import Calibration, Frame, Outputs, Picture, RawTarget
from foveal.workflow.choose import resolve
from foveal.workflow.resolve import pipeline_of


@dataclass(frozen=True)
class UntrainedAnswers:
    """Answers of an untrained network of a task to drawn pictures."""

    task: Task
    recipe: Recipe
    pictures: Sequence[Picture]
    raws: Sequence[RawTarget]
    targets: Sequence[Any]
    inputs: NDArray[np.uint8]
    frames: Sequence[Frame]
    network: Network
    outputs: Outputs
    predictions: Sequence[Any]

    def rows(self) -> NDArray[np.float64]:
        """Return the rows of `Task.measure`."""
        return np.stack([*map(self.task.measure, self.predictions, self.targets)])


def answer(
    name: str,
    raws: Sequence[RawTarget],
    backbone: str | None,
    options: Mapping[str, Any] | None = None,
) -> UntrainedAnswers:
    """Return the answers with a backbone, or with the one that the task chooses.

    Args:
        name: Name of the task.
        raws: Raw targets of the pictures.
        backbone: Name of the backbone, or None.
        options: Options of the task beside those that it chooses.
    """
    kind, training = get_task(name), get_training(name)
    chosen = {**kind.choose_options(raws)[0], **(options or {})}
    task = kind.bind(kind.fit_labels(raws), chosen)
    facts = DataFacts(
        len(raws), 48, 32, 1.5, (200, 210, 220), 0.5, single_characters=False, longest_target=3
    )
    asked = Recipe(task=name, pipeline=PipelineOptions(image_size=32))
    recipe = resolve(asked, facts, training, pretrained_at_hand=False)
    pipeline = pipeline_of(recipe)
    model = ModelOptions(backbone=backbone or recipe.model.backbone, dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(training(task), model, pretrained=False)
        for parameter in network.head.parameters():
            # A head that begins with zeros would say the same of every picture.
            if not parameter.any():
                torch.nn.init.normal_(parameter)
    pictures = _pictures(len(raws))
    fitted = [_fit(pipeline, picture) for picture in pictures]
    inputs, frames = np.stack([pixels for pixels, _ in fitted]), [frame for _, frame in fitted]
    outputs = TorchEngine(network.eval()).run(inputs)
    targets = [_target(task, raw, frame) for raw, frame in zip(raws, frames, strict=True)]
    found = task.decode(outputs, frames, Calibration())
    return UntrainedAnswers(
        task, recipe, pictures, raws, targets, inputs, frames, network, outputs, found
    )


def _pictures(count: int) -> list[Picture]:
    """Return (32, 48) noise pictures with a bright square, each of a different size."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 100, (count, 32, 48, 3)).astype(np.uint8)
    for i, pixels in enumerate(drawn):
        pixels[4 : 12 + 3 * i, 6 : 20 + 4 * i] += 150
    return [Picture.from_array(np.ascontiguousarray(pixels)) for pixels in drawn]


def _fit(pipeline: Pipeline, picture: Picture) -> tuple[NDArray[np.uint8], Frame]:
    """Return one input of the network; for a tiled pipeline, the first tile."""
    if pipeline.is_tiled:
        tile = picture.read(0, 0, pipeline.height, pipeline.width)
        return tile, pipeline.frame(*tile.shape[:2])
    return pipeline.apply(picture)


def _target(task: Task, raw: RawTarget, frame: Frame) -> Any:
    if task.target_kind != "mask":
        return task.parse_target(raw)
    rows, columns = np.indices(frame.original)
    return task.parse_target(raw, ((rows // 8 + columns // 16) % len(raw)).astype(np.uint8))
