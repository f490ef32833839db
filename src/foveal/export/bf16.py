"""A bundle that is also calibrated for an engine that computes in 16 bits.

The network stays the bundle's own. What 16 bits change is measured on validation pictures, and the
calibration for them is kept beside the bundle's: the engine that loads it decides which one holds.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from foveal.bundle.bundle import Bundle
from foveal.bundle.card import model_card
from foveal.bundle.measured import MeasuredEngine, with_measured
from foveal.export.job import ExportJob
from foveal.export.lossy import Ratio, accept, times_as_fast
from foveal.export.proof import Proof
from foveal.predict.choice import compare_inputs
from foveal.predict.engine import Engine, OnnxEngine
from foveal.predict.engines import ENGINES
from foveal.predict.predictor import Predictor
from foveal.predict.race import run_size

ENGINE = "openvino-bf16"


def write_bf16_bundle(job: ExportJob, out: Path) -> Proof:
    """Write the bundle, calibrated for 16 bits too, as one file.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
        UsageError: If the processor has no 16-bit instructions, or there are no pictures.
        ParityError: If 16 bits lose too much.
    """
    bundle = job.bundle
    pictures = job.needed_pictures("An engine in 16 bits is calibrated and proven")
    engine = ENGINES[ENGINE].open(bundle, None)
    accepted = accept(job, pictures, engine, f"OpenVINO {version('openvino')}")
    measured = {
        "precision": "bf16",
        **accepted.proof.measured,
        "speed": _speed(bundle, engine).to_json(),
    }
    proof = replace(accepted.proof, measured=measured)
    fitted = replace(bundle, manifest=replace(bundle.manifest, calibration=accepted.calibration))
    drawn = compare_inputs(Predictor(bundle), Predictor(fitted, engine=engine))
    manifest = with_measured(
        bundle.manifest,
        ENGINE,
        MeasuredEngine(accepted.calibration, proof.to_json(), drawn.agreement, drawn.largest),
    )
    with TemporaryDirectory(prefix="foveal-bf16-") as folder:
        files = {name: bundle.read(name) for name in bundle.manifest.files}
        files["README.md"] = model_card(manifest).encode()
        Bundle.write(Path(folder) / bundle.name, replace(manifest, files={}), files).pack(out)
    return proof


def _speed(bundle: Bundle, engine: Engine) -> Ratio:
    """Return the speed-up over ONNX Runtime, in runs of as many pictures as a server has at once.

    It decides nothing: `auto` measures again where the bundle is loaded.
    """
    size = bundle.pipeline.example_size
    inputs = np.random.default_rng(0).integers(0, 256, (run_size(size), *size, 3), dtype=np.uint8)
    names = bundle.task.core_outputs
    before = OnnxEngine(bundle.model_bytes())
    return times_as_fast(partial(before.run, inputs, names), partial(engine.run, inputs, names))
