"""Runs networks in TensorFlow, as a program: it must not live in the process of the tests.

`python running_tensorflow.py FOLDER`: for each NAME.onnx with the model inputs NAME-0.npy,
NAME-1.npy, ... it writes the outputs to NAME-0.npz, ..., or a refusal to NAME.txt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from foveal.errors import FovealError
from foveal.export.tensorflow.network import network_function


def main(folder: Path) -> None:
    """Run all networks of a folder."""
    for path in sorted(folder.glob("*.onnx")):
        try:
            network = network_function(path.read_bytes())
        except FovealError as error:
            path.with_suffix(".txt").write_text(f"{error.error_code}: {error.message}")
            continue
        for given in sorted(folder.glob(f"{path.stem}-*.npy")):
            outputs = network(image=tf.constant(np.load(given)))
            np.savez(given.with_suffix(".npz"), **{k: v.numpy() for k, v in outputs.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
