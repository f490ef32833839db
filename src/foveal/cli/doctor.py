"""`foveal doctor` reports what this machine and installation can do, and what is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import write, write_finding, write_json
from foveal.types import Finding, JsonObject
from foveal.workflow.doctor import diagnose, examine
from foveal.workflow.vertex import vertex_settings
from foveal.workflow.vertex_probe import probe

_GIB = 1024**3


def doctor(
    vertex: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask a running server what Vertex AI asks a container."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check this machine and the installation, or a server for Vertex AI.

    The exit status is 1 if a finding is an error.
    """
    if vertex is not None:
        _report(list(probe(vertex, vertex_settings(os.environ))), {}, as_json=as_json, quiet=quiet)
        return
    environment = examine()
    _report(diagnose(environment), environment, as_json=as_json, quiet=quiet)


def _report(
    findings: Sequence[Finding], environment: JsonObject, *, as_json: bool, quiet: bool
) -> None:
    if as_json:
        write_json(
            {
                "schema_version": 1,
                "environment": environment,
                "findings": [finding.to_json() for finding in findings],
            }
        )
    else:
        if not quiet and environment:
            write("\n".join(_lines(environment)))
        for finding in findings:
            write_finding(finding)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def _lines(environment: JsonObject) -> Iterator[str]:
    torch, memory = environment["torch"], environment["memory_bytes"]
    cards = (", ".join(torch["cuda"]) or "none") if torch else "torch is not installed"
    yield f"foveal      {environment['foveal']} on Python {environment['python']}"
    yield f"system      {environment['platform']}"
    yield f"processor   {environment['processor']}, {environment['cores']} cores usable"
    yield f"bf16        {'yes' if environment['bf16'] else 'no (training uses float32)'}"
    yield f"memory      {memory / _GIB:.1f} GiB" if memory else "memory      unknown"
    yield f"graphics    {cards}"
    for name, installed in environment["packages"].items():
        yield f"{name:<11} {installed or '-'}"
    for plugin in environment["plugins"]:
        state = "does not work" if plugin["error"] else "works"
        yield (
            f"plug-in     {plugin['package']} {plugin['version']}, "
            f"{plugin['group']}: {plugin['name']} {state}"
        )
