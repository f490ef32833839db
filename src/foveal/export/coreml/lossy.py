"""Packages with 8-bit weights: accepted by the metric of the task, and recalibrated."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.bundle import Bundle
from foveal.export.coreml.conversion import activation_of, convert
from foveal.export.coreml.interpreter import ProgramEngine
from foveal.export.coreml.saved import read_program
from foveal.export.job import ExportJob, Pictures
from foveal.export.lossy import accept
from foveal.export.proof import Proof, prove_engine
from foveal.predict.engine import Engine
from foveal.predict.predictor import Predictor
from foveal.types import Outputs

# Outputs that are kept: those of a validation split of labels and texts.
_MOST_BYTES = 256 << 20


@final
@dataclass(frozen=True, slots=True)
class Written:
    """A package that was written and proven.

    Attributes:
        proof: How its program answered.
        predictor: Answers as it does: the bundle, or where the package may differ from it, the
            package's own program and calibration.
    """

    proof: Proof
    predictor: Predictor


def engine_of(bundle: Bundle, package: Path, temperature: float) -> ProgramEngine:
    """Return what runs a bundle's saved package, whose probabilities have a temperature."""
    is_multi = activation_of(bundle) == "sigmoid"
    return ProgramEngine(read_program(package), temperature=temperature, multi_label=is_multi)


def write_lossy(job: ExportJob, pictures: Pictures, package: Path, runtime: str) -> Written:
    """Write a package that may not answer worse than the bundle; see `foveal.export.lossy`.

    Raises:
        ParityError: If it does, or the calibrated program is not the one that was accepted.
    """
    bundle = job.bundle
    job.progress.start("convert to Core ML", None)
    # Without a temperature first: it is fitted to what this program gives.
    convert(bundle, "int8", package, temperature=1.0)
    job.progress.finish()
    engine = _RememberingEngine(engine_of(bundle, package, 1.0))
    accepted = accept(job, pictures, engine, runtime)
    temperature = accepted.calibration.temperature
    shutil.rmtree(package)
    convert(bundle, "int8", package, temperature=temperature)
    manifest = replace(bundle.manifest, calibration=accepted.calibration)
    fitted = replace(bundle, manifest=manifest)
    calibrated = engine_of(bundle, package, temperature)
    # The same program but for one number; now every answer must be the one that was accepted.
    final_proof = prove_engine(
        replace(job, bundle=fitted), pictures, calibrated, runtime, accepted=engine
    )
    measured = {
        **accepted.proof.measured,
        "precision": "int8",
        "calibrated_difference": final_proof.max_probability_difference,
    }
    return Written(replace(accepted.proof, measured=measured), Predictor(fitted, engine=calibrated))


@final
class _RememberingEngine:
    """An engine that runs each input once: the gate goes through all pictures several times."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[bytes, Outputs] = {}
        self._bytes = 0

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""
        rows = [self._row(picture) for picture in inputs]
        return {name: np.concatenate([row[name] for row in rows]) for name in names or rows[0]}

    def _row(self, picture: NDArray[np.uint8]) -> Outputs:
        key = hashlib.sha256(picture.tobytes() + str(picture.shape).encode()).digest()
        if key in self._known:
            return self._known[key]
        outputs = self._engine.run(picture[None])
        self._bytes += sum(values.nbytes for values in outputs.values())
        if self._bytes <= _MOST_BYTES:
            self._known[key] = outputs
        return outputs
