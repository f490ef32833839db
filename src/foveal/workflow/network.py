"""Rebuild the trained torch network from what a bundle holds."""

from __future__ import annotations

import yaml

from foveal.bundle.bundle import Bundle
from foveal.models.network import Network, build_network
from foveal.models.weights import load_weights
from foveal.recipe import Recipe
from foveal.tasks import get_training


def bundle_recipe(bundle: Bundle) -> Recipe:
    """Return the recipe in a bundle.

    Raises:
        BundleError: When it holds none.
        RecipeError: When it cannot be read.
    """
    return Recipe.parse(yaml.safe_load(bundle.read("recipe.yaml")))


def load_network(bundle: Bundle) -> Network:
    """Build the bundle's network in torch and load its trained weights.

    Returns:
        The network, on the processor, in evaluation mode.

    Raises:
        BundleError: When the bundle holds no weights or no recipe.
        WeightsError: When the weights do not fit the recipe's network.
    """
    recipe = bundle_recipe(bundle)
    training = get_training(bundle.manifest.task)
    network = build_network(bundle.task, training, recipe.model, pretrained=False)
    load_weights(network, bundle.read("weights.safetensors"))
    return network.eval()
