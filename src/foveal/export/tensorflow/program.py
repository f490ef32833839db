"""The process in which SavedModels are written and proven, started by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import numpy as np
import tensorflow as tf

from foveal.bundle.bundle import Bundle
from foveal.errors import ImageError
from foveal.export.process import Arrays, answer_calls, unpack_files
from foveal.export.savedmodel import VERSION
from foveal.export.tensorflow.saved import write_saved_model
from foveal.machine import available_cores


@final
class _Program:
    """A SavedModel that was written, and loaded again to answer."""

    def __init__(self) -> None:
        self._loaded: Any = None

    def write(self, arrays: Arrays) -> Arrays:
        """Write the bundle at `bundle` to the folder `folder`."""
        bundle, folder = (str(arrays[name]) for name in ("bundle", "folder"))
        write_saved_model(Bundle.open(Path(bundle)), Path(folder))
        return {"version": np.array(tf.__version__)}

    def load(self, arrays: Arrays) -> Arrays:
        """Load what is in the folder `folder`."""
        self._loaded = tf.saved_model.load(str(Path(str(arrays["folder"])) / VERSION))
        return {"version": np.array(tf.__version__)}

    def answer(self, arrays: Arrays) -> Arrays:
        """Answer picture files of one size; names of outputs begin with their signature."""
        files = tf.constant(unpack_files(arrays))
        signatures = self._loaded.signatures
        try:
            prepared = signatures["model_input"](inputs=files)
            said = {
                "serving_default": signatures["serving_default"](inputs=files),
                "model_input": prepared,
                "network": signatures["network"](image=prepared["image"]),
            }
        except tf.errors.InvalidArgumentError as error:
            reason = " ".join(str(error.message).split())
            raise ImageError(f"TensorFlow cannot decode a picture: {reason}") from error
        return {f"{name}/{k}": _array(v) for name, found in said.items() for k, v in found.items()}

    def run(self, arrays: Arrays) -> Arrays:
        """Run the network on `image`, (N, H, W, 3) uint8."""
        found = self._loaded.signatures["network"](image=tf.constant(arrays["image"]))
        return {name: value.numpy() for name, value in found.items()}


def _array(value: Any) -> Any:
    array = value.numpy()
    if array.dtype != object:
        return array
    return np.array([text.decode() for text in array.ravel()], np.str_).reshape(array.shape)


def main() -> None:
    """Answer calls until the standard input ends."""
    tf.config.threading.set_intra_op_parallelism_threads(available_cores())
    program = _Program()
    names = ("write", "load", "answer", "run")
    answer_calls({name: getattr(program, name) for name in names})


if __name__ == "__main__":
    main()
