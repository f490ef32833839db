"""The registry of export formats for `foveal export MODEL --to FORMAT`. No torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from foveal.atomic import atomic_path
from foveal.destination import check_file, writing
from foveal.errors import MissingExtraError, UsageError
from foveal.export.description import describe
from foveal.export.docker.folder import verify_docker, write_docker
from foveal.export.job import LOSSY, ExportJob, ExportOptions, Precision
from foveal.export.needs import Need, package
from foveal.export.onnx_file import described_onnx
from foveal.export.proof import Proof
from foveal.export.web.place import has_place, install_place
from foveal.export.web.runtime import has_runtime, install_command
from foveal.registry import Registry
from foveal.types import JsonObject

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True)
class Format:
    """An export format.

    Attributes:
        summary: Description in a few words.
        suffix: File name extension, with the dot.
        write: Writes a model to a path that does not exist, and returns the proof that it answers
            as the bundle does, or None if it contains the network of the bundle itself; raises
            FovealError if the model cannot be exported.
        is_folder: Whether it writes a folder rather than a file.
        precisions: Supported precisions; the first is the default.
        options: Names of the other options of `ExportOptions` that it supports.
        needs: Requirements for writing it.
        proof_needs: Further requirements for verifying it, without which it is not written.
        verify: Repeats the proof of an export, for `foveal verify`; None if that is impossible.
        app_suffix: File name extension of an app that contains the model.
        main: The file without which a folder cannot be read; it is uploaded last, and tells what a
            folder is whatever its name.
        is_told_by_name: Whether readers recognise the format by the file name extension.
        check: Raises UsageError if a model cannot be exported in this format, whatever is
            installed; None if every model can.
        is_network: Whether it contains the network alone, so that whoever runs it does the
            pre-processing; an app does its own.
        quantises_activations: Whether int8 also holds for activations, whose ranges are taken from
            training pictures: nothing is proven on these.
    """

    summary: str
    suffix: str
    write: Callable[[ExportJob, Path], Proof | None]
    is_folder: bool = False
    precisions: tuple[Precision, ...] = ("fp32",)
    options: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    proof_needs: tuple[Need, ...] = ()
    verify: Callable[[ExportJob, Path], Proof] | None = None
    app_suffix: str | None = None
    main: str = ""
    is_told_by_name: bool = False
    check: Callable[[ExportJob], None] | None = None
    is_network: bool = False
    quantises_activations: bool = False

    def suffix_for(self, options: ExportOptions) -> str:
        """Return the file name extension for some options."""
        return self.app_suffix if options.with_app and self.app_suffix else self.suffix

    @property
    def missing(self) -> tuple[Need, ...]:
        """Requirements for writing and verifying that this machine lacks."""
        return tuple(need for need in (*self.needs, *self.proof_needs) if not need.is_here())

    @property
    def install(self) -> str | None:
        """The commands that install the missing requirements, joined by `&&`, or None."""
        # Several packages may come with one extra.
        commands = dict.fromkeys(need.install() for need in self.missing)
        return " && ".join(commands) or None


FORMATS: Registry[Format] = Registry(
    "format", Format, group="foveal.exports", listing="foveal export --list"
)


def format_json(name: str, entry: Format) -> JsonObject:
    """Return the description of a format and its missing requirements as JSON values."""
    return {
        "summary": entry.summary,
        "suffix": entry.suffix,
        "folder": entry.is_folder,
        "precisions": list(entry.precisions),
        "options": list(entry.options),
        "missing": [need.name for need in entry.missing],
        "missing_to_write": [need.name for need in entry.needs if not need.is_here()],
        "install": entry.install,
    }


def write_as(job: ExportJob, to: str, out: Path) -> Proof | None:
    """Write a model in the format `to`, completely or not at all, and return its proof.

    Raises:
        UsageError: If the format is unknown or does not support an option or the model, a folder
            would be replaced, or `out` cannot be written.
        MissingExtraError: If a package that it needs is not installed.
        ParityError: If the bundle no longer answers its own proof inputs as when it was written,
            or the export answers differently; nothing is left of it.
        PluginError: If the format belongs to a plug-in that does not work.
    """
    written = FORMATS[to]
    _check_options(to, written, job)
    if written.check is not None:
        written.check(job)
    _check_needs(to, written)
    check_file(out)
    # Imported late: it loads the network.
    from foveal.export.held_out import proven_on_held_out
    from foveal.export.own_proof import check_own_proof

    check_own_proof(job.bundle)
    if job.options.precision in LOSSY:
        has_ranges = job.options.precision == "int8" and written.quantises_activations
        job = proven_on_held_out(job, has_ranges=has_ranges)
    with writing(out), atomic_path(out) as temporary, FORMATS.blaming(to):
        proof = written.write(job, temporary)
        if not temporary.exists():
            raise FileNotFoundError("it wrote nothing")
    if written.is_network and not job.options.with_app and (steps := job.bundle.pipeline.steps):
        logger.warning(
            "%s contains the network alone, and this model cleans pages: do the steps %s before "
            "you scale a picture, as foveal.preprocess does.",
            to,
            ", ".join(steps),
        )
    return proof


def _check_options(to: str, chosen: Format, job: ExportJob) -> None:
    """Raise unless a format supports the options."""
    if job.options.precision not in chosen.precisions:
        takers = [name for name, f in FORMATS.works() if job.options.precision in f.precisions]
        raise UsageError(
            f"{to} cannot be exported in {job.options.precision}. Expected: "
            f"{' or '.join(chosen.precisions)}.",
            hint=f"use --to {' or '.join(takers)}" if takers else None,
        )
    for name in job.options.given:
        if name not in chosen.options:
            option = "--" + name.replace("_", "-")
            takers = [other for other, entry in FORMATS.works() if name in entry.options]
            raise UsageError(
                f"{option} has no effect on {to}.",
                hint=f"use --to {' or '.join(takers)}" if takers else None,
            )


def _check_needs(to: str, chosen: Format) -> None:
    """Raise unless the requirements of a format are installed."""
    if missing := chosen.missing:
        raise MissingExtraError(
            f"Writing and proving {to} needs {' and '.join(need.name for need in missing)}, not "
            "found on this machine.",
            hint=chosen.install,
        )


def _write_onnx(job: ExportJob, out: Path) -> Proof | None:
    if job.options.precision == "int8":
        # Imported late: it is asked for rarely, and measures.
        from foveal.export.int8 import write_int8_onnx

        return write_int8_onnx(job, out)
    out.write_bytes(described_onnx(job.bundle.model_bytes(), describe(job.bundle)))
    return None


def _verify_onnx(job: ExportJob, path: Path) -> Proof:
    from foveal.export.onnx_proof import verify_onnx

    return verify_onnx(job, path)


def _write_zip(job: ExportJob, out: Path) -> Proof | None:
    if job.options.precision == "int8":
        from foveal.export.int8 import write_int8_bundle

        return write_int8_bundle(job, out)
    if job.options.precision == "bf16":
        # Imported late: as above.
        from foveal.export.bf16 import write_bf16_bundle

        return write_bf16_bundle(job, out)
    job.bundle.pack(out)
    return None


def _check_web(job: ExportJob) -> None:
    # Imported late: proving takes what the other formats do not need.
    from foveal.export.web.write import check_fits

    check_fits(job.bundle)


def _write_web(job: ExportJob, out: Path) -> Proof:
    # Imported late: as above.
    from foveal.export.web.write import write_web

    return write_web(job, out)


def _verify_web(job: ExportJob, path: Path) -> Proof:
    from foveal.export.web.write import verify_web

    return verify_web(job, path)


def _write_litert(job: ExportJob, out: Path) -> Proof:
    # Imported late: as above.
    from foveal.export.litert.write import write_litert

    return write_litert(job, out)


def _verify_litert(job: ExportJob, path: Path) -> Proof:
    from foveal.export.litert.write import verify_litert

    return verify_litert(job, path)


def _check_coreml(job: ExportJob) -> None:
    # Imported late: as above.
    from foveal.export.coreml.project import check_app

    if job.options.with_app:
        check_app(job.bundle)
    elif job.options.without_pictures:
        raise UsageError(
            "--without-pictures has no effect on a package, which contains no pictures.",
            hint="leave out --without-pictures",
        )


def _write_coreml(job: ExportJob, out: Path) -> Proof:
    from foveal.export.coreml.write import write_coreml

    return write_coreml(job, out)


def _verify_coreml(job: ExportJob, path: Path) -> Proof:
    from foveal.export.coreml.write import verify_coreml

    return verify_coreml(job, path)


def _check_savedmodel(job: ExportJob) -> None:
    # Imported late: as above.
    from foveal.export.savedmodel import check_can_be_saved

    check_can_be_saved(job.bundle)


def _write_savedmodel(job: ExportJob, out: Path) -> Proof:
    # Imported late: as above.
    from foveal.export.savedmodel import write_savedmodel

    return write_savedmodel(job, out)


def _verify_savedmodel(job: ExportJob, path: Path) -> Proof:
    from foveal.export.savedmodel import verify_savedmodel

    return verify_savedmodel(job, path)


FORMATS.add(
    "onnx",
    Format(
        "the network alone",
        ".onnx",
        _write_onnx,
        is_network=True,
        precisions=("fp32", "int8"),
        quantises_activations=True,
        verify=_verify_onnx,
    ),
)
FORMATS.add(
    "foveal",
    Format(
        "the bundle as one file",
        ".foveal",
        _write_zip,
        precisions=("fp32", "int8", "bf16"),
        quantises_activations=True,
    ),
)
FORMATS.add(
    "coreml",
    Format(
        "a package for Core ML: iPhone, iPad and Mac",
        ".mlpackage",
        _write_coreml,
        check=_check_coreml,
        is_network=True,
        is_folder=True,
        precisions=("fp32", "fp16", "int8"),
        options=("with_app", "without_pictures"),
        app_suffix="-ios",
        is_told_by_name=True,
        verify=_verify_coreml,
        needs=(package("coremltools", extra="coreml"), package("onnx", extra="coreml")),
    ),
)
FORMATS.add(
    "web",
    Format(
        "an installable app that answers in the browser",
        "-app",
        _write_web,
        check=_check_web,
        is_folder=True,
        verify=_verify_web,
        options=("without_pictures",),
        main="files.js",
        needs=(Need("onnxruntime-web", has_runtime, install_command),),
        proof_needs=(Need("Chromium or Node", has_place, install_place),),
    ),
)
FORMATS.add(
    "docker",
    Format(
        "a folder to build a container image from",
        "-docker",
        write_docker,
        is_folder=True,
        verify=verify_docker,
        options=("gpu",),
        main="Dockerfile",
        needs=(package("uv", extra="docker"),),
    ),
)
FORMATS.add(
    "litert",
    Format(
        "a file for LiteRT, formerly TensorFlow Lite: Android and small devices",
        ".tflite",
        _write_litert,
        is_network=True,
        precisions=("fp32", "fp16", "int8"),
        quantises_activations=True,
        needs=(package("tensorflow", extra="litert"), package("onnx", extra="litert")),
        proof_needs=(package("ai_edge_litert", extra="litert", name="ai-edge-litert"),),
        verify=_verify_litert,
    ),
)
FORMATS.add(
    "savedmodel",
    Format(
        "TensorFlow, from picture files on",
        ".savedmodel",
        _write_savedmodel,
        check=_check_savedmodel,
        is_folder=True,
        needs=(package("tensorflow", extra="tensorflow"), package("onnx", extra="tensorflow")),
        verify=_verify_savedmodel,
        main="1/saved_model.pb",
    ),
)
