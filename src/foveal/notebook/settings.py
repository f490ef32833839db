"""Where the jobs of a notebook go: what `%foveal_init` sets and `%%foveal_run` uses."""

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


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookSettings:
    """What holds for all jobs of a notebook.

    Attributes:
        on: Where jobs go, as `--on` takes it; None is `vertex` where there is a project, and
            `local` otherwise.
        project: Id of the Google Cloud project.
        region: Google Cloud region.
        bucket: Where packages and results go, with or without `gs://`.
        machine: Type of machine.
        accelerator: Type of accelerator.
        accelerators: How many of them.
        image: Container image that jobs run in.
        spot: Take machines that may be taken away, for less money.
        service_account: Account that jobs act as.
        requirements: `auto` takes packages from the imports, `none` takes none, anything else is
            a file with them.
        packages: More packages.
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
        """Return what the arguments of a magic say, checked as far as that needs nobody else.

        Raises:
            UsageError: For a target that is none, or requirements that cannot be read.
        """
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in vars(given).items() if name in known}
        settings = cls(**values, packages=tuple(packages))
        settings.options(settings.target())
        settings.requirement_lines()
        return settings

    def target(self, on: str | None = None) -> Target:
        """Return where a job goes.

        Args:
            on: As `--on` takes it; `vertex` is the project that was set. None takes the default.

        Raises:
            UsageError: For anything else, and for `vertex` without a project.
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
        """Return what a job runs on; a process of this machine needs nothing of it.

        Raises:
            UsageError: For an option that the target does not have.
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

    @property
    def is_automatic(self) -> bool:
        """Whether packages are taken from the imports."""
        return self.requirements == "auto"

    def requirement_lines(self) -> tuple[str, ...]:
        """Return the packages that were given.

        Raises:
            UsageError: When the file with them cannot be read.
        """
        named = self.requirements in ("auto", "none")
        listed = () if named else read_requirements(Path(self.requirements))
        return (*listed, *self.packages)

    def line(self) -> str:
        """Return the magic that sets this."""
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
