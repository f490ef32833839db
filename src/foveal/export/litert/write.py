"""`foveal export MODEL --to litert`: convert, prove in LiteRT, and say inside what it is."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from foveal.bundle.bundle import Bundle
from foveal.errors import UsageError
from foveal.export.description import describe
from foveal.export.job import ExportJob, Pictures, Precision
from foveal.export.litert.runtime import opened, runtime
from foveal.export.litert.signatures import Signature, signatures_of
from foveal.export.lossy import accept, prove_described
from foveal.export.process import working
from foveal.export.proof import Proof, prove_engine
from foveal.export.ranges import range_inputs
from foveal.types import UNFAMILIARITY, Calibration, Image

_LABELS, _DESCRIPTION = "labels.txt", "foveal.json"


def write_litert(job: ExportJob, out: Path) -> Proof:
    """Write a bundle's network as a LiteRT file that says what it is, and return its proof.

    Raises:
        UsageError: If there are no pictures to prove it on.
        UnknownOperatorError: If the network has an operator that is not mapped to TensorFlow.
        ParityError: If it answers differently; in int8, when it loses too much.
    """
    pictures = job.needed_pictures("A LiteRT file is proven")
    if job.options.precision == "int8":
        return _write_int8(replace(job, bundle=without_unfamiliarity(job.bundle)), pictures, out)
    signatures = signatures_of(job.bundle.manifest, job.bundle.task)
    model = _convert(job, signatures, job.options.precision, [])
    with opened(model, signatures) as engine:
        proof = prove_engine(job, pictures, engine, runtime())
    out.write_bytes(_described(model, job.bundle, proof, None))
    return proof


def _write_int8(job: ExportJob, pictures: Pictures, out: Path) -> Proof:
    """Write a file of 8-bit integers, which need not be faster here: it is for other machines."""
    signatures = signatures_of(job.bundle.manifest, job.bundle.task)
    inputs = range_inputs(job, pictures)
    model = _convert(job, signatures, "int8", inputs)
    with opened(model, signatures) as engine:
        accepted = accept(job, pictures, engine, runtime())
        original = _convert(job, signatures, "fp32", [])
        ratio = engine.faster_than(original, inputs[0], job.bundle.task.core_outputs)
    measured = {"precision": "int8", **accepted.proof.measured, "speed": ratio.to_json()}
    proof = replace(accepted.proof, measured=measured)
    out.write_bytes(_described(model, job.bundle, proof, accepted.calibration))
    return proof


def without_unfamiliarity(bundle: Bundle) -> Bundle:
    """Return a bundle that does not say how unfamiliar a picture is.

    Distances of features are differences of large numbers: of 8 bits, little is left of them, and
    LiteRT has no integer kernels for all of their operators.
    """
    kept = tuple(spec for spec in bundle.manifest.outputs if spec.name != UNFAMILIARITY)
    return replace(bundle, manifest=replace(bundle.manifest, outputs=kept))


def verify_litert(job: ExportJob, path: Path) -> Proof:
    """Let an exported LiteRT file answer pictures as the bundle does.

    Raises:
        UsageError: If it is not one that foveal exported, or there are no pictures.
        ParityError: If it answers differently; in int8, when it loses too much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            described = json.loads(archive.read(_DESCRIPTION))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UsageError(
            f"{path} has no description of its input: it was not exported by foveal.",
            hint=f"foveal export MODEL --to litert --out {path.name}",
        ) from error
    bundle = job.bundle
    if described["proof"].get("precision") == "int8":
        bundle = without_unfamiliarity(bundle)
    signatures = signatures_of(bundle.manifest, bundle.task)
    with opened(path.read_bytes(), signatures) as engine:
        job = replace(job, bundle=bundle)
        return prove_described(job, engine, described, runtime(), has_ranges=True)


def _convert(
    job: ExportJob, signatures: tuple[Signature, ...], precision: Precision, inputs: list[Image]
) -> bytes:
    job.progress.start(f"convert to {precision}", None)
    words = {
        "signatures": json.dumps([asdict(one) for one in signatures]).encode(),
        "precision": precision.encode(),
        "model": job.bundle.model_bytes(),
    }
    arrays = {name: np.frombuffer(data, np.uint8) for name, data in words.items()}
    arrays |= {f"range_{i}": pixels for i, pixels in enumerate(inputs)}
    with working("foveal.export.litert.convert") as worker:
        converted = worker.call("convert", **arrays)["written"].tobytes()
    job.progress.finish()
    return converted


def _described(
    model: bytes, bundle: Bundle, proof: Proof, calibration: Calibration | None
) -> bytes:
    """Return the file with a zip behind it: readers of LiteRT look at its beginning alone."""
    file = io.BytesIO(model)
    described = describe(bundle, calibration=calibration, proof=proof)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        for name, text in (
            (_LABELS, "\n".join(bundle.manifest.labels) + "\n"),
            (_DESCRIPTION, json.dumps(described, ensure_ascii=False, allow_nan=False, indent=1)),
        ):
            # A fixed date, so that the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), text)
    return file.getvalue()
