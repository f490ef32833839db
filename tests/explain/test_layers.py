import numpy as np
import pytest
import torch

from foveal.errors import UsageError
from foveal.explain.layers import layer_features, list_layers
from foveal.models.network import Network, build_network
from foveal.recipe import ModelOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import TRAINING
from foveal.types import Labels

TASK = ClassifyTask.bind(Labels(("ant", "bee")), {})


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    options = ModelOptions(backbone="cnn2")
    return build_network(TRAINING(TASK), options, pretrained=False)


def test_layers_come_in_order_with_their_types_and_shapes(network: Network) -> None:
    layers = list_layers(network, (16, 24))

    assert layers[:4] == [
        ("backbone.blocks.0.0", "Conv2d", (32, 16, 24)),
        ("backbone.blocks.0.1", "MaxPool2d", (32, 8, 12)),
        ("backbone.blocks.0.2", "ReLU", (32, 8, 12)),
        ("backbone.blocks.0", "Sequential", (32, 8, 12)),
    ]
    assert layers[-1] == ("head.evidence", "Conv2d", (2, 4, 6))


def test_the_features_of_a_layer_are_what_it_gives(network: Network) -> None:
    inputs = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)

    features = layer_features(network, inputs, "backbone.blocks.0")

    images = torch.from_numpy(inputs).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        expected = network.features(images)[0].numpy()
    assert features.shape == (2, 32, 8, 8) and features.dtype == np.float32
    np.testing.assert_array_equal(features, expected)


def test_activations_in_place_do_not_change_what_is_shown() -> None:
    built = build_network(
        TRAINING(TASK), ModelOptions(backbone="efficientnet_lite0"), pretrained=False
    )
    inputs = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)

    before = layer_features(built, inputs, "backbone.stem.0")

    # A convolution gives negative values; the ReLU6 behind it works in place.
    assert before.min() < 0


def test_looking_leaves_no_hooks_and_no_change_of_mode(network: Network) -> None:
    network.train()

    list_layers(network, (16, 16))

    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_an_unknown_layer_is_answered_with_the_nearest(network: Network) -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'head\.evidence'"):
        layer_features(network, np.zeros((1, 16, 16, 3), np.uint8), "head.evidance")


def test_a_part_that_gives_no_single_tensor_is_refused(network: Network) -> None:
    with pytest.raises(UsageError, match="'backbone' does not return a single tensor"):
        layer_features(network, np.zeros((1, 16, 16, 3), np.uint8), "backbone")
