"""What 8-bit integers and LiteRT cost and gain: exports of trained runs, each in its own runtime.

    python benchmarks/export/small_numbers.py RUN...

For each run: onnx --int8, litert, litert --fp16 and litert --int8. Prints a line of JSON for each,
with the proof, or the reason why it was refused. Nothing of it is kept.
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

from foveal.errors import FovealError
from foveal.export.formats import write_as
from foveal.export.job import ExportJob, ExportOptions, Precision
from foveal.model import Model
from foveal.types import JsonObject
from foveal.workflow.exports import pictures_of

_EXPORTS: tuple[tuple[str, Precision], ...] = (
    ("onnx", "int8"),
    ("litert", "fp32"),
    ("litert", "fp16"),
    ("litert", "int8"),
)


def exported(model: Model, to: str, precision: Precision) -> JsonObject:
    """Return the proof of an export, or why there is none."""
    find_pictures = partial(pictures_of, model.bundle, model.run, None)
    job = ExportJob(model.bundle, ExportOptions(precision), find_pictures)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "export"
        try:
            proof = write_as(job, to, out)
        except FovealError as error:
            return {"refused": error.message}
        return {"bytes": out.stat().st_size, "proof": None if proof is None else proof.to_json()}


def main() -> None:
    """Export every run that is named in every form."""
    for run in sys.argv[1:]:
        model = Model(run)
        for to, precision in _EXPORTS:
            line = {"run": model.bundle.name, "backbone": model.bundle.manifest.backbone}
            found = exported(model, to, precision)
            print(json.dumps({**line, "to": to, "precision": precision, **found}), flush=True)


if __name__ == "__main__":
    main()
