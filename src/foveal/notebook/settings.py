"""Job settings of a notebook, which `%foveal_init` sets and `%%foveal_run` uses."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import final

from foveal.errors import UsageError
from foveal.jobs.options import JobOptions
from foveal.jobs.target import Target
from foveal.notebook.cells.requirements import read_requirements

REGION = "us-central1"
"""Where a project's jobs run when no region is given."""

# What local jobs read too, or what chooses where jobs run.
_EVERYWHERE = frozenset({"on", "project", "requirements", "packages"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookSettings:
    """Settings of all jobs of a notebook.

    Attributes:
        on: Target of jobs, as for `--on`; None takes `vertex` if a project is set, or else `local`.
        project: Id of the Google Cloud project.
        region: Google Cloud region.
        bucket: Bucket for packages and results, with or without `gs://`.
        machine: Machine type.
        accelerator: Accelerator type.
        accelerators: Number of accelerators.
        image: Container image of the jobs.
        spot: Use spot machines, which are cheaper and can be reclaimed at any time.
        service_account: Service account of the jobs.
        requirements: `auto` derives packages from the imports, `none` installs none; anything else
            is the path of a requirements file.
        packages: Further packages.
    """

    on: str | None = None
    project: str | None = None
    region: str | None = None
    bucket: str | None = None
    machine: str | None = None
    accelerator: str | None = None
    accelerators: int = 1
    image: str | None = None
    spot: bool = False
    service_account: str | None = None
    requirements: str = "auto"
    packages: tuple[str, ...] = ()

    @classmethod
    def from_arguments(cls, given: Namespace, packages: Sequence[str] = ()) -> NotebookSettings:
        """Return the settings given as arguments of a magic, after local validation.

        Raises:
            UsageError: If the target is invalid, or the requirements cannot be read.
        """
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in vars(given).items() if name in known}
        settings = cls(**values, packages=tuple(packages))
        settings.options(settings.target())
        settings.requirement_lines()
        return settings

    def target(self, on: str | None = None) -> Target:
        """Return the target of a job.

        Args:
            on: As for `--on`; `vertex` takes the project that is set. None takes the default.

        Raises:
            UsageError: If the target is invalid, or `vertex` is given without a project.
        """
        chosen = on or self.on or ("vertex" if self.project else "local")
        if chosen != "vertex":
            return Target.parse(chosen)
        if not self.project:
            raise UsageError(
                "The target vertex needs a project.",
                hint="%foveal_init --project my-project --region europe-west4 --bucket my-bucket",
            )
        return Target.parse(f"vertex:{self.project}/{self.region or REGION}")

    def options(self, target: Target) -> JobOptions:
        """Return the options of a job; none for a local process.

        Raises:
            UsageError: If the target does not support an option.
        """
        if target.kind == "local":
            return JobOptions()
        if target.kind == "ray":
            options = JobOptions(accelerator=self.accelerator, accelerators=self.accelerators)
        else:
            options = JobOptions(
                bucket=self.bucket and _address(self.bucket),
                machine=self.machine,
                accelerator=self.accelerator,
                accelerators=self.accelerators,
                image=self.image,
                spot=self.spot,
                service_account=self.service_account,
            )
        options.check(target)
        return options

    def unused(self) -> list[str]:
        """Return the flags of options that a local target ignores; another one may read them."""
        if self.target().kind != "local":
            return []
        return [
            "--" + each.name.replace("_", "-")
            for each in fields(self)
            if each.name not in _EVERYWHERE and getattr(self, each.name) != each.default
        ]

    @property
    def is_automatic(self) -> bool:
        """Whether packages are derived from the imports."""
        return self.requirements == "auto"

    def requirement_lines(self) -> tuple[str, ...]:
        """Return the given packages.

        Raises:
            UsageError: If the requirements file cannot be read.
        """
        named = self.requirements in ("auto", "none")
        listed = () if named else read_requirements(Path(self.requirements))
        return (*listed, *self.packages)

    def line(self) -> str:
        """Return the magic that makes these settings."""
        words = ["%foveal_init"]
        for each in fields(self):
            value = getattr(self, each.name)
            if value == each.default or each.name == "packages":
                continue
            flag = "--" + each.name.replace("_", "-")
            words += [flag] if value is True else [flag, shlex.quote(str(value))]
        for package in self.packages:
            words += ["--package", shlex.quote(package)]
        return " ".join(words)


def _address(bucket: str) -> str:
    return bucket if "://" in bucket else f"gs://{bucket}"
