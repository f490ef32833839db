"""A bundle as a SavedModel: `write_saved_model`. Everything from the file on is in its graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from foveal.bundle.bundle import Bundle
from foveal.export.description import describe
from foveal.export.savedmodel import DESCRIPTION, VERSION
from foveal.export.tensorflow import answers
from foveal.export.tensorflow.network import network_function
from foveal.export.tensorflow.pixels import model_input
from foveal.types import UNFAMILIARITY

# Of pictures decoded side by side.
_PARALLEL = 4


def write_saved_model(bundle: Bundle, folder: Path) -> None:
    """Write a SavedModel to a folder where nothing is yet.

    Signatures: `serving_default` (but for `segment`) answers files, `model_input` prepares them,
    `network` takes model inputs, and `evidence` (for `classify`) explains.

    Raises:
        UnknownOperatorError: If the network has an operator without a counterpart.
    """
    module = tf.Module()
    module.network = network_function(bundle.model_bytes())
    signatures = {"network": _as_signature(module.network)}
    if bundle.pipeline.is_tiled:
        signatures["serving_default"] = signatures["network"]
    else:
        signatures |= _from_files(bundle, module.network)
    assets = folder.with_name(folder.name + "-assets")
    assets.mkdir()
    (assets / DESCRIPTION).write_text(json.dumps(describe(bundle), indent=1), encoding="utf-8")
    (assets / "labels.txt").write_text("\n".join(bundle.manifest.labels) + "\n", encoding="utf-8")
    module.assets = [tf.saved_model.Asset(str(path)) for path in sorted(assets.iterdir())]
    tf.saved_model.save(module, str(folder / VERSION), signatures=signatures)
    for path in assets.iterdir():
        path.unlink()
    assets.rmdir()


def _as_signature(network: Any) -> Any:
    spec = tf.TensorSpec(network.inputs[0].shape, tf.uint8, name="image")
    return tf.function(
        lambda image: network(image=image), input_signature=[spec], autograph=False
    ).get_concrete_function()


def _from_files(bundle: Bundle, network: Any) -> dict[str, Any]:
    manifest, pipeline = bundle.manifest, bundle.pipeline
    decide = answers.texts if bundle.task.target_kind == "text" else answers.classes
    width = None if pipeline.is_ragged else pipeline.width

    def prepare(data: Any) -> Any:
        return model_input(data, pipeline, manifest.limits.max_pixels)

    def prepared(inputs: Any) -> Any:
        spec = tf.TensorSpec([pipeline.height, width, 3], tf.uint8)
        with tf.device("CPU"):
            return tf.map_fn(
                prepare, inputs, fn_output_signature=spec, parallel_iterations=_PARALLEL
            )

    def run(image: Any) -> dict[str, Any]:
        return decide(network(image=image), manifest)

    def answer(inputs: Any) -> dict[str, Any]:
        if not pipeline.is_ragged:
            return run(prepared(inputs))
        # Lines of different widths: one at a time, since filling would change what is read.
        found: dict[str, Any] = tf.map_fn(
            lambda data: {k: v[0] for k, v in run(prepare(data)[tf.newaxis]).items()},
            inputs,
            fn_output_signature=_of_texts(bundle),
        )
        return found

    def explain(inputs: Any) -> dict[str, Any]:
        outputs = network(image=prepared(inputs))
        evidence = outputs["evidence"]
        names = tf.constant([list(manifest.labels)])
        return {"evidence": evidence, "labels": tf.repeat(names, tf.shape(evidence)[0], axis=0)}

    found = {
        "serving_default": _of_files(answer),
        "model_input": _of_files(lambda inputs: {"image": prepared(inputs)}),
    }
    if "evidence" in network.structured_outputs:
        found["evidence"] = _of_files(explain)
    return found


def _of_texts(bundle: Bundle) -> dict[str, Any]:
    names = ["confidence"]
    if any(spec.name == UNFAMILIARITY for spec in bundle.manifest.outputs):
        names.append(UNFAMILIARITY)
    return {
        "text": tf.TensorSpec([], tf.string),
        "unsure": tf.TensorSpec([], tf.bool),
        **{name: tf.TensorSpec([], tf.float32) for name in names},
    }


def _of_files(answer: Callable[[Any], Any]) -> Any:
    spec = tf.TensorSpec([None], tf.string, name="inputs")
    return tf.function(answer, input_signature=[spec], autograph=False).get_concrete_function()
