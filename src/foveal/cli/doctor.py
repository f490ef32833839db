"""`foveal doctor` reports what this machine and installation can do, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import finding_lines, write, write_json
from foveal.types import JsonObject
from foveal.workflow.doctor import diagnose, examine

_GIB = 1024**3


def doctor(as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Check this machine and the installation.

    The exit status is 1 if a finding is an error.
    """
    environment = examine()
    findings = diagnose(environment)
    if as_json:
        write_json(
            {
                "schema_version": 1,
                "environment": environment,
                "findings": [finding.to_json() for finding in findings],
            }
        )
    else:
        if not quiet:
            write("\n".join(_lines(environment)))
        for finding in findings:
            write("\n".join(finding_lines(finding)))
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
