"""`foveal export RUN --to savedmodel`: TensorFlow from the bytes of a picture file to the answer.

Imports no TensorFlow: it is written and proven by `foveal.export.tensorflow.program`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.bundle import Bundle
from foveal.data.headers import read_header
from foveal.errors import ImageError, ParityError, UsageError
from foveal.export.description import describe
from foveal.export.job import ExportJob, Pictures
from foveal.export.process import Arrays, Worker, pack_files, working
from foveal.export.proof import Proof, TargetAnswer, prove_engine, prove_target
from foveal.types import Frame, Outputs

VERSION = "1"
"""Folder of the model: TensorFlow Serving takes the newest numbered one of a model."""
DESCRIPTION = "foveal.json"
"""What the model says about itself, among its assets."""

_PROGRAM = "foveal.export.tensorflow.program"
# TensorFlow's messages, and GPUs that are not asked for.
_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
# A probability this close to a limit may fall on either side of it.
_TOLERANCE = 1e-4


def write_savedmodel(job: ExportJob, out: Path) -> Proof:
    """Write a bundle as a SavedModel, load it, and prove it.

    Args:
        job: What is exported.
        out: The folder to be; the model is in `1` below, as TensorFlow Serving wants it.

    Raises:
        UsageError: If there are no pictures to prove it on.
        UnknownOperatorError: If the network has an operator without a counterpart.
        ParityError: If it answers differently.
    """
    bundle = job.bundle
    pictures = job.needed_pictures("A SavedModel is proven")
    out.mkdir()
    with working(_PROGRAM, environment=_ENVIRONMENT) as worker:
        job.progress.start("write the model in TensorFlow", None)
        paths = {"bundle": np.array(str(bundle.path)), "folder": np.array(str(out))}
        worker.call("write", **paths)
        version = str(worker.call("load", folder=paths["folder"])["version"])
        job.progress.finish()
        proof = _prove(job, pictures, worker, f"TensorFlow {version}")
    described = json.dumps(describe(bundle, proof=proof), indent=1, ensure_ascii=False)
    (out / VERSION / "assets" / DESCRIPTION).write_text(described + "\n", encoding="utf-8")
    return proof


def verify_savedmodel(job: ExportJob, path: Path) -> Proof:
    """Repeat the proof of a SavedModel that was written.

    Args:
        job: The model that it was exported from.
        path: The folder.

    Raises:
        ParityError: If it answers differently.
        UsageError: If there are no pictures, or there is no SavedModel.
    """
    if not (path / VERSION / "saved_model.pb").is_file():
        raise UsageError(f"{path} is not a SavedModel that foveal exported.")
    pictures = job.needed_pictures("A SavedModel is proven")
    with working(_PROGRAM, environment=_ENVIRONMENT) as worker:
        version = str(worker.call("load", folder=np.array(str(path)))["version"])
        return _prove(job, pictures, worker, f"TensorFlow {version}")


def check_can_be_saved(bundle: Bundle) -> None:
    """Raise where something that a bundle does has no place in a graph of TensorFlow.

    Raises:
        UsageError: For page steps, and for readers that search for a text.
    """
    hint = "foveal export MODEL --to onnx, or --to docker"
    if bundle.pipeline.steps and not bundle.pipeline.is_tiled:
        raise UsageError(
            "A SavedModel cannot clean pages. Expected a model without pipeline.steps. Received: "
            f"{', '.join(bundle.pipeline.steps)}.",
            hint=hint,
        )
    options = bundle.manifest.task_options
    if bundle.task.target_kind != "text":
        return
    searches = [name for name in ("grammar", "pattern", "words") if options.get(name)]
    if options.get("decoder", "greedy") == "beam" and options.get("head") != "positions":
        searches.append("decoder=beam")
    if searches:
        raise UsageError(
            "A SavedModel can only decode greedily, but this model searches for a text "
            f"({', '.join(searches)}).",
            hint=hint,
        )


def _prove(job: ExportJob, pictures: Pictures, worker: Worker, runtime: str) -> Proof:
    if job.bundle.pipeline.is_tiled:
        return prove_engine(job, pictures, _Tiles(worker), runtime)
    own, others = _readable(pictures)
    if not own.val and others:
        raise ParityError(
            "The export cannot be proven: a SavedModel decodes JPEG and PNG only, and none of the "
            f"{others} validation pictures is either. Nothing was written."
        )
    proof = prove_target(job, own, _Files(job.bundle, worker, runtime))
    return replace(proof, measured={**proof.measured, "left_out": others}) if others else proof


def _readable(pictures: Pictures) -> tuple[Pictures, int]:
    """Return the pictures that TensorFlow decodes, and the number of others."""
    own = {name for name, data in pictures.files(pictures.val) if _is_decoded(data)}
    val = [sample for sample in pictures.val if sample.id in own]
    return replace(pictures, val=val), len(pictures.val) - len(val)


def _is_decoded(data: bytes) -> bool:
    try:
        header = read_header(data)
    except ImageError:
        return False
    return header.format == "PNG" or (header.format == "JPEG" and header.channels in (1, 3))


@final
class _Tiles:
    """The network of a SavedModel as an engine."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""
        found = self._worker.call("run", image=inputs)
        return {name: found[name] for name in names or found}


@final
class _Files:
    """A SavedModel from files on, as a target of the proof."""

    def __init__(self, bundle: Bundle, worker: Worker, runtime: str) -> None:
        self._bundle, self._worker, self._runtime = bundle, worker, runtime

    @property
    def runtime(self) -> str:
        """Name and version of the runtime."""
        return self._runtime

    def answer(self, files: Sequence[bytes]) -> Sequence[TargetAnswer]:
        """Return what it says of each picture, each alone: lines differ in width."""
        return [self._answer(data) for data in files]

    def _answer(self, data: bytes) -> TargetAnswer:
        try:
            found = self._worker.call("answer", **pack_files([data]))
        except ImageError as error:
            raise ParityError(f"{error.message} Nothing was written.") from error
        said, outputs = _part(found, "serving_default"), _part(found, "network")
        image = found["model_input/image"][0]
        headline = self._contradiction(said, outputs, image)
        return TargetAnswer(outputs, image, headline)

    def _contradiction(self, said: Arrays, outputs: Arrays, image: NDArray[Any]) -> str | None:
        """Return the served answer where it is not what foveal makes of the same outputs."""
        bundle = self._bundle
        size = (int(image.shape[0]), int(image.shape[1]))
        frame = Frame(size, size, (1.0, 1.0), (0.0, 0.0))
        calibration = bundle.manifest.calibration
        (expected,) = bundle.task.decode(outputs, [frame], calibration)
        if "unfamiliarity" in outputs:
            expected = expected.judged(float(outputs["unfamiliarity"][0]))
        text = _text(said)
        confidence = float(said["confidence"][0])
        close = abs(confidence - calibration.unsure_below) < _TOLERANCE
        same_doubt = close or bool(said["unsure"][0]) == expected.unsure
        same_scores = all(
            abs(float(score) - expected.support(str(label))) < _TOLERANCE
            for label, score in zip(*_scores(said), strict=True)
        )
        same = same_doubt and same_scores and abs(confidence - expected.confidence) < _TOLERANCE
        # Of several labels, the most likely comes first there, and here the first label.
        same_text = sorted(text.split("|")) == sorted(expected.text.split("|"))
        return None if same and same_text else f"{text} {confidence:.2%}"


def _part(found: Arrays, signature: str) -> Arrays:
    start = signature + "/"
    return {name.removeprefix(start): v for name, v in found.items() if name.startswith(start)}


def _text(said: Arrays) -> str:
    """Return the served answer as `Prediction.text` has it."""
    if "text" in said:
        return str(said["text"][0])
    if "applies" not in said:
        return str(said["classes"][0, 0])
    return "|".join(said["classes"][0][said["applies"][0]])


def _scores(said: Arrays) -> tuple[Any, Any]:
    return (said["classes"][0], said["scores"][0]) if "classes" in said else ((), ())
