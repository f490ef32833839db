"""The work of a job: a module with its arguments, and the files that it reads."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from foveal.errors import UsageError
from foveal.names import is_name

OUTPUT = "{output}"
"""Stands in an argument for where results go, which only the target knows."""

OUTPUT_VARIABLE = "FOVEAL_OUTPUT"
"""Tells the process the same."""


@final
@dataclass(frozen=True, slots=True)
class Work:
    """The work of a job: `python -m MODULE ARGS` in a separate folder.

    Attributes:
        name: What the job is called; a number is added where this machine knows another.
        module: Module to run; foveal's own, or one of `files`.
        args: Its arguments; `OUTPUT` in one is replaced by the folder or URL of the results.
        files: Path in the folder, with `/` → a file, a folder, or the content.
        requirements: Packages that it needs beside foveal, as pip takes them. A process on this
            machine has those of this environment.
        extras: Extras of foveal that it needs.
    """

    name: str
    module: str
    args: tuple[str, ...] = ()
    files: Mapping[str, Path | bytes] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the name, which becomes that of folders.

        Raises:
            UsageError: If it cannot be one.
        """
        if not is_name(self.name):
            raise UsageError(
                f"Invalid job name {self.name!r}. Expected letters, digits, '.', '_', '-'.",
                hint="foveal train DATA --on local --name first-try",
            )

    def command(self, output: str, python: str = "python") -> tuple[str, ...]:
        """Return the command, with results going to `output`."""
        args = (arg.replace(OUTPUT, output) for arg in self.args)
        return (python, "-m", self.module, *args)

    def write_files(self, folder: Path) -> None:
        """Write the files that it reads into a folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content.is_dir():
                shutil.copytree(content, path)
            else:
                shutil.copyfile(content, path)
