"""Build a wheel of the running foveal, for jobs on other machines.

Whatever the package index has under this name and version, it need not be this code. Nothing is
built or executed: the files of the package are packed as they are. What describes it comes from the
installed metadata, or from the pyproject.toml of a checkout, whose metadata may be old. The format:
https://packaging.python.org/specifications/binary-distribution-format/
"""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
import zipfile
from collections.abc import Collection, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from foveal.errors import UsageError
from foveal.version import __version__

_PACKAGE = Path(__file__).resolve().parent
_TAG = "py3-none-any"
_WHEEL = (
    f"Wheel-Version: 1.0\nGenerator: foveal {__version__}\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
)
# At the end of a marker, as every tool writes it.
_EXTRA = re.compile(r"""(?:\band\s+)?extra\s*==\s*['"]([^'"]+)['"]\s*$""")
# A fixed date, so that the same code gives the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_wheel(folder: Path) -> Path:
    """Write foveal's wheel into a folder and return its path.

    Raises:
        UsageError: If foveal is not installed as a package.
    """
    return _written(wheel_files(), folder)


def wheel_files() -> dict[str, bytes]:
    """Return path → content of everything in foveal's wheel.

    Raises:
        UsageError: If foveal is not installed as a package.
    """
    project = _PACKAGE.parents[1] / "pyproject.toml"
    if project.is_file():
        return _whole(_PACKAGE, __version__, _described_by(project))
    try:
        installed = metadata.distribution("foveal")
    except metadata.PackageNotFoundError as error:
        raise UsageError(
            f"foveal runs from {_PACKAGE}, which is not an installed package.",
            hint="pip install foveal",
        ) from error
    return _whole(_PACKAGE, installed.version, _described(installed))


def requirements(extras: Collection[str]) -> list[str]:
    """Return the packages that this foveal and some of its extras need, as pip takes them.

    Raises:
        UsageError: As for `write_wheel`.
    """
    files = wheel_files()
    text = next(data for name, data in files.items() if name.endswith(".dist-info/METADATA"))
    wanted = []
    for line in text.decode().splitlines():
        if not line.strip():
            break
        if line.startswith("Requires-Dist: "):
            needed, extra = _without_extra(line.removeprefix("Requires-Dist: "))
            if extra is None or extra in extras:
                wanted.append(needed)
    return list(dict.fromkeys(wanted))


def _without_extra(needed: str) -> tuple[str, str | None]:
    """Return a requirement without the marker of its extra, and that extra."""
    package, _, marker = needed.partition(";")
    match = _EXTRA.search(marker)
    if match is None:
        return needed, None
    rest = marker[: match.start()].strip()
    return (f"{package.strip()}; {rest}" if rest else package.strip()), match[1]


def packed(package: Path, installed: metadata.Distribution, folder: Path) -> Path:
    """Write the wheel of an installed package into a folder and return its path.

    Args:
        package: The folder of its modules.
        installed: What describes it.
        folder: Where the wheel goes.
    """
    return _written(_whole(package, installed.version, _described(installed)), folder)


def write_zip(contents: Mapping[str, bytes | Path], target: Path) -> None:
    """Write files into a zip archive, the same bytes for the same contents.

    Args:
        contents: Path in the archive → content, or a file that has it.
        target: The archive to be.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data if isinstance(data, bytes) else data.read_bytes())


def _written(contents: Mapping[str, bytes], folder: Path) -> Path:
    info = next(name for name in contents if name.endswith(".dist-info/RECORD"))
    target = folder / f"{info.partition('.dist-info/')[0]}-{_TAG}.whl"
    write_zip(contents, target)
    return target


def _whole(package: Path, version: str, described: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a wheel, with the record of them as the last."""
    contents = {
        path.relative_to(package.parent).as_posix(): path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = f"foveal-{version}.dist-info"
    contents |= {f"{info}/{name}": data for name, data in described.items()}
    lines = [_line(name, data) for name, data in contents.items()]
    record = f"{info}/RECORD"
    contents[record] = "".join([*lines, f"{record},,\n"]).encode()
    return contents


def _described(installed: metadata.Distribution) -> dict[str, bytes]:
    """Return the files that describe an installed package."""
    described = {"WHEEL": _WHEEL.encode()}
    for file in installed.files or ():
        folder, _, name = file.as_posix().partition(".dist-info/")
        if folder.startswith("foveal-") and (
            name in ("METADATA", "entry_points.txt") or name.startswith("licenses/")
        ):
            described[name] = Path(str(file.locate())).read_bytes()
    return described


def _described_by(pyproject: Path) -> dict[str, bytes]:
    """Return the files that describe a package, from the project's own words.

    https://packaging.python.org/specifications/core-metadata/
    """
    project: dict[str, Any] = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    licences = [Path(name) for name in project["license-files"]]
    scripts = "".join(f"{name} = {target}\n" for name, target in project["scripts"].items())
    return {
        "WHEEL": _WHEEL.encode(),
        "METADATA": "".join(f"{line}\n" for line in _metadata(project)).encode(),
        "entry_points.txt": f"[console_scripts]\n{scripts}".encode(),
        **{f"licenses/{path}": (pyproject.parent / path).read_bytes() for path in licences},
    }


def _metadata(project: dict[str, Any]) -> Iterator[str]:
    yield from ("Metadata-Version: 2.4", f"Name: {project['name']}", f"Version: {__version__}")
    yield f"Summary: {project['description']}"
    yield f"License-Expression: {project['license']}"
    yield from (f"License-File: {name}" for name in project["license-files"])
    yield f"Requires-Python: {project['requires-python']}"
    yield from (f"Requires-Dist: {needed}" for needed in project["dependencies"])
    for extra, needs in project["optional-dependencies"].items():
        yield f"Provides-Extra: {extra}"
        for needed in needs:
            package, _, marker = needed.partition(";")
            condition = f"({marker.strip()}) and " if marker else ""
            yield f"Requires-Dist: {package.strip()}; {condition}extra == '{extra}'"


def _line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"
