"""The networks of all tasks in TensorFlow: the same numbers as in ONNX Runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from foveal.export.onnx import export_onnx
from foveal.models.familiarity import Familiarity, Level, pool
from foveal.models.network import build_network
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.recipe import ModelOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import TRAINING as CLASSIFY
from foveal.tasks.read.task import ReadTask
from foveal.tasks.read.training import TRAINING as READ
from foveal.tasks.segment.task import SegmentTask
from foveal.tasks.segment.training import TRAINING as SEGMENT
from foveal.types import Labels

TESTS = Path(__file__).resolve().parents[1]
LABELS = Labels(("a", "b", "c"))
LINE = Pipeline(32, 640, "line")
TILE = Pipeline(32, 64, "tile")
CLASSES = ClassifyTask.bind(LABELS, {})
# Of families of backbones the smallest; benchmarks/export/savedmodel.py has all of them.
FAMILIES = {
    "fovea": Pipeline(24, 40),
    "mobilenetv3_small_050": Pipeline(64, 64),
    "convnext_atto": Pipeline(64, 64),
}


def reading(head: str, steps: int = 1) -> ReadTask:
    length = 3 if head == "positions" else 0
    return ReadTask.bind(LABELS, {"head": head, "length": length, "steps_per_column": steps})


def masking(decoder: str) -> SegmentTask:
    return SegmentTask.bind(LABELS, {"decoder": decoder})


CASES: dict[str, tuple[Any, Any, str, Pipeline]] = {
    **{name: (CLASSES, CLASSIFY, name, size) for name, size in FAMILIES.items()},
    "ctc": (reading("ctc"), READ, "reader", LINE),
    "gru": (reading("gru"), READ, "reader", LINE),
    "ctc_of_two_steps": (reading("ctc", 2), READ, "reader", LINE),
    "gru_of_one_width": (reading("gru"), READ, "lenet5", Pipeline(32, 96, "stretch")),
    "positions": (reading("positions"), READ, "crnn", LINE),
    "unet": (masking("unet"), SEGMENT, "fovea", TILE),
    "fpn": (masking("fpn"), SEGMENT, "efficientnet_lite0", TILE),
}


def export(task: Any, training: Any, backbone: str, pipeline: Pipeline) -> bytes:
    torch.manual_seed(0)
    options = ModelOptions(backbone=backbone, dropout=0.0)
    network = build_network(training(task), options, pretrained=False)
    pictures = torch.rand(4, 3, *pipeline.example_size) * 255
    network.train()
    with torch.no_grad():
        # Statistics as after training, and a judgement of what is familiar.
        network(pictures)
        levels = pool(network.eval().features(pictures))
    network.familiarity = Familiarity([Level(rows) for rows in levels])
    return export_onnx(network, task, pipeline)


def unknown_operator(name: str) -> bytes:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Det", ["x"], ["logits"], name=name),
    ]
    graph = helper.make_graph(nodes, "g", [image], [logits])
    return onnx.ModelProto.SerializeToString(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    )


def ceiling_pool() -> bytes:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    window = {"kernel_shape": [3, 3], "strides": [2, 2]}
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("MaxPool", ["x"], ["logits"], ceil_mode=1, **window),
    ]
    graph = helper.make_graph(nodes, "g", [image], [logits])
    return onnx.ModelProto.SerializeToString(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    )


def last_channels() -> bytes:
    """Return a network that takes channels and rows by their places from the end."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    places = helper.make_tensor("places", TensorProto.INT64, [2], [-1, 0])
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [1], [-1])
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["x", "places"], ["two"], axis=3),
        helper.make_node("Gather", ["two", "sizes"], ["logits"], axis=0),
    ]
    graph = helper.make_graph(nodes, "g", [image], [logits], initializer=[places, sizes])
    return onnx.ModelProto.SerializeToString(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    )


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with networks, inputs, and what TensorFlow made of them."""
    pytest.importorskip("torch")
    skip_without_tensorflow()
    folder = tmp_path_factory.mktemp("networks")
    rng = np.random.default_rng(0)
    for name, (task, training, backbone, pipeline) in CASES.items():
        (folder / f"{name}.onnx").write_bytes(export(task, training, backbone, pipeline))
        height, width = pipeline.example_size
        widths = (96, 64, 320) if pipeline.is_ragged else (width,) * 3
        for i, (count, wide) in enumerate(zip((1, 3, 2), widths, strict=True)):
            inputs = rng.integers(0, 256, (count, height, wide, 3), np.uint8)
            np.save(folder / f"{name}-{i}.npy", inputs)
    (folder / "unknown.onnx").write_bytes(unknown_operator("the_node"))
    (folder / "unnamed.onnx").write_bytes(unknown_operator(""))
    (folder / "ceiling.onnx").write_bytes(ceiling_pool())
    (folder / "last.onnx").write_bytes(last_channels())
    np.save(folder / "last-0.npy", rng.integers(0, 256, (3, 8, 8, 3), np.uint8))
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    program = [sys.executable, str(TESTS / "running_tensorflow.py"), str(folder)]
    subprocess.run(program, check=True, env=environment)
    return folder


def skip_without_tensorflow() -> None:
    from importlib.util import find_spec

    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_network_gives_the_same_numbers_in_tensorflow(name: str, answered: Path) -> None:
    engine = OnnxEngine((answered / f"{name}.onnx").read_bytes(), threads=1)

    for given in sorted(answered.glob(f"{name}-?.npy")):
        expected = engine.run(np.load(given))
        with np.load(given.with_suffix(".npz")) as found:
            assert set(found) == set(engine.output_names) and "unfamiliarity" in found
            for output, values in expected.items():
                assert found[output].shape == values.shape
                scale = max(1.0, float(np.abs(values).max()))
                np.testing.assert_allclose(found[output] / scale, values / scale, atol=1e-4)


@pytest.mark.slow
def test_places_are_counted_from_the_end_too(answered: Path) -> None:
    given = np.load(answered / "last-0.npy")
    with np.load(answered / "last-0.npz") as found:
        assert np.array_equal(found["logits"], given[-1:, :, :, [-1, 0]])


@pytest.mark.slow
def test_an_operator_that_is_not_known_is_named(answered: Path) -> None:
    assert (answered / "unknown.txt").read_text() == (
        "operator_unknown: The network uses the operator Det (node 'the_node'), which foveal "
        "cannot convert to TensorFlow."
    )


@pytest.mark.slow
def test_an_operator_without_a_name_of_its_own_is_named_alone(answered: Path) -> None:
    assert (answered / "unnamed.txt").read_text() == (
        "operator_unknown: The network uses the operator Det, which foveal cannot convert to "
        "TensorFlow."
    )


@pytest.mark.slow
def test_an_attribute_that_is_not_known_is_named(answered: Path) -> None:
    assert (answered / "ceiling.txt").read_text() == (
        "operator_unknown: The network uses the operator MaxPool with ceil_mode=1, which foveal "
        "cannot convert to TensorFlow."
    )
