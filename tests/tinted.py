"""A segmenter by hand: a pixel has the label of the colour it shows most, grey the background."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from drawing import tiny_manifest
from PIL import Image as PILImage

from foveal.bundle import Manifest
from foveal.pipeline import Pipeline
from foveal.types import Calibration, Image, TensorSpec

TINTS = ("background", "blue", "red")
"""The labels, in their order."""

_TILE = 16
# Of the labels, and of the cores of blue and red objects, which are a little greener.
_COLORS = ((90, 90, 90), (30, 30, 220), (220, 30, 30), (30, 60, 220), (220, 60, 30))


def tint_model(*, with_cores: bool = False) -> bytes:
    """Return an ONNX segmenter: logits, (N, 3, 16, 16), of each pixel's colour alone.

    With cores, `cores` is over 0 where a pixel has more than 45 of green.
    """
    from onnx import TensorProto, helper, numpy_helper

    weight = np.zeros((3, 3, 1, 1), np.float32)
    for index, channel in ((1, 2), (2, 0)):
        weight[index, :, 0, 0] = -0.02
        weight[index, channel] = 0.04
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "weight", "bias"], ["logits"]),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3, _TILE, _TILE])]
    constants = [
        numpy_helper.from_array(weight, "weight"),
        numpy_helper.from_array(np.array([2.0, 0.0, 0.0], np.float32), "bias"),
    ]
    if with_cores:
        green = np.zeros((1, 3, 1, 1), np.float32)
        green[0, 1] = 1
        nodes.append(helper.make_node("Conv", ["nchw", "green", "least"], ["cores"]))
        shape = ["n", 1, _TILE, _TILE]
        outputs.append(helper.make_tensor_value_info("cores", TensorProto.FLOAT, shape))
        constants.append(numpy_helper.from_array(green, "green"))
        constants.append(numpy_helper.from_array(np.array([-45], np.float32), "least"))
    graph = helper.make_graph(
        nodes,
        "tints",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", _TILE, _TILE, 3])],
        outputs,
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def tint_manifest(name: str = "tints", *, with_cores: bool = False) -> Manifest:
    """Return the manifest of `tint_model`."""
    outputs = [TensorSpec("logits", "float32", (None, 3, _TILE, _TILE))]
    if with_cores:
        outputs.append(TensorSpec("cores", "float32", (None, 1, _TILE, _TILE)))
    return replace(
        tiny_manifest(name=name),
        task="segment",
        labels=TINTS,
        task_options={"instances": "objects"} if with_cores else {},
        pipeline=Pipeline(_TILE, _TILE, "tile"),
        outputs=tuple(outputs),
        calibration=Calibration(temperature=1.0, unsure_below=0.85),
        metrics={"dice": {"value": 0.98, "low": 0.95, "high": 1.0}},
        backbone="tints",
    )


def draw_tints(*rows: str, doubt: int = 0) -> Image:
    """Draw a picture of one pixel a digit, made greyer by `doubt`.

    Digits are the positions of `TINTS`, then 3 and 4 for the cores of blue and of red.
    """
    colors = np.array(_COLORS, np.int16)
    pixels = colors[[[int(digit) for digit in row] for row in rows]]
    grey = np.full_like(pixels, 90)
    return np.where(pixels > grey, pixels - doubt, pixels + doubt // 2).astype(np.uint8)


def tints_png(*rows: str, doubt: int = 0) -> bytes:
    """Return `draw_tints` as the bytes of a PNG file."""
    buffer = io.BytesIO()
    PILImage.fromarray(draw_tints(*rows, doubt=doubt)).save(buffer, "PNG")
    return buffer.getvalue()
