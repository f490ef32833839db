"""Options of a job: machines and account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, final

from foveal.errors import UsageError
from foveal.jobs.target import Target
from foveal.settings import About, Knob, settings_of

_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}")

# For hints: how each target calls one.
_ACCELERATORS = {
    "vertex": "NVIDIA_TESLA_T4",
    "k8s": "Tesla-T4",
    "slurm": "a100",
    "sky": "T4",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """Options of a job; targets refuse options that they do not support."""

    workers: Annotated[
        int, About("Processes that train together, over all machines.", ge=1), Knob(metavar="N")
    ] = 1
    machine: Annotated[
        str | None, About("Type of machine, such as n1-standard-8."), Knob(metavar="TYPE")
    ] = None
    accelerator: Annotated[
        str | None, About("Type of accelerator, such as NVIDIA_TESLA_T4."), Knob(metavar="TYPE")
    ] = None
    accelerators: Annotated[int, About("Accelerators per machine.", ge=1), Knob(metavar="N")] = 1
    image: Annotated[
        str | None, About("Container image that the job runs in."), Knob(metavar="URI")
    ] = None
    bucket: Annotated[
        str | None,
        About("Bucket for the package and the results: gs://BUCKET."),
        Knob(metavar="URL"),
    ] = None
    spot: Annotated[
        bool, About("Use cheaper machines that can be taken away at any time."), Knob()
    ] = False
    service_account: Annotated[
        str | None, About("Account that the job runs as."), Knob(metavar="ACCOUNT")
    ] = None
    labels: Annotated[
        tuple[str, ...],
        About("Label for attributing costs; repeatable."),
        Knob(("--label",), metavar="KEY=VALUE"),
    ] = ()
    timeout_s: Annotated[
        float | None,
        About("Time limit for the job, such as 12h.", gt=0),
        Knob(("--timeout",), metavar="DURATION"),
    ] = None

    def __post_init__(self) -> None:
        """Check what can be checked without asking anybody.

        Raises:
            UsageError: For a value that no target takes.
        """
        for name in ("workers", "accelerators"):
            if (value := getattr(self, name)) < 1:
                raise UsageError(f"Invalid --{name}. Expected at least 1. Received: {value}.")
        for label in self.labels:
            if not _LABEL.fullmatch(label):
                raise UsageError(
                    f"Invalid label {label!r}. Expected KEY=VALUE of lower-case letters, digits, "
                    "'_' and '-'.",
                    hint="use --label team=vision",
                )

    @property
    def label_values(self) -> Mapping[str, str]:
        """Key → value of each label."""
        return dict(label.split("=", 1) for label in self.labels)

    def check(self, target: Target) -> None:
        """Raise where something is asked for that the target cannot give.

        Raises:
            UsageError: Naming the first such option.
        """
        for name, setting in settings_of(JobOptions).items():
            if name not in _TAKEN[target.kind] and getattr(self, name) != setting.default:
                flag = setting.flags[0]
                hint = f"leave {flag} out"
                if name == "workers" and target.kind == "local":
                    hint = "use --devices N, without --on"
                elif name == "workers":
                    kind = _ACCELERATORS[target.kind]
                    hint = f"--accelerator {kind} --accelerators 4 trains on four of one machine; "
                    hint += "several machines need a Ray cluster: --on ray://HOST"
                raise UsageError(f"{flag} has no effect on {target}.", hint=hint)
        if self.accelerators > 1 and self.accelerator is None:
            raise UsageError(
                "--accelerators needs the type of accelerator.",
                hint=f"use --accelerator {_ACCELERATORS[target.kind]}",
            )


_ANY = frozenset({"machine", "accelerator", "accelerators", "timeout_s"})
_TAKEN = {
    "local": frozenset[str](),
    "ray": frozenset({"workers"}),
    "vertex": frozenset(settings_of(JobOptions)) - {"workers"},
    "k8s": _ANY | {"image", "service_account"},
    "slurm": _ANY,
    "sky": _ANY | {"image", "spot"},
}
