import pytest
import torch
from safetensors.torch import load, save

from foveal.errors import WeightsError
from foveal.models.network import Network, build_network
from foveal.models.weights import digest_of, load_weights, save_weights
from foveal.recipe import ModelOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import TRAINING
from foveal.types import Labels

TASK = ClassifyTask.bind(Labels(("ant", "bee")), {})


def network(seed: int) -> Network:
    torch.manual_seed(seed)
    return build_network(TRAINING(TASK), ModelOptions(backbone="fovea"), pretrained=False)


def test_a_network_survives_saving_and_loading() -> None:
    first = network(0).to(memory_format=torch.channels_last)
    first.train()(torch.rand(4, 3, 32, 32) * 255)  # so that the running statistics have moved
    second = network(1)

    load_weights(second, save_weights(first))

    expected, found = first.state_dict(), second.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_digest_is_of_the_values_and_not_of_their_order_in_memory() -> None:
    first, same, other = network(0), network(0).to(memory_format=torch.channels_last), network(0)
    other.backbone.stem[1].running_mean[0] += 1e-7

    assert digest_of(first.backbone) == digest_of(same.backbone)
    assert digest_of(first.backbone) != digest_of(other.backbone)


def test_a_missing_tensor_is_named() -> None:
    state = load(save_weights(network(0)))
    state["backbone.stem.0.wight"] = state.pop("backbone.stem.0.weight")

    with pytest.raises(WeightsError, match=r"'backbone.stem.0.weight'.*but 'backbone.stem.0.wight"):
        load_weights(network(0), save(state))


def test_a_tensor_of_another_shape_is_named() -> None:
    state = load(save_weights(network(0)))
    state["head.evidence.bias"] = torch.zeros(3)

    with pytest.raises(WeightsError, match=r"head.evidence.bias.*\(2,\).*Received: float32 \(3,\)"):
        load_weights(network(0), save(state))


def test_a_tensor_of_another_type_is_named() -> None:
    state = load(save_weights(network(0)))
    state["head.evidence.bias"] = state["head.evidence.bias"].half()

    with pytest.raises(WeightsError, match=r"Expected float32 \(2,\). Received: float16"):
        load_weights(network(0), save(state))


def test_an_unknown_tensor_is_named() -> None:
    state = load(save_weights(network(0)))
    state["extra"] = torch.zeros(1)

    with pytest.raises(WeightsError, match=r"'extra'\. Expected no such tensor"):
        load_weights(network(0), save(state))


def test_a_refused_file_changes_nothing() -> None:
    target = network(1)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    state = load(save_weights(network(0)))
    state["extra"] = torch.zeros(1)

    with pytest.raises(WeightsError):
        load_weights(target, save(state))

    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


def test_bytes_that_are_no_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match="Cannot read the weights"):
        load_weights(network(0), b"not a safetensors file")
