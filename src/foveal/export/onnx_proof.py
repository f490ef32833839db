"""Repeat the proof of an exported ONNX file; see `foveal.workflow.verify`."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import onnxruntime as ort

from foveal.errors import UsageError
from foveal.export.job import ExportJob
from foveal.export.lossy import prove_described
from foveal.export.proof import Proof
from foveal.predict.engine import OnnxEngine


def verify_onnx(job: ExportJob, path: Path) -> Proof:
    """Let an exported ONNX file answer pictures as the bundle does.

    Raises:
        UsageError: If it is not one that foveal exported, or there are no pictures.
        ParityError: If it answers differently; in int8, when it loses too much.
    """
    model = path.read_bytes()
    engine = OnnxEngine(model)
    entries = ort.InferenceSession(model).get_modelmeta().custom_metadata_map
    if "foveal" not in entries:
        raise UsageError(
            f"{path} has no description of its input: it was not exported by foveal.",
            hint=f"foveal export MODEL --to onnx --out {path.name}",
        )
    described = json.loads(entries["foveal"])
    runtime = f"ONNX Runtime {version('onnxruntime')}"
    return prove_described(job, engine, described, runtime, has_ranges=True)
