"""The runtime of the app: onnxruntime-web from npm, pinned by version and content.

Nothing is downloaded here: whoever exports an app runs the command that installs it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import final

from foveal.destination import cache_directory
from foveal.errors import MissingExtraError

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
FOLDER_VARIABLE = "FOVEAL_ONNXRUNTIME_WEB"
"""Environment variable: the folder of the package, the one with `package.json`."""

_SCRIPT = "dist/ort.wasm.bundle.min.mjs"
_PROGRAM = "dist/ort-wasm-simd-threaded.wasm"
_DIGESTS: Mapping[str, str] = MappingProxyType(
    {
        _SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
        _PROGRAM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    }
)


@final
@dataclass(frozen=True, slots=True)
class Runtime:
    """The files of the runtime.

    Attributes:
        script: The JavaScript module.
        program: The WebAssembly.
    """

    script: bytes
    program: bytes


def find_folder() -> Path | None:
    """Return the folder of the installed package, of whatever version; None when there is none."""
    return next((folder for folder in _folders() if (folder / _PROGRAM).is_file()), None)


def has_runtime() -> bool:
    """Return whether the package is installed; `read_runtime` looks at its version."""
    return find_folder() is not None


def read_runtime() -> Runtime:
    """Return the runtime, its content checked.

    Raises:
        MissingExtraError: If it is not installed, or is not the one that foveal was tried with.
    """
    folder = find_folder()
    if folder is None:
        raise MissingExtraError(
            f"A web app needs {PACKAGE} {VERSION}, which is not installed.", hint=install_command()
        )
    contents = {name: _read(folder / name) for name in _DIGESTS}
    for name, digest in _DIGESTS.items():
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise MissingExtraError(
                f"{folder / name} differs from the file of {PACKAGE} {VERSION}.",
                hint=install_command(),
            )
    return Runtime(contents[_SCRIPT], contents[_PROGRAM])


def install_command() -> str:
    """Return the command that installs the runtime where foveal finds it."""
    command = (
        f"npm install --ignore-scripts --no-audit --prefix {_cached().parent.parent} "
        f"{PACKAGE}@{VERSION}"
    )
    if os.environ.get(FOLDER_VARIABLE):
        # Where it names the folder, no other one is looked at.
        return f"unset {FOLDER_VARIABLE}; {command}"
    return command


def _folders() -> Iterator[Path]:
    if chosen := os.environ.get(FOLDER_VARIABLE):
        yield Path(chosen)
        return
    yield Path("node_modules") / PACKAGE
    yield _cached()


def _cached() -> Path:
    return cache_directory() / "npm" / "node_modules" / PACKAGE


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
