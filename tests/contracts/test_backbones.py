"""What every registered backbone promises, checked over the table."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from foveal.export.onnx import export_onnx
from foveal.models.backbones import BACKBONES
from foveal.models.network import Network, build_network
from foveal.models.torch_engine import TorchEngine
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.recipe import ModelOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import TRAINING
from foveal.types import Labels

TASK = ClassifyTask.bind(Labels(("ant", "bee", "cat")), {})
SIZES = ((64, 64), (96, 64))
# Lite 1 and 2 are deeper copies of lite 0: their exports would only cost time.
EXPORTED = [name for name in BACKBONES if name not in {"efficientnet_lite1", "efficientnet_lite2"}]

_built: dict[str, Network] = {}


def network_of(name: str) -> Network:
    """Return a fresh copy of the network on a backbone, without pretrained weights."""
    if name not in _built:
        torch.manual_seed(0)
        options = ModelOptions(backbone=name, dropout=0.0)
        _built[name] = build_network(TRAINING(TASK), options, pretrained=False)
        # Standard-sized weights, so that a difference in the answers would show.
        torch.nn.init.normal_(_built[name].head.evidence.weight)
    return copy.deepcopy(_built[name])


def pictures(height: int, width: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, height, width, generator=generator) * 255


@pytest.mark.parametrize("name", BACKBONES)
def test_the_spec_is_complete_and_consistent(name: str) -> None:
    spec = BACKBONES[name]

    assert spec.name == name
    assert len(spec.channels) == len(spec.strides) > 0
    assert list(spec.strides) == sorted(spec.strides)
    assert spec.min_size <= spec.default_size
    assert spec.paper and spec.licence
    assert all(0 <= mean <= 1 for mean in spec.mean)
    assert all(0 < std <= 1 for std in spec.std)
    assert spec.weights.startswith("https://") or not spec.pretrained


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", BACKBONES)
def test_feature_maps_have_the_channels_and_strides_of_the_spec(
    name: str, size: tuple[int, int]
) -> None:
    spec, network = BACKBONES[name], network_of(name).eval()

    with torch.inference_mode():
        maps = network.features(pictures(*size))

    expected = [
        (2, channels, size[0] // row_stride, size[1] // stride)
        for channels, row_stride, stride in zip(
            spec.channels, spec.row_strides or spec.strides, spec.strides, strict=True
        )
    ]
    assert [tuple(m.shape) for m in maps] == expected


@pytest.mark.parametrize("name", BACKBONES)
def test_the_smallest_size_works(name: str) -> None:
    spec, network = BACKBONES[name], network_of(name).eval()

    with torch.inference_mode():
        outputs = network(pictures(spec.min_size, spec.min_size))

    assert torch.isfinite(outputs["logits"]).all()


@pytest.mark.parametrize("name", BACKBONES)
def test_gradients_reach_every_weight(name: str) -> None:
    network = network_of(name).train()

    network(pictures(64, 64))["logits"].square().sum().backward()

    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias before normalisation or a dead ReLU may have none, the convolutions must have one.
    assert [n for n in without if n.endswith("weight") and network.get_parameter(n).ndim == 4] == []


@pytest.mark.parametrize("name", BACKBONES)
def test_bfloat16_autocast_gives_finite_float32_outputs(name: str) -> None:
    network = network_of(name).eval().to(memory_format=torch.channels_last)
    images = pictures(64, 64).contiguous(memory_format=torch.channels_last)

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        outputs = network(images)

    assert outputs["logits"].dtype == outputs["evidence"].dtype == torch.float32
    assert torch.isfinite(outputs["logits"]).all()


@pytest.mark.parametrize("name", BACKBONES)
def test_the_mean_of_the_evidence_is_the_logits(name: str) -> None:
    network = network_of(name).eval()

    with torch.inference_mode():
        outputs = network(pictures(64, 96))

    torch.testing.assert_close(outputs["evidence"].mean(dim=(2, 3)), outputs["logits"])
    assert outputs["logits"].abs().max() > 0


@pytest.mark.parametrize("name", BACKBONES)
def test_an_answer_does_not_depend_on_the_other_pictures(name: str) -> None:
    network, images = network_of(name).eval(), pictures(64, 64, count=3)

    with torch.inference_mode():
        together, alone = network(images)["logits"][1:2], network(images[1:2])["logits"]

    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", EXPORTED)
def test_the_export_agrees_for_any_number_of_pictures(name: str) -> None:
    network = network_of(name).train()
    inputs = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)

    engine = OnnxEngine(export_onnx(network, TASK, Pipeline(64, 96)), threads=1)

    assert engine.output_names == ("logits", "evidence")
    expected = TorchEngine(network).run(inputs)
    largest = {key: float(np.abs(value).max()) for key, value in expected.items()}
    for count in (1, 3):
        found = engine.run(inputs[:count])
        for key, value in found.items():
            assert value.shape == expected[key][:count].shape
            np.testing.assert_allclose(value, expected[key][:count], atol=1e-5 * largest[key])
