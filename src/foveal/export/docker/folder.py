"""`--to docker`: Dockerfile, compose file, Kubernetes manifest, lock, wheel and the model."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.errors import BundleError, ParityError, UsageError
from foveal.export.docker.lock import locked, python_version
from foveal.export.docker.render import render
from foveal.export.job import ExportJob
from foveal.export.proof import Proof, prove_engine
from foveal.predict.engine import OnnxEngine
from foveal.types import JsonObject
from foveal.version import __version__
from foveal.wheel import write_wheel

_OWN_LICENCES = ("Apache-2.0", "Bitstream-Vera")
_HEALTH_CHECK = (
    "import os, urllib.request as r; "
    "r.urlopen('http://127.0.0.1:' + os.environ.get('AIP_HTTP_PORT', '8000') + '/readyz', "
    "timeout=2)"
)


def write_docker(job: ExportJob, out: Path) -> None:
    """Write a folder from which the image of a model is built.

    It holds the bundle's own network, byte for byte, and foveal's own wheel, so there is nothing
    that could answer otherwise.

    Raises:
        UsageError: If the package index does not give the hashes of the packages.
    """
    bundle = job.bundle
    wheels, model = out / "wheels", out / "model"
    for folder in (out, wheels, model):
        folder.mkdir()
    wheel = write_wheel(wheels)
    (out / "requirements.lock").write_text(
        locked(wheel, extras_of(bundle), gpu=job.options.gpu), encoding="utf-8"
    )
    for name in (MANIFEST_NAME, *bundle.manifest.files):
        (model / name).write_bytes(bundle.read(name))
    values = _values(bundle, gpu=job.options.gpu)
    for template, name in (
        ("Dockerfile", "Dockerfile"),
        ("dockerignore", ".dockerignore"),
        ("compose.yaml", "compose.yaml"),
        ("kubernetes.yaml", "kubernetes.yaml"),
        ("README.md", "README.md"),
    ):
        (out / name).write_text(render(template, **values), encoding="utf-8")
    # Another user reads all this in the image, whatever the umask is here.
    for path in (out, *out.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def verify_docker(job: ExportJob, path: Path) -> Proof:
    """Let the model in such a folder answer pictures as the bundle does.

    What runs is the network, in the ONNX Runtime of this machine: no image is built.

    Raises:
        UsageError: If foveal has not exported it, or there are no pictures.
        ParityError: If it holds another model, or answers differently.
    """
    if not (path / "Dockerfile").is_file() or not (path / "model" / MANIFEST_NAME).is_file():
        raise UsageError(
            f"{path} is not a folder that foveal exported.",
            hint=f"foveal export MODEL --to docker --out {path.name}",
        )
    try:
        held = Bundle.open(path / "model")
    except BundleError as error:
        raise ParityError(f"The model in {path} is damaged: {error.message}") from error
    if held.version != job.bundle.version:
        raise ParityError(
            f"{path} contains another version of {held.name}. Expected {job.bundle.version}. "
            f"Received: {held.version}."
        )
    pictures = job.needed_pictures("A folder for containers is verified")
    runtime = f"ONNX Runtime {version('onnxruntime')}, outside a container"
    return prove_engine(job, pictures, OnnxEngine(held.model_bytes()), runtime)


def extras_of(bundle: Bundle) -> tuple[str, ...]:
    """Return the extras of foveal that answering with a bundle needs.

    HEIC is decoded in the image if it is decoded here: no bundle says which files will come.
    """
    wanted = {
        "page": bool(bundle.pipeline.steps),
        "segment": bundle.pipeline.is_tiled,
        "heic": find_spec("pi_heif") is not None,
    }
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def service_name(name: str) -> str:
    """Return a bundle's name as images, services and pods may be called: RFC 1035."""
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"foveal-{plain}"[:63].strip("-")


def _values(bundle: Bundle, *, gpu: bool) -> dict[str, object]:
    name = service_name(bundle.name)
    return {
        "name": name,
        "title": bundle.name,
        "version": bundle.version,
        "foveal_version": __version__,
        "image": f"{name}:{bundle.version}",
        "python": python_version(),
        "labels": image_labels(bundle),
        "weights": [_words(entry) for entry in bundle.manifest.licences],
        "health_check": _HEALTH_CHECK,
        "gpu": gpu,
        "store": False,
    }


def image_labels(bundle: Bundle) -> dict[str, str]:
    """Return the labels of the image, as the Open Container Initiative names them.

    https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    manifest = bundle.manifest
    weights = [str(entry.get("licence", "")) for entry in manifest.licences]
    licences = dict.fromkeys((*_OWN_LICENCES, *(_spdx(name) for name in weights)))
    title = "org.opencontainers.image"
    return {
        f"{title}.title": bundle.name,
        f"{title}.description": f"foveal, {manifest.task}: answers pictures over HTTP",
        f"{title}.version": bundle.version,
        f"{title}.created": manifest.created,
        f"{title}.licenses": " AND ".join(licences),
        "foveal.version": __version__,
        "foveal.weights": json.dumps([dict(entry) for entry in manifest.licences]),
    }


def _words(entry: JsonObject) -> str:
    """Return a licence line, on one line whatever a bundle says."""
    text = f"{entry.get('weights')}: {entry.get('licence')}, {entry.get('origin')}"
    return " ".join(text.split())


def _spdx(licence: str) -> str:
    """Return a licence's name as an SPDX expression may have it."""
    if re.fullmatch(r"[A-Za-z0-9.+-]+", licence):
        return licence
    return "LicenseRef-" + (re.sub(r"[^A-Za-z0-9.]+", "-", licence).strip("-") or "unknown")
