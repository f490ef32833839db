"""A reader by hand: each character is a block of one colour, white is the ground."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from drawing import tiny_manifest
from PIL import Image as PILImage

from foveal.bundle import Manifest
from foveal.pipeline import Pipeline
from foveal.types import Calibration, Image, TensorSpec

# First, second and third character of the alphabet.
COLORS = ((30, 30, 220), (30, 220, 30), (220, 30, 30))
# Between the second and the third: either is as likely.
DOUBTFUL = (125, 125, 30)
_STEP = 8


def color_model(height: int = 16) -> bytes:
    """Return an ONNX reader: logits, (N, T, 4), of the mean colour of each 8 pixel wide column.

    The characters' scores grow with their colour and fall with the others; the blank's is fixed.
    """
    from onnx import TensorProto, helper, numpy_helper

    own, other = 0.16, -0.08
    weight = np.full((4, 3, 1, 1), other, np.float32)
    weight[0] = 0.0
    for index, channel in ((1, 2), (2, 1), (3, 0)):
        weight[index, channel] = own
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool",
            ["nchw"],
            ["mean"],
            kernel_shape=[height, _STEP],
            strides=[height, _STEP],
        ),
        helper.make_node("Conv", ["mean", "weight", "bias"], ["score"]),
        helper.make_node("Squeeze", ["score", "axis"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["logits"], perm=[0, 2, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", height, "width", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "columns", 4])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.array([5.0, 0, 0, 0], np.float32), "bias"),
            numpy_helper.from_array(np.array([2], np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def reader_manifest(
    alphabet: Sequence[str] = "ABC", name: str = "reader", options: Mapping[str, Any] | None = None
) -> Manifest:
    """Return the manifest of `color_model`; pictures may be 16 times as wide as high."""
    return replace(
        tiny_manifest(name=name),
        task="read",
        labels=tuple(alphabet),
        task_options=dict(options or {}),
        pipeline=Pipeline(16, 256, "line", (255, 255, 255)),
        outputs=(TensorSpec("logits", "float32", (None, None, 4)),),
        calibration=Calibration(temperature=1.0, unsure_below=0.6),
        metrics={"exact_match": {"value": 0.98, "low": 0.95, "high": 1.0}},
        backbone="colors",
    )


def draw_blocks(text: str, alphabet: Sequence[str] = "ABC") -> Image:
    """Draw a text, 16 pixels high and 16 to a character; `?` is a doubtful one, ` ` a gap."""
    pixels = np.full((16, 16 * max(1, len(text)), 3), 255, np.uint8)
    for i, character in enumerate(text):
        if character != " ":
            color = DOUBTFUL if character == "?" else COLORS[list(alphabet).index(character)]
            pixels[:, 16 * i : 16 * i + 8] = color
    return pixels


def blocks_png(text: str, alphabet: Sequence[str] = "ABC") -> bytes:
    """Return `draw_blocks` as the bytes of a PNG file."""
    buffer = io.BytesIO()
    PILImage.fromarray(draw_blocks(text, alphabet)).save(buffer, "PNG")
    return buffer.getvalue()
