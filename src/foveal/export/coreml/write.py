"""`foveal export --to coreml`: a package for Core ML, proven by running what was saved."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from foveal.data.findings import plural
from foveal.errors import UsageError
from foveal.export.coreml.checks import write_checks
from foveal.export.coreml.compared import WatchedEngine, check_maps
from foveal.export.coreml.conversion import activation_of, convert
from foveal.export.coreml.interpreter import ProgramEngine
from foveal.export.coreml.lossy import Written, engine_of, write_lossy
from foveal.export.coreml.project import CHECK, MODEL, finish_readme, write_project
from foveal.export.coreml.saved import add_metadata, read_metadata, read_program
from foveal.export.description import describe
from foveal.export.job import ExportJob, Pictures
from foveal.export.lossy import prove_described
from foveal.export.proof import Proof, prove_engine
from foveal.predict.engine import OnnxEngine
from foveal.predict.predictor import Predictor

logger = logging.getLogger(__name__)

# Under which programs find the description: `creatorDefinedKey` of the metadata.
KEY = "foveal"


def write_coreml(job: ExportJob, out: Path) -> Proof:
    """Write a bundle as a package for Core ML or, with an application, an Xcode project around it.

    Raises:
        UsageError: If there are no pictures to prove it on.
        UnknownOperatorError: If the network holds an operator that is not known here.
        ParityError: If the package answers differently.
    """
    options = job.options
    pictures = job.needed_pictures("A package for Core ML is proven")
    if not options.with_app:
        return _write_package(job, pictures, out).proof
    write_project(job.bundle, out)
    written = _write_package(job, pictures, out / MODEL)
    checked = 0
    if not options.without_pictures:
        checked = write_checks(written.predictor, pictures, out / CHECK)
        logger.warning(
            "The application holds %s of the validation split, to check itself on a device: "
            "anyone who has the application can see them. Use --without-pictures if they are "
            "private.",
            plural(checked, "picture"),
        )
    finish_readme(job.bundle, out, written.proof, checked)
    logger.warning(
        "The project was not built and Core ML itself was not run, because this machine is not a "
        "Mac."
    )
    return written.proof


def verify_coreml(job: ExportJob, package: Path) -> Proof:
    """Let the program of a package answer pictures as the bundle does. Needs no coremltools.

    Raises:
        UsageError: If foveal has not exported it, or there are no pictures.
        NetworkError: If it is damaged.
        ParityError: If it answers differently; in int8, when it loses too much.
    """
    program = read_program(package)
    written = read_metadata(package).get(KEY)
    if written is None:
        raise UsageError(
            f"{package} has no description of its input: it was not exported by foveal.",
            hint=f"foveal export MODEL --to coreml --out {package.name}",
        )
    described = json.loads(written)
    engine = ProgramEngine(
        program,
        temperature=described["calibration"]["temperature"],
        multi_label=activation_of(job.bundle) == "sigmoid",
    )
    runtime = "the saved program of Core ML, run by foveal"
    return prove_described(job, engine, described, runtime, has_ranges=False)


def _write_package(job: ExportJob, pictures: Pictures, package: Path) -> Written:
    write = write_lossy if job.options.precision == "int8" else _write_equal
    runtime = f"the saved program of Core ML, run by foveal (coremltools {version('coremltools')})"
    written = write(job, pictures, package, runtime)
    calibration = written.predictor.bundle.manifest.calibration
    description = describe(job.bundle, calibration=calibration, proof=written.proof)
    add_metadata(package, {KEY: json.dumps(description, ensure_ascii=False, allow_nan=False)})
    return written


def _write_equal(job: ExportJob, pictures: Pictures, package: Path, runtime: str) -> Written:
    """Write a package that must answer every picture as the bundle does."""
    precision = job.options.precision
    job.progress.start("convert to Core ML", None)
    convert(job.bundle, precision, package)
    job.progress.finish()
    engine = engine_of(job.bundle, package, job.bundle.manifest.calibration.temperature)
    watched = WatchedEngine(engine, OnnxEngine(job.bundle.model_bytes()))
    proof = prove_engine(job, pictures, watched, runtime)
    measured = watched.measured()
    check_maps(measured)
    proof = replace(proof, measured={"precision": precision, "outputs": measured})
    return Written(proof, Predictor(job.bundle))
