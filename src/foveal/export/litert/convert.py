"""Convert a network to LiteRT with TensorFlow, as a process of its own; see `write`."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from foveal.export.process import Arrays, answer_calls

# Said before it is imported: TensorFlow tells of every processor feature that it finds.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def convert(given: Arrays) -> Arrays:
    """Return the file's content.

    Args:
        given: `model`, the bytes of the ONNX network; `signatures`, JSON with the name, the width
            and the outputs of each; `precision`; and for int8 `range_0` and so on, model inputs.
    """
    import tensorflow as tf

    from foveal.export.tensorflow.network import network_function

    model = given["model"].tobytes()
    precision = given["precision"].tobytes().decode()
    signatures = json.loads(given["signatures"].tobytes())
    inputs = [values for name, values in given.items() if name.startswith("range_")]
    functions = {
        one["name"]: network_function(model, one["outputs"], batch=1, width=one["width"])
        for one in signatures
    }
    with tempfile.TemporaryDirectory(prefix="foveal-litert-") as folder:
        tf.saved_model.save(tf.Module(), folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[*functions])
        if precision != "fp32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "fp16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: _representative(signatures, inputs)
        return {"written": np.frombuffer(converter.convert(), np.uint8)}


def _representative(signatures: Any, inputs: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield inputs for every signature; where none has its width, parts of wider ones."""
    for one in signatures:
        for pixels in inputs:
            yield one["name"], {"image": _of_width(pixels, one["width"])}


def _of_width(pixels: Any, width: int) -> Any:
    """Cut an input to a width, or repeat it up to that width."""
    copies = -(-width // pixels.shape[2])
    return np.ascontiguousarray(np.tile(pixels, (1, 1, copies, 1))[:, :, :width])


if __name__ == "__main__":
    answer_calls({"convert": convert})
