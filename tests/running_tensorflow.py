"""Runs networks in TensorFlow, as a program: it must not live in the process of the tests.

`python running_tensorflow.py FOLDER`: for each NAME.onnx with the model inputs NAME-0.npy,
NAME-1.npy, ... it writes the outputs to NAME-0.npz, ..., or a refusal to NAME.txt.

`python running_tensorflow.py FOLDER/resample.json FOLDER/decode.json`: it prints the names of the
test vectors of the pre-processing that come out otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from foveal.errors import FovealError
from foveal.export.tensorflow.network import network_function
from foveal.export.tensorflow.pixels import decoded
from foveal.export.tensorflow.resample import resized
from foveal.pipeline import Pipeline
from foveal.resample import noise


def main(folder: Path) -> None:
    """Run all networks of a folder."""
    for path in sorted(folder.glob("*.onnx")):
        try:
            network = network_function(path.read_bytes())
        except FovealError as error:
            path.with_suffix(".txt").write_text(f"{error.error_code}: {error.message}")
            continue
        for given in sorted(folder.glob(f"{path.stem}-?.npy")):
            outputs = network(image=tf.constant(np.load(given)))
            np.savez(given.with_suffix(".npz"), **{k: v.numpy() for k, v in outputs.items()})


def check_resample(path: Path) -> None:
    """Print which pictures are scaled otherwise."""
    scalar = tf.TensorSpec([], tf.int32)
    picture = tf.TensorSpec([None, None, 3], tf.uint8)
    scale = tf.function(resized, input_signature=[picture, scalar, scalar], autograph=False)
    for vector in json.loads(path.read_text())["resize"]:
        pixels = noise(vector["seed"], vector["height"], vector["width"])
        if vector.get("stark"):
            pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
        _compare(vector, scale(pixels, *vector["to"]), str(vector["to"]))


def check_decode(path: Path) -> None:
    """Print which files are decoded otherwise."""
    for vector in json.loads(path.read_text())["decode"]:
        # As large as that, no picture is decoded smaller.
        pipeline = Pipeline(*(vector["min_size"] or (32768, 32768)), "stretch")
        pixels, _, _ = decoded(base64.b64decode(vector["file"]), pipeline, 10**6)
        _compare(vector, pixels, vector["name"])


def _compare(vector: dict[str, Any], found: Any, name: str) -> None:
    if hashlib.sha256(found.numpy().tobytes()).hexdigest() != vector["sha256"]:
        print(name)


if __name__ == "__main__":
    if Path(sys.argv[1]).is_dir():
        main(Path(sys.argv[1]))
    else:
        check_resample(Path(sys.argv[1]))
        check_decode(Path(sys.argv[2]))
