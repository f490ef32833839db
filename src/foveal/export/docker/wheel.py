"""The wheel of the foveal that runs here: what exported a model is what serves it.

Whatever the package index has under this name and version, it need not be this code. An installed
package is packed again, from its files; of a checkout, whose installed metadata may be old, the
wheel is built. The format:
https://packaging.python.org/specifications/binary-distribution-format/
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib import metadata
from pathlib import Path

from foveal.export.docker.uv import uv
from foveal.version import __version__

_PACKAGE = Path(__file__).resolve().parents[2]
_TAG = "py3-none-any"
_WHEEL = (
    f"Wheel-Version: 1.0\nGenerator: foveal {__version__}\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
)
# A fixed date, so that the same code gives the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_wheel(folder: Path) -> Path:
    """Write foveal's wheel into a folder and return its path.

    Raises:
        UsageError: When it cannot be built from the checkout that runs here.
    """
    checkout = _PACKAGE.parents[1]
    if (checkout / "pyproject.toml").is_file():
        return _built(checkout, folder)
    return packed(_PACKAGE, metadata.distribution("foveal"), folder)


def _built(checkout: Path, folder: Path) -> Path:
    out = folder.resolve()
    arguments = ["build", str(checkout), "--wheel", "--out-dir", str(out), "--no-create-gitignore"]
    uv(arguments, out, f"The wheel of foveal cannot be built from {checkout}")
    (wheel,) = folder.glob("foveal-*.whl")
    return wheel


def packed(package: Path, installed: metadata.Distribution, folder: Path) -> Path:
    """Write the wheel of an installed package into a folder and return its path.

    Args:
        package: The folder of its modules.
        installed: What describes it.
        folder: Where the wheel goes.
    """
    target = folder / f"foveal-{installed.version}-{_TAG}.whl"
    contents = {
        path.relative_to(package.parent).as_posix(): path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = f"foveal-{installed.version}.dist-info"
    contents |= {f"{info}/{name}": data for name, data in _described(installed).items()}
    record = f"{info}/RECORD"
    lines = [_line(name, data) for name, data in contents.items()]
    contents[record] = "".join([*lines, f"{record},,\n"]).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return target


def _described(installed: metadata.Distribution) -> dict[str, bytes]:
    """Return the files that describe the package."""
    described = {"WHEEL": _WHEEL.encode()}
    for file in installed.files or ():
        folder, _, name = file.as_posix().partition(".dist-info/")
        if folder.startswith("foveal-") and (
            name in ("METADATA", "entry_points.txt") or name.startswith("licenses/")
        ):
            described[name] = Path(str(file.locate())).read_bytes()
    return described


def _line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"
