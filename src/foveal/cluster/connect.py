"""Connect this process to a Ray cluster: one of its own, or the one that it is in."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foveal.cluster.failures import said
from foveal.errors import FovealError, UsageError
from foveal.extras import import_extra
from foveal.jobs.target import Target

_ANSWER_S = 10.0


@contextmanager
def connected(target: Target, *, cores: int | None = None) -> Iterator[Any]:
    """Give the module `ray`, connected to a cluster until the block ends.

    A process that is connected already stays so, whatever the target says: Ray knows one cluster
    in a process.

    Args:
        target: `ray:local` starts a cluster on this machine, which ends with the block;
            `ray:auto` joins the cluster that this process or machine belongs to.
        cores: Processor cores that a new cluster counts; None takes those of the machine.

    Raises:
        MissingExtraError: If Ray is not installed.
        UsageError: If no cluster answers, or the target is not one that a process connects to.
        FovealError: If a cluster cannot be started, or fails before the block ends.
    """
    check_joined(target)
    ray = import_ray()
    is_ours = not ray.is_initialized()
    if is_ours:
        _begin(ray, target, cores)
    try:
        with _failing(ray):
            yield ray
    finally:
        if is_ours:
            ray.shutdown()


@contextmanager
def _failing(ray: Any) -> Iterator[None]:
    """Raise `FovealError` where Ray fails; what a task of ours raised stays what it is."""
    try:
        yield
    except ray.exceptions.RayError as error:
        if isinstance(error, ray.exceptions.RayTaskError):
            raise
        raise FovealError(
            f"The Ray cluster failed: {type(error).__name__}: {said(error)}",
            hint="try again in a moment; ray status shows which machines are there",
        ) from error


def check_joined(target: Target) -> None:
    """Raise unless a process can join the target itself.

    Raises:
        UsageError: For another cluster, and for what is no cluster of Ray.
    """
    if target.is_joined:
        return
    hint = "use --on ray:local"
    if target.kind == "ray":
        hint = "use --on ray:auto, on a machine of that cluster; or --on ray:local"
    raise UsageError(f"Cannot run on {target}. Expected ray:local or ray:auto.", hint=hint)


def import_ray() -> Any:
    """Return the module `ray`, told to report its use to nobody.

    Raises:
        MissingExtraError: If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return import_extra("ray", "ray", "Work on a cluster needs Ray")


def _begin(ray: Any, target: Target, cores: int | None) -> None:
    # What the workers print would come between the results on stdout; their logs keep it.
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if target.address == "local":
            # Without an address Ray might join the remains of a cluster that was killed.
            ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
        else:
            _check_answering()
            ray.init(address="auto", **quiet)
    except ConnectionError as error:
        if named := os.environ.get("RAY_ADDRESS", ""):
            raise UsageError(
                f"No Ray cluster answers at {named}, the address in RAY_ADDRESS.",
                hint="unset RAY_ADDRESS, for the cluster of this machine; or use --on ray:local",
            ) from error
        raise UsageError(
            "No running Ray cluster was found on this machine.",
            hint="ray start --head; or use --on ray:local",
        ) from error
    # Ray raises all kinds, some of them plain exceptions.
    except Exception as error:
        raise FovealError(f"Cannot start Ray or connect to it: {said(error)}") from error


def _check_answering() -> None:
    """Find at once that the head is gone: Ray itself would try for minutes.

    Raises:
        ConnectionError: If the address of RAY_ADDRESS, or of the cluster that was started on this
            machine, does not answer.
    """
    named = os.environ.get("RAY_ADDRESS", "")
    if not named:
        kept = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"  # noqa: S108
        named = kept.read_text(encoding="utf-8") if kept.is_file() else ""
    host, _, port = named.strip().removeprefix("ray://").rpartition(":")
    if port.isdigit() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
        except OSError as error:
            raise ConnectionError(named) from error
