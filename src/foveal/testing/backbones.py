"""Contract tests of backbones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from foveal.export.onnx import export_onnx
from foveal.models.backbone import BackboneSpec
from foveal.models.backbones import resolve_backbone
from foveal.models.network import Network, build_network
from foveal.models.torch_engine import TorchEngine
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.recipe import ModelOptions
from foveal.tasks import get_task, get_training
from foveal.tasks.base import Task
from foveal.testing.expect import expect
from foveal.types import Labels

_SIZES = ((64, 64), (96, 64))


def check_backbone(name: str, *, export: bool = True) -> None:
    """Check the spec, feature maps, gradients, precision and export of a backbone.

    Args:
        name: Name, as for `--backbone`.
        export: Whether to check the export too, which takes up to a minute for a deep backbone.

    Raises:
        AssertionError: If the backbone violates the contract; the message says how.
    """
    spec = resolve_backbone(name)
    _check_spec(spec, name)
    task = get_task("classify").bind(Labels(("ant", "bee", "cat")), {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        options = ModelOptions(backbone=name, dropout=0.0)
        network = build_network(get_training("classify")(task), options, pretrained=False)
        for parameter in network.head.parameters():
            # Standard-sized weights, so that a difference in the answers would show.
            torch.nn.init.normal_(parameter)
    network.eval()
    for size in _SIZES:
        _check_maps(network, spec, size)
    _check_alone(network)
    _check_bfloat16(network)
    if export:
        _check_export(network, task)
    # Last: what is run in training mode changes its statistics.
    _check_gradients(network)


def _check_spec(spec: BackboneSpec, name: str) -> None:
    expect(spec.name == name, f"a backbone is registered under its own name, not {spec.name!r}")
    sizes = len(spec.channels), len(spec.strides), len(spec.row_strides or spec.strides)
    expect(len(set(sizes)) == 1 and all(sizes), "each feature map has its channels and strides")
    expect(list(spec.strides) == sorted(spec.strides), "feature maps go from fine to coarse")
    expect(0 < spec.min_size <= spec.default_size, "its default size is no less than the smallest")
    expect(spec.paper and spec.licence, "it says where it comes from, and its licence")
    expect(all(0 <= mean <= 1 for mean in spec.mean), "means are shares of the range of a pixel")
    expect(all(0 < std <= 1 for std in spec.std), "deviations are shares of the range of a pixel")
    is_traced = spec.weights.startswith("https://") or not spec.pretrained
    expect(is_traced, "pretrained weights name the URL that they are from")


def _pictures(height: int, width: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, height, width, generator=generator) * 255


@torch.inference_mode()
def _check_maps(network: Network, spec: BackboneSpec, size: tuple[int, int]) -> None:
    height, width = size
    found = [tuple(features.shape) for features in network.features(_pictures(*size))]
    row_strides = spec.row_strides or spec.strides
    expected = [
        (2, channels, height // rows, width // columns)
        for channels, rows, columns in zip(spec.channels, row_strides, spec.strides, strict=True)
    ]
    expect(found == expected, f"feature maps have the spec's shapes {expected}, not {found}")
    outputs = network(_pictures(spec.min_size, spec.min_size))
    expect(torch.isfinite(outputs["logits"]).all(), "pictures of the smallest size are answered")
    outputs = network(_pictures(*size))
    torch.testing.assert_close(outputs["evidence"].mean(dim=(2, 3)), outputs["logits"])
    expect(outputs["logits"].any(), "a picture gives some evidence")


@torch.inference_mode()
def _check_alone(network: Network) -> None:
    images = _pictures(64, 64, count=3)
    together, alone = network(images)["logits"][1:2], network(images[1:2])["logits"]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def _check_bfloat16(network: Network) -> None:
    images = _pictures(64, 64).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(images)
    for output in outputs.values():
        expect(output.dtype == torch.float32, "outputs are float32 under autocast too")
        expect(torch.isfinite(output).all(), "outputs in bfloat16 are finite")


def _check_gradients(network: Network) -> None:
    network.train()(_pictures(64, 64))["logits"].square().sum().backward()
    # A bias before normalisation or a dead ReLU may have none, the convolutions must have one.
    without = [
        name
        for name, weights in network.named_parameters()
        if weights.ndim == 4 and (weights.grad is None or not weights.grad.any())
    ]
    expect(not without, f"gradients reach every convolution, but not {without}")


def _check_export(network: Network, task: Task) -> None:
    inputs = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)
    shipped = OnnxEngine(export_onnx(network, task, Pipeline(64, 96)), threads=1)
    expected = TorchEngine(network).run(inputs)
    for count in (1, 3):
        for key, value in shipped.run(inputs[:count]).items():
            largest = float(np.abs(expected[key]).max())
            np.testing.assert_allclose(value, expected[key][:count], atol=1e-5 * largest)
