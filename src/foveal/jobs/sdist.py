"""The source archive of a job: what Vertex AI installs, or a container unpacks.

Nothing is built or executed here: the files are written as the formats say.
https://packaging.python.org/specifications/source-distribution-format/
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from foveal.jobs import start
from foveal.jobs.package import Package
from foveal.wheel import requirements, write_zip

NAME, VERSION = "foveal_job", "1"
MODULE = f"{NAME}.task"


def write_sdist(
    package: Package, folder: Path, *, extras: Sequence[str], needs: Sequence[str]
) -> Path:
    """Write the archive of a package into a folder and return its path.

    Args:
        package: What the job brings.
        folder: Where the archive goes.
        extras: Extras of foveal whose packages are installed where nothing is there yet.
        needs: Further packages, installed before the job starts wherever it runs.
    """
    contents = dict(package.contents)
    if needs:
        contents[start.REQUIREMENTS] = "".join(f"{line}\n" for line in needs).encode()
    zipped = folder / start.CONTENT
    write_zip(contents, zipped)
    wanted = requirements(extras)
    top = f"{NAME}-{VERSION}"
    files: dict[str, bytes | Path] = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n".encode(),
        "pyproject.toml": _pyproject(wanted).encode(),
        f"{NAME}/__init__.py": b"",
        f"{NAME}/task.py": Path(str(start.__file__)).read_bytes(),
        f"{NAME}/{start.CONTENT}": zipped,
    }
    target = folder / f"{top}.tar.gz"
    # Without the time, which would differ each time.
    with (
        gzip.GzipFile(target, "wb", compresslevel=1, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w|") as archive,
    ):
        for name, data in files.items():
            content = data if isinstance(data, bytes) else data.read_bytes()
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    zipped.unlink()
    return target


def _pyproject(wanted: Sequence[str]) -> str:
    # JSON's texts are TOML's.
    listed = "".join(f"    {json.dumps(line)},\n" for line in wanted)
    return f"""[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "{NAME}"
version = "{VERSION}"
requires-python = ">=3.11"
dependencies = [
{listed}]

[tool.setuptools]
packages = ["{NAME}"]

[tool.setuptools.package-data]
{NAME} = ["{start.CONTENT}"]
"""
