"""A bundle whose network computes in 8-bit integers, and the ONNX file of such a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.bundle import Bundle
from foveal.bundle.card import model_card
from foveal.bundle.container import MODEL_NAME, PROOF_NAME, WEIGHTS_NAME
from foveal.bundle.onnx_check import check_onnx
from foveal.errors import ParityError
from foveal.export.description import describe
from foveal.export.job import ExportJob, Pictures
from foveal.export.lossy import Accepted, Ratio, accept, times_as_fast
from foveal.export.onnx_file import described_onnx
from foveal.export.proof import Proof
from foveal.export.quantise import SCHEMES, Scheme, quantised
from foveal.export.ranges import range_inputs
from foveal.machine import processor
from foveal.predict.engine import OnnxEngine
from foveal.predict.proof_inputs import prove_inputs
from foveal.tasks.distribution import Distribution
from foveal.types import UNFAMILIARITY
from foveal.version import __version__

# The bundle's own weights are not those of this network, and its card has other metrics.
_LEFT_OUT = frozenset({MODEL_NAME, WEIGHTS_NAME, PROOF_NAME, "README.md"})


@contextmanager
def int8_bundle(job: ExportJob) -> Iterator[tuple[Bundle, Proof]]:
    """Make a bundle with a quantised network, which lasts as long as the context.

    Its ranges are taken from training pictures; calibration, limit and metrics are its own, of the
    validation pictures.

    Raises:
        MissingExtraError: If a package is missing.
        UsageError: If there are no pictures.
        ParityError: If it would lose too much, or is not faster on this machine.
    """
    pictures = job.needed_pictures("A quantised network is calibrated and proven")
    network = _fastest_accepted(job, pictures, range_inputs(job, pictures))
    with TemporaryDirectory(prefix="foveal-int8-") as folder:
        bundle = _write(Path(folder) / job.bundle.name, job.bundle, network)
        yield bundle, network.proof


def write_int8_onnx(job: ExportJob, out: Path) -> Proof:
    """Write the quantised network, with its description, as one ONNX file."""
    with int8_bundle(job) as (bundle, proof):
        out.write_bytes(described_onnx(bundle.model_bytes(), describe(bundle, proof=proof)))
    return proof


def write_int8_bundle(job: ExportJob, out: Path) -> Proof:
    """Write the bundle of the quantised network as one file."""
    with int8_bundle(job) as (bundle, proof):
        bundle.pack(out)
    return proof


@final
@dataclass(frozen=True, slots=True)
class _Int8:
    """A quantised network that was accepted."""

    model: bytes
    engine: OnnxEngine
    accepted: Accepted
    proof: Proof


def _fastest_accepted(
    job: ExportJob, pictures: Pictures, inputs: Sequence[NDArray[np.uint8]]
) -> _Int8:
    """Return the fastest quantised network that keeps the metric, and is faster here at all.

    Raises:
        ParityError: If there is none; says why.
    """
    core = job.bundle.task.core_outputs
    original = job.bundle.model_bytes()
    before = OnnxEngine(original)
    job.progress.start("quantise", None)
    tried: list[tuple[Ratio, Scheme, bytes, OnnxEngine]] = []
    for scheme in SCHEMES:
        model = quantised(original, inputs, core, scheme)
        check_onnx(model)
        engine = OnnxEngine(model)
        ratio = times_as_fast(
            partial(before.run, inputs[0], core), partial(engine.run, inputs[0], core)
        )
        tried.append((ratio, scheme, model, engine))
    job.progress.finish()
    tried.sort(key=lambda one: -one[0].ratio)
    # In three of four pairs of runs, so that one hiccup of the machine makes no difference.
    faster = [one for one in tried if one[0].low > 1]
    if not faster:
        raise _too_slow([(ratio, scheme) for ratio, scheme, _, _ in tried])
    refusals: list[ParityError] = []
    for ratio, scheme, model, engine in faster:
        try:
            accepted = accept(job, pictures, engine, f"ONNX Runtime {version('onnxruntime')}")
        except ParityError as error:
            refusals.append(error)
            continue
        measured = {
            "precision": "int8",
            "scheme": scheme.name,
            **accepted.proof.measured,
            "speed": ratio.to_json(),
        }
        return _Int8(model, engine, accepted, replace(accepted.proof, measured=measured))
    raise refusals[0]


def _too_slow(tried: Sequence[tuple[Ratio, Scheme]]) -> ParityError:
    figures = "; ".join(
        f"{scheme.name} takes {ratio.after_ms:.1f} ms instead of {ratio.before_ms:.1f} "
        f"({ratio.ratio:.2f} times as fast in the median run, under {ratio.low:.2f} in a quarter "
        "of them)"
        for ratio, scheme in tried
    )
    cpu = processor()
    varies = any(ratio.ratio > 1 for ratio, _ in tried)
    return ParityError(
        f"8-bit integers are not faster in three of four runs on this machine ({cpu['name']}, "
        f"{', '.join(cpu['features']) or 'without instructions for them'}): {figures}. "
        "Nothing was written.",
        hint="the times vary: try again while nothing else runs on the machine" if varies else None,
    )


def _write(path: Path, bundle: Bundle, network: _Int8) -> Bundle:
    """Write the bundle of a quantised network."""
    evaluation, manifest = network.accepted.evaluation, bundle.manifest
    predictions = evaluation.measured.predictions
    names = [*bundle.task.core_outputs]
    names += [s.name for s in manifest.outputs if s.name == UNFAMILIARITY]
    proof = prove_inputs(network.engine, bundle.task, bundle.pipeline, names)
    files = {name: bundle.read(name) for name in manifest.files if name not in _LEFT_OUT}
    own = replace(
        evaluation.manifest,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        foveal_version=__version__,
        metrics={name: value.to_json() for name, value in evaluation.metrics.items()},
        baseline=evaluation.baseline.to_json(),
        answers=Distribution.of(predictions, bundle.task.target_kind),
        parity={**network.proof.to_json(), "compared_with": bundle.version},
        files={},
    )
    made = {MODEL_NAME: network.model, PROOF_NAME: proof.to_bytes()}
    return Bundle.write(path, own, {**files, **made, "README.md": model_card(own).encode()})
