"""Drawn pictures and a bundle made by hand, for the tests of every package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw

from foveal.bundle import Manifest
from foveal.pipeline import Pipeline
from foveal.types import Calibration, TensorSpec

DrawFolder = Callable[..., Path]


def draw_shape(shape: str, rng: np.random.Generator, size: int = 16) -> PILImage.Image:
    """Draw a bright circle on dark ground or a dark square on bright ground, with noise."""
    ground, ink = (
        ((40, 30, 60), (230, 210, 160)) if shape == "circle" else ((225, 215, 235), (30, 60, 40))
    )
    image = PILImage.new("RGB", (size, size), ground)
    pen = ImageDraw.Draw(image)
    side = int(rng.integers(size // 4, size // 2))
    x, y = (int(v) for v in rng.integers(1, size - side - 1, 2))
    box = (x, y, x + side, y + side)
    if shape == "circle":
        pen.ellipse(box, fill=ink)
    else:
        pen.rectangle(box, fill=ink)
    noisy = np.asarray(image, np.int16) + rng.integers(-20, 20, (size, size, 3))
    return PILImage.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def brightness_model(size: int = 16) -> bytes:
    """Return an ONNX classifier by hand: dark ground says circle, bright ground says square."""
    from onnx import TensorProto, helper, numpy_helper

    weight = np.array([[-1.0] * 3, [1.0] * 3], np.float32).reshape(2, 3, 1, 1) / 60.0
    bias = np.array([6.4, -6.4], np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "weight", "bias"], ["score"]),
        helper.make_node(
            "AveragePool", ["score"], ["evidence"], kernel_shape=[4, 4], strides=[4, 4]
        ),
        helper.make_node("ReduceMean", ["evidence", "axes"], ["logits"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", size, size, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info(
                "evidence", TensorProto.FLOAT, ["n", 2, size // 4, size // 4]
            ),
        ],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def tiny_manifest(size: int = 16, name: str = "tiny") -> Manifest:
    """Return the manifest of `brightness_model`."""
    return Manifest(
        name=name,
        task="classify",
        created="2026-01-01T00:00:00+00:00",
        foveal_version="0.1.0",
        labels=("circle", "square"),
        task_options={"multi_label": False},
        pipeline=Pipeline(size, size),
        outputs=(
            TensorSpec("logits", "float32", (None, 2)),
            TensorSpec("evidence", "float32", (None, 2, None, None)),
        ),
        calibration=Calibration(temperature=1.0, unsure_below=0.6),
        metrics={"accuracy": {"value": 1.0, "low": 0.9, "high": 1.0}},
        data={"samples": 24},
        recipe_digest="0" * 64,
        backbone="brightness",
        parity={"samples": 24, "label_agreement": 1.0, "max_probability_difference": 0.0},
        licences=(),
        files={},
    )
