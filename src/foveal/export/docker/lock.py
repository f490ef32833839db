"""The lock file: the packages of an image in the installed versions, with hashes."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from foveal.export.docker.uv import uv

_HEADER = """\
# Every package of the image: in the version that was installed where the model was exported
# (Python {python}), with the hashes that the package index states. foveal itself is the wheel
# beside this file: the code that exported the model.
"""
_INFERENCE = "onnxruntime"
_GPU = "onnxruntime-gpu"


def python_version() -> str:
    """Return the Python of the image: the one that runs here, as 3.12."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def locked(wheel: Path, extras: tuple[str, ...], *, gpu: bool) -> str:
    """Return the content of the lock; asks the package index for hashes.

    Args:
        wheel: foveal's own wheel; the lock names it by its path below its folder, `wheels/`.
        extras: foveal's extras to install.
        gpu: Take ONNX Runtime with CUDA, and CUDA's libraries.

    Raises:
        UsageError: If the index does not answer, or lacks one of the versions.
    """
    installed = _installed()
    with tempfile.TemporaryDirectory(prefix="foveal-lock-") as temporary:
        folder = Path(temporary)
        options = ["--constraint", "installed.txt"]
        if gpu:
            # The two builds of ONNX Runtime are one module: the other one must not come along.
            (folder / "replaced.txt").write_text(f"{_INFERENCE}; python_version < '3'\n")
            options += ["--override", "replaced.txt"]
            extras = (*extras, "gpu")
        chosen = f"foveal[{','.join(extras)}]" if extras else "foveal"
        (folder / "wanted.in").write_text(f"{chosen} @ {wheel.resolve().as_uri()}\n")
        pins = "".join(f"{name}=={version}\n" for name, version in sorted(installed.items()))
        (folder / "installed.txt").write_text(pins)
        packages = _resolved(folder, options)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    own = f"./wheels/{wheel.name} \\\n    --hash=sha256:{digest}\n"
    return _HEADER.format(python=python_version()) + own + packages


def _resolved(folder: Path, options: list[str]) -> str:
    options += ["--generate-hashes", "--no-header", "--no-annotate"]
    options += ["--only-binary", ":all:", "--no-emit-package", "foveal"]
    options += ["--python-version", python_version(), "--python-platform", "linux"]
    failed = "The hashes of the image's packages cannot be looked up"
    return uv(["pip", "compile", "wanted.in", *options], folder, failed)


def _installed() -> dict[str, str]:
    """Return name and version of what is installed and has a version that an index can have."""
    found: dict[str, str] = {}
    for package in metadata.distributions():
        name = package.name.lower()
        # Local versions, such as 2.13.0+cpu, are of builds that no public index has.
        if name != "foveal" and "+" not in package.version:
            found.setdefault(name, package.version)
    # Either build is here; the image has the one that it asks for, in the same version.
    for one, other in ((_INFERENCE, _GPU), (_GPU, _INFERENCE)):
        if one in found:
            found.setdefault(other, found[one])
    return found
