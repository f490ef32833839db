"""Build the network of a training, or of a bundle; try one of the user's own beforehand."""

from __future__ import annotations

import contextlib
import io
import sys

import numpy as np
import torch
import yaml

from foveal.bundle.bundle import Bundle
from foveal.errors import UsageError
from foveal.export.onnx import export_onnx
from foveal.models.network import Network, build_network
from foveal.models.torch_engine import TorchEngine
from foveal.models.weights import load_weights
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.recipe import Recipe
from foveal.tasks import get_training
from foveal.tasks.base import Task
from foveal.tasks.training import TaskTraining

# Largest difference to the export that passes, as a share of the largest output. Exports drift by
# 1e-6 to 1e-4; what is drawn by lot or taken for a constant differs by far more.
_TOLERANCE = 0.01


def bundle_recipe(bundle: Bundle) -> Recipe:
    """Return the recipe in a bundle.

    Raises:
        BundleError: If it holds none.
        RecipeError: If it cannot be read.
    """
    return Recipe.parse(yaml.safe_load(bundle.read("recipe.yaml")))


def new_network(training: TaskTraining, recipe: Recipe) -> Network:
    """Build the network that a training starts with: its random weights follow from the seed.

    Args:
        training: The task's torch half.
        recipe: A resolved recipe.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build_network(training, recipe.model, pretrained=recipe.model.pretrained)
    network.plain_backbone = recipe.train.precision == "bf16_head"
    return network


def load_network(bundle: Bundle) -> Network:
    """Build the bundle's network in torch and load its trained weights.

    Returns:
        The network, on the processor, in evaluation mode.

    Raises:
        BundleError: If the bundle holds no weights or no recipe.
        UsageError: If the network is code of the user's own that has not been imported.
        WeightsError: If the weights do not fit the recipe's network.
    """
    recipe = bundle_recipe(bundle)
    for name in recipe.model.backbone.split(","):
        module, colon, _ = name.strip().partition(":")
        # Opening a bundle runs nothing that it names: whoever wants its code imports it.
        if colon and module not in sys.modules:
            raise UsageError(
                f"The layers of {bundle.name!r} need the code of its backbone {name.strip()!r}, "
                "which has not been imported. (Predicting does not.)",
                hint=f"import {module}",
            )
    training = get_training(bundle.manifest.task)(bundle.task)
    network = build_network(training, recipe.model, pretrained=False)
    load_weights(network, bundle.read("weights.safetensors"))
    return network.eval()


def try_network(network: Network, task: Task, pipeline: Pipeline) -> None:
    """Train a step, export and compare: before a network of the user's own is trained for hours.

    Args:
        network: Network to try; its weights and statistics are changed.
        task: Bound.
        pipeline: Gives the size of the input.

    Raises:
        UsageError: If it cannot be trained or exported, or its export answers differently.
    """
    name = network.backbone_name
    pixels = np.random.default_rng(0).integers(0, 256, (2, *pipeline.example_size, 3), np.uint8)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    step = "trained"
    # The code is the user's: anything may be raised.
    try:
        outputs = network.train()(images.to(memory_format=torch.channels_last))
        sum(output.float().mean() for output in outputs.values()).backward()
        step = "exported to ONNX"
        # What torch tells of a failure there is pages long; the error holds its gist.
        with contextlib.redirect_stderr(io.StringIO()):
            shipped = OnnxEngine(export_onnx(network, task, pipeline), threads=1).run(pixels)
    except Exception as error:
        why = error.__cause__ or error
        line = next(iter(str(why).splitlines()), "")
        raise UsageError(
            f"The backbone {name!r} cannot be {step}: {type(why).__name__}: {line}",
            hint="see docs/plugins.md, A network of your own; --debug shows where",
        ) from error
    for key, expected in TorchEngine(network).run(pixels).items():
        if np.abs(shipped[key] - expected).max() > _TOLERANCE * np.abs(expected).max():
            raise UsageError(
                f"The backbone {name!r} returns different outputs after export to ONNX.",
                hint="see docs/plugins.md, A network of your own",
            )
