"""Export trained runs to Core ML in each precision: agreement, differences, size, time of a proof.

    python benchmarks/export/coreml.py RUN...

Every figure is of the saved package, whose program foveal executes: there is no Mac here. What is
refused is printed with its reason.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import foveal
from foveal.console import NoProgress
from foveal.errors import FovealError
from foveal.export.job import PRECISIONS, ExportOptions, Precision
from foveal.machine import processor
from foveal.types import JsonObject
from foveal.workflow.exports import export_model
from foveal.workflow.locate import find_model


def measure(run: Path, precision: Precision, folder: Path) -> JsonObject:
    """Export a run in one precision, and return what its proof says."""
    begun = time.perf_counter()
    bundle = find_model(run).bundle
    out = folder / f"{bundle.name}-{precision}.mlpackage"
    known: JsonObject = {"run": bundle.name, "task": bundle.task.name, "precision": precision}
    try:
        made = export_model(
            bundle,
            "coreml",
            out,
            options=ExportOptions(precision),
            run=run,
            data=None,
            progress=NoProgress(),
        )
    except FovealError as error:
        return {**known, "refused": str(error)}
    proof = None if made.proof is None else made.proof.to_json()
    return {
        **known,
        "megabytes": round(made.bytes / 1e6, 2),
        "seconds": round(time.perf_counter() - begun, 1),
        "proof": proof,
    }


def main() -> None:
    """Print a line of JSON for each run and precision."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("runs", nargs="+", type=Path)
    made.add_argument("--precision", choices=PRECISIONS, action="append")
    given = made.parse_args()
    versions = {"foveal": foveal.__version__, "coremltools": version("coremltools")}
    print(json.dumps({**versions, "processor": processor()}))
    with TemporaryDirectory() as folder:
        for run in given.runs:
            for precision in given.precision or PRECISIONS:
                print(json.dumps(measure(run, precision, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
