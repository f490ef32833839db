"""Argument parsers of the magics, whose errors IPython shows in one line."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser


def _parser(name: str, description: str) -> MagicArgumentParser:
    return MagicArgumentParser(name, description=description)  # type: ignore[no-untyped-call]


def _init() -> MagicArgumentParser:
    parser = _parser("foveal_init", "Set the target of jobs and the machines that they run on.")
    add = parser.add_argument
    add(
        "--on",
        metavar="TARGET",
        help="local, ray://HOST, vertex or vertex:PROJECT/REGION",
    )
    add("--project", help="of Google's cloud")
    add("--region", help="of Google's cloud (us-central1)")
    add("--bucket", help="bucket for packages and results")
    add("--machine", help="machine type, such as n1-standard-8")
    add("--accelerator", help="accelerator type, such as NVIDIA_TESLA_T4")
    add("--accelerators", type=int, default=1, help="number of accelerators (1)")
    add("--image", help="container image of the jobs")
    add(
        "--spot",
        action="store_true",
        help="use spot machines, which are cheaper and can be reclaimed",
    )
    add("--service-account", help="service account of the jobs")
    add(
        "--requirements",
        default="auto",
        metavar="auto|FILE|none",
        help="packages: from the imports, from a file, or none (auto)",
    )
    add(
        "--package",
        action="append",
        default=[],
        help="one more package, such as timm>=1.0; may be repeated",
    )
    return parser


def _code() -> MagicArgumentParser:
    parser = _parser("foveal_code", "Collect the cell for jobs, and run it here.")
    parser.add_argument(
        "name", nargs="?", help="the same name replaces the cell; by default the front end's id"
    )
    parser.add_argument("--no-run", action="store_true", help="collect it without running it here")
    return parser


def _run() -> MagicArgumentParser:
    parser = _parser("foveal_run", "Submit the collected cells and this one as one job.")
    add = parser.add_argument
    add("--on", metavar="TARGET", help="where to; by default what %%foveal_init says, or local")
    add("--name", help="of the job, for `foveal jobs`")
    add("--wait", action="store_true", help="until it has ended; fail if it fails")
    add("--check", action="store_true", help="run all cells but this one in a new process first")
    add("--into", metavar="VARIABLE", help="give the job this name in the notebook")
    return parser


def _cells() -> MagicArgumentParser:
    parser = _parser("foveal_cells", "Show the collected cells, or drop some.")
    parser.add_argument("--forget", nargs="+", default=[], metavar="NAME", help="cells to drop")
    parser.add_argument("--all", action="store_true", help="drop all")
    return parser


def _old_init() -> MagicArgumentParser:
    parser = _parser("ml_init", "As in cloudml-magic; now %%foveal_init.")
    add = parser.add_argument
    add("-projectId", dest="project", required=True)
    add("-bucket", required=True)
    add("-region")
    add("-scaleTier", dest="tier", default="BASIC")
    # Of AI Platform's own images nothing is left: Vertex AI has to be given one.
    add("-image")
    add("-runtimeVersion", help="has no effect: those images are gone")
    return parser


PARSERS = {
    "foveal_init": _init(),
    "foveal_cells": _cells(),
    "foveal_code": _code(),
    "foveal_run": _run(),
    "ml_init": _old_init(),
    "ml_code": _parser("ml_code", "As in cloudml-magic; now %%%%foveal_code."),
    "ml_run": _parser("ml_run", "As in cloudml-magic; now %%%%foveal_run."),
}


def parsed(name: str, line: str) -> Namespace:
    """Parse the arguments of a magic.

    Raises:
        IPython.core.error.UsageError: If an argument is unknown or invalid.
    """
    try:
        found: Namespace = PARSERS[name].parse_argstring(line)  # type: ignore[no-untyped-call]
    except ValueError as error:
        # A quotation mark without its other half.
        raise UsageError(f"{error}: {line}") from error
    # IPython keeps the quotes of a value.
    return Namespace(**{key: _unquoted(value) for key, value in vars(found).items()})


def _unquoted(value: Any) -> Any:
    if isinstance(value, list):
        return [_unquoted(each) for each in value]
    is_quoted = isinstance(value, str) and len(value) > 1 and value[0] == value[-1] in "'\""
    return value[1:-1] if is_quoted else value
