"""Start the process that writes a package for Core ML."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from foveal.bundle.bundle import Bundle
from foveal.errors import NetworkError, UnknownOperatorError
from foveal.export.coreml.order import INPUT, PROBABILITIES, Activation, Order
from foveal.export.job import Precision
from foveal.types import UNFAMILIARITY, JsonObject

_MEANINGS = {
    INPUT: "The picture, scaled and padded as the description under `foveal` says.",
    PROBABILITIES: "Calibrated probability of each label, in the order of the labels.",
    "evidence": "For each label, how much each place of the picture speaks for it.",
    "logits": "Scores before the softmax; see the description under `foveal`.",
    "cores": "Log odds of being part of an object's core; see the description under `foveal`.",
    "attention": "How much each column of the picture counts for each position of the text.",
    UNFAMILIARITY: "How unlike the pictures of the training it is; above 1, the answer is unsure.",
}


def activation_of(bundle: Bundle) -> Activation | None:
    """Return what makes probabilities of a bundle's logits inside the program."""
    if bundle.task.name != "classify":
        return None
    return "sigmoid" if bundle.manifest.task_options.get("multi_label") else "softmax"


def widths_of(bundle: Bundle) -> tuple[int, ...]:
    """Return the widths of model inputs that a package takes, ascending.

    Of lines, those are the multiples of the step.
    """
    pipeline = bundle.pipeline
    if not pipeline.is_ragged:
        return (pipeline.width,)
    widest = pipeline.width_step * -(-pipeline.width // pipeline.width_step)
    return tuple(range(pipeline.width_step, widest + 1, pipeline.width_step))


def convert(
    bundle: Bundle, precision: Precision, package: Path, *, temperature: float | None = None
) -> None:
    """Write the package of a bundle, without its description, in a process of its own.

    Args:
        bundle: The model.
        precision: What the program computes in; with int8, weights have 8 bits and the rest has 16.
        package: What to write.
        temperature: Calibrates its probabilities; None takes the bundle's.

    Raises:
        UnknownOperatorError: If the network holds an operator that is not known here.
        NetworkError: If coremltools fails.
    """
    manifest = bundle.manifest
    names = tuple(spec.name for spec in manifest.outputs)
    activation = activation_of(bundle)
    shown = [PROBABILITIES if name == "logits" and activation else name for name in names]
    with TemporaryDirectory(prefix="foveal-coreml-") as folder:
        network = Path(folder) / "model.onnx"
        network.write_bytes(bundle.model_bytes())
        order = Order(
            network=str(network),
            package=str(package.absolute()),
            height=bundle.pipeline.height,
            widths=widths_of(bundle),
            outputs=names,
            activation=activation,
            temperature=manifest.calibration.temperature if temperature is None else temperature,
            precision=precision,
            meanings={name: _MEANINGS[name] for name in (INPUT, *shown) if name in _MEANINGS},
            summary=f"{bundle.name}: {manifest.task}, trained with foveal",
            author=f"foveal {manifest.foveal_version}",
            licence="\n".join(_licence_line(entry) for entry in manifest.licences),
            version=bundle.version,
        )
        _run(order, Path(folder) / "order.json")


def _licence_line(entry: JsonObject) -> str:
    return f"{entry.get('weights')}: {entry.get('licence')}, {entry.get('origin')}"


def _run(order: Order, path: Path) -> None:
    path.write_text(json.dumps(order.to_json()), encoding="utf-8")
    # -P: what lies in the working directory is not taken for a package of Python.
    command = [sys.executable, "-P", "-m", "foveal.export.coreml.convert", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    said = ended.stdout.strip().splitlines()
    if said and (unknown := json.loads(said[-1]).get("unknown")):
        raise UnknownOperatorError(
            f"This network cannot be exported to Core ML: it contains {unknown}, which foveal "
            "cannot convert. Nothing was written."
        )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise NetworkError(f"coremltools could not convert the network: {last}")
