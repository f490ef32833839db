"""Start a job from its package, in a container: unpack it, and become its command.

This file is sent as it is, and needs nothing of foveal: the package brings the foveal that sent
the job. In a container it is the program itself (`python -c`), with the package's URL as its first
argument; in a source archive it is the module `foveal_job.task`, with the package beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import IO

CONTENT = "content.zip"
REQUIREMENTS = "requirements.txt"


def main(args: list[str]) -> None:
    """Do what the arguments say: with a package beside this file, all of them are the command's."""
    folder = Path(tempfile.mkdtemp(prefix="foveal-job-"))
    beside = Path(globals().get("__file__", ".")).parent / CONTENT
    if beside.is_file():
        with beside.open("rb") as file:
            _unpack(file, folder)
    else:
        url, *args = args
        _fetch(url, folder)
    wanted = folder / REQUIREMENTS
    if wanted.is_file():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--requirement", str(wanted)]
        subprocess.run(command, check=True)  # noqa: S603 - pip, of this interpreter
    os.chdir(folder)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ["PYTHONUNBUFFERED"] = "1"
    # In the place of this process, so that it hears the signals.
    os.execv(sys.executable, [sys.executable, *args])  # noqa: S606 - there is none to quote for


def _fetch(url: str, folder: Path) -> None:
    import fsspec

    with fsspec.open(url, "rb") as remote, tempfile.TemporaryFile() as local:
        while part := remote.read(1 << 20):
            local.write(part)
        local.seek(0)
        with tarfile.open(fileobj=local, mode="r:gz") as archive:
            for member in archive:
                if member.name.endswith(f"/{CONTENT}"):
                    content = archive.extractfile(member)
                    if content is not None:
                        _unpack(content, folder)


def _unpack(file: IO[bytes], folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)  # noqa: S202 - a zip, which stays inside the folder


if __name__ == "__main__":
    main(sys.argv[1:])
