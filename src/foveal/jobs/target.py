"""Targets of jobs: the values of `--on`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, final, get_args

from foveal.errors import UsageError, nearest

Kind = Literal["local", "ray", "vertex", "k8s", "slurm", "sky"]

_REGION = re.compile(r"[a-z]+(-[a-z]+)+[0-9]+")
# Of a project: its id, which Google restricts to these, or its number.
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]+")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")


@final
@dataclass(frozen=True, slots=True)
class Target:
    """The target of a job.

    Attributes:
        kind: `local` is a separate process on this machine, `ray` a Ray cluster, `vertex` Vertex
            AI; `k8s`, `slurm` and `sky` are manifests for other schedulers.
        address: Address of a Ray cluster: `local` starts one on this machine, `auto` joins the one
            that this process belongs to; anything else is the host of its head node, with or
            without a port.
        project: Id of the Google Cloud project.
        region: Google Cloud region, such as `us-central1`.
    """

    kind: Kind
    address: str = ""
    project: str = ""
    region: str = ""

    FORMS: ClassVar = ("local", "ray:local", "ray://HOST", "vertex:PROJECT/REGION")
    """How targets are written that work is sent to."""
    FILES: ClassVar = ("k8s", "slurm", "sky")
    """Targets for which a file is written, and a command said."""

    @classmethod
    def parse(cls, text: str) -> Target:
        """Parse the value of `--on`.

        Raises:
            UsageError: If the value is invalid; the hint suggests a correction.
        """
        if text in cls.FILES or text == "local":
            return cls(_kind(text))
        if text in ("ray", "ray:local", "ray:auto"):
            return cls("ray", address=text.partition(":")[2] or "local")
        if text.startswith("ray://") and _HOST.fullmatch(host := text.removeprefix("ray://")):
            return cls("ray", address=host)
        project, slash, region = text.removeprefix("vertex:").partition("/")
        is_vertex = text.startswith("vertex:") and slash and _REGION.fullmatch(region)
        if is_vertex and _PROJECT.fullmatch(project):
            return cls("vertex", project=project, region=region)
        if is_vertex:
            raise UsageError(
                f"Invalid project {project!r} in the target {text!r}. Expected the id of a "
                "project: 6 to 30 lowercase letters, digits and hyphens, or its number.",
                hint="gcloud projects list",
            )
        raise UsageError(
            f"Invalid target {text!r}. Expected {', '.join((*cls.FORMS, *cls.FILES[:-1]))} or "
            f"{cls.FILES[-1]}.",
            hint=f"use --on {meant}" if (meant := _meant(text)) else None,
        )

    @property
    def is_file(self) -> bool:
        """Whether a manifest is written instead of a job being submitted."""
        return self.kind in self.FILES

    @property
    def is_joined(self) -> bool:
        """Whether the calling process does the work itself, with the help of Ray."""
        return self.kind == "ray" and self.address in ("local", "auto")

    def __str__(self) -> str:
        """Return the value that `parse` accepts."""
        if self.kind == "vertex":
            return f"vertex:{self.project}/{self.region}"
        if self.kind != "ray":
            return self.kind
        own = self.address in ("local", "auto")
        return f"ray:{self.address}" if own else f"ray://{self.address}"


def _kind(text: str) -> Kind:
    for kind in get_args(Kind):
        if kind == text:
            return kind  # type: ignore[no-any-return]  # get_args is Any
    raise ValueError(text)


def _meant(text: str) -> str | None:
    """Return the valid target that is nearest to a wrong one; None if none is near."""
    text = text.lower()
    whole = nearest(text, ("local", "ray:local", "ray:auto", *Target.FILES))
    kind, _, rest = text.partition(":")
    if whole is not None or (near := nearest(kind, get_args(Kind))) is None:
        return whole
    if near == "vertex":
        return "vertex:my-project/europe-west4"
    if near != "ray":
        return near
    host = rest.strip("/")
    return f"ray://{host if _HOST.fullmatch(host) else 'head.example:10001'}"
