"""`foveal export --to coreml`: a package for Core ML, proven by running what was saved."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.bundle import Bundle
from foveal.errors import NetworkError, ParityError, UnknownOperatorError, UsageError
from foveal.export.coreml.checks import write_checks
from foveal.export.coreml.interpreter import ProgramEngine
from foveal.export.coreml.order import INPUT, PROBABILITIES, Activation, Order
from foveal.export.coreml.project import CHECK, MODEL, check_app, finish_readme, write_project
from foveal.export.coreml.saved import add_metadata, read_program
from foveal.export.description import describe
from foveal.export.job import ExportJob, Pictures, Precision
from foveal.export.proof import Proof, prove_engine
from foveal.predict.engine import Engine, OnnxEngine
from foveal.predict.predictor import Predictor
from foveal.types import UNFAMILIARITY, JsonObject, Outputs

logger = logging.getLogger(__name__)

# Under which programs find the description: `creatorDefinedKey` of the metadata.
KEY = "foveal"
# Core ML counts at most so many sizes of an input one by one.
MOST_WIDTHS = 128
# A map whose differences are a larger share of its values (root mean square) is another map. In 16
# bits, that of an efficientnet_lite0 had 2.3 % at 160 px; in 32 bits, 1e-6.
_SAME_MAP = 0.05
_MEANINGS = {
    INPUT: "The picture, scaled and padded as the description under `foveal` says.",
    PROBABILITIES: "Calibrated probability of each label, in the order of the labels.",
    "evidence": "For each label, how much each place of the picture speaks for it.",
    "logits": "Scores before the softmax; see the description under `foveal`.",
    "attention": "How much each column of the picture counts for each position of the text.",
    UNFAMILIARITY: "How unlike the pictures of the training it is; above 1, the answer is unsure.",
}


def write_coreml(job: ExportJob, out: Path) -> Proof:
    """Write a bundle as a package for Core ML or, with an application, an Xcode project around it.

    Raises:
        UsageError: When there are no pictures to prove it on, or there is no such application.
        UnknownOperatorError: When the network holds an operator that is not known here.
        ParityError: When the package answers differently.
    """
    options = job.options
    if options.with_app:
        check_app(job.bundle)
    elif options.without_pictures:
        raise UsageError("A package holds no pictures.", hint="leave out --without-pictures")
    pictures = job.needed_pictures("A package for Core ML is proven")
    if not options.with_app:
        return _write_package(job, pictures, out)
    write_project(job.bundle, out)
    proof = _write_package(job, pictures, out / MODEL)
    checked = 0
    if not options.without_pictures:
        checked = write_checks(Predictor(job.bundle), pictures, out / CHECK)
        logger.warning(
            "The application holds %d validation pictures, to check itself on a device: whoever "
            "has it can look at them. Use --without-pictures if they are private.",
            checked,
        )
    finish_readme(job.bundle, out, proof, checked)
    logger.warning("No Mac was at hand: the project was not built, and Core ML itself did not run.")
    return proof


def _write_package(job: ExportJob, pictures: Pictures, package: Path) -> Proof:
    precision = job.options.precision
    job.progress.start("convert to Core ML", 1)
    _convert(job.bundle, precision, package)
    job.progress.update(1)
    job.progress.finish()
    calibration = job.bundle.manifest.calibration
    engine = ProgramEngine(
        read_program(package),
        temperature=calibration.temperature,
        multi_label=activation_of(job.bundle) == "sigmoid",
    )
    watched = _WatchedEngine(engine, OnnxEngine(job.bundle.model_bytes()))
    runtime = f"the saved program of Core ML, run by foveal (coremltools {version('coremltools')})"
    proof = prove_engine(job, pictures, watched, runtime)
    measured = watched.measured()
    _check_maps(measured)
    proof = Proof(
        proof.runtime,
        proof.samples,
        proof.label_agreement,
        proof.max_probability_difference,
        measured={"precision": precision, "outputs": measured},
    )
    description = describe(job.bundle, proof=proof)
    add_metadata(package, {KEY: json.dumps(description, ensure_ascii=False, allow_nan=False)})
    return proof


def activation_of(bundle: Bundle) -> Activation | None:
    """Return what makes probabilities of a bundle's logits inside the program."""
    if bundle.task.name != "classify":
        return None
    return "sigmoid" if bundle.manifest.task_options.get("multi_label") else "softmax"


def widths_of(bundle: Bundle) -> tuple[int, ...]:
    """Return the widths of model inputs that a package takes, ascending.

    Of lines, those are the multiples of the step; where they are too many to be listed, of a
    larger step that is one of its multiples.
    """
    pipeline = bundle.pipeline
    if not pipeline.is_ragged:
        return (pipeline.width,)
    widest = pipeline.width_step * -(-pipeline.width // pipeline.width_step)
    return tuple(range(pipeline.width_step, widest + 1, pipeline.width_step))


def _convert(bundle: Bundle, precision: Precision, package: Path) -> None:
    """Write the package in a process of its own."""
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
            temperature=manifest.calibration.temperature,
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
            f"This network cannot be written for Core ML: it holds {unknown}, for which foveal "
            "has no counterpart there. Nothing was written."
        )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise NetworkError(f"coremltools could not convert the network: {last}")


@final
class _WatchedEngine:
    """An engine that is compared with the bundle's own, output by output.

    Args:
        engine: The saved program.
        own: ONNX Runtime with the bundle's network.
    """

    def __init__(self, engine: Engine, own: Engine) -> None:
        self._engine, self._own = engine, own
        self._largest: dict[str, float] = defaultdict(float)
        # Sums of squares: of the differences, and of the values themselves.
        self._squares: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the program's outputs, of which all are compared whatever was asked for."""
        said, expected = self._engine.run(inputs), self._own.run(inputs)
        for name, values in expected.items():
            if name == "logits":
                continue  # Compared as probabilities, see `Proof`.
            if said[name].shape != values.shape:
                raise NetworkError(
                    f"{name} has the shape {said[name].shape}. Expected: {values.shape}."
                )
            difference = np.abs(said[name].astype(np.float64) - values)
            # Not-a-number is no difference to Python's max.
            largest = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
            self._largest[name] = max(self._largest[name], largest)
            differing, whole = self._squares[name]
            self._squares[name] = (
                differing + float((difference * difference).sum()),
                whole + float(np.square(values, dtype=np.float64).sum()),
            )
        return {name: said[name] for name in names or said}

    def measured(self) -> dict[str, dict[str, float]]:
        """Return for each output the largest difference, and the root-mean-square share of all."""
        return {
            name: {
                "largest": self._largest[name],
                "share": float(np.sqrt(differing / whole)) if whole else float(differing > 0),
            }
            for name, (differing, whole) in self._squares.items()
        }


def _check_maps(measured: Mapping[str, Mapping[str, float]]) -> None:
    """Raise when an output that explains or judges an answer is another one."""
    for name, found in measured.items():
        if not found["share"] <= _SAME_MAP:
            raise ParityError(
                f"The export gives another {name} than the bundle: it differs by up to "
                f"{found['largest']:.3g}, {found['share']:.1%} of its size (root mean square; at "
                f"most {_SAME_MAP:.0%}). Nothing was written."
            )
