"""`foveal`: finds the verb, runs it, and turns every error into one line, a hint and a status."""

from __future__ import annotations

import io
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer

from foveal.cli.command import VerbCommand
from foveal.cli.foreign import as_ours
from foveal.cli.output import complain
from foveal.cli.signals import EXIT_INTERRUPTED
from foveal.console import show_log
from foveal.errors import FovealError, is_disk_full
from foveal.version import __version__

EXIT_FAILED = 1
# What the loader of libraries, threads and C++ say when the memory is not enough.
_NO_MEMORY = (
    "failed to map segment",
    "annot allocate memory",
    "can't start new thread",
    "can't allocate memory",
    "bad_alloc",
)
_MORE_MEMORY = (
    "close other programs, raise the limit (ulimit -v), or use smaller pictures and batches"
)
EXIT_USAGE = 2

DATA, MAKE, USE = "Prepare data", "Train and evaluate", "Use a model"
TOOLS = "Tools"


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb lives and what the list of verbs says about it.

    Attributes:
        module: Holds the function (or `typer.Typer`) of the verb's name.
        panel: Heading in the list.
        summary: One line; the same as the first of the verb's own help.
    """

    module: str
    panel: str
    summary: str


VERBS: dict[str, Verb] = {
    "collect": Verb(
        "foveal.cli.collect", DATA, "Collect pictures from web pages into class folders."
    ),
    "check": Verb("foveal.cli.data", DATA, "Check pictures without training."),
    "review": Verb("foveal.cli.review", DATA, "Go through the suspects of a check on a web page."),
    "clean": Verb("foveal.cli.clean", DATA, "Apply decisions about pictures, or undo them."),
    "corrections": Verb(
        "foveal.cli.corrections", DATA, "Review the feedback on a served model's answers."
    ),
    "split": Verb("foveal.cli.split", DATA, "Split pictures into the folders train, val and test."),
    "synth": Verb("foveal.cli.data", DATA, "Draw labelled pictures of text into a folder."),
    "preprocess": Verb("foveal.cli.preprocess", DATA, "Cut pages into lines of text."),
    "train": Verb("foveal.cli.train", MAKE, "Train a model on a folder of pictures."),
    "tune": Verb("foveal.cli.tune", MAKE, "Search for a better recipe within a budget."),
    "watch": Verb("foveal.cli.watch", MAKE, "Watch a training on a live web page."),
    "evaluate": Verb("foveal.cli.measure", MAKE, "Evaluate a model on labelled pictures."),
    "compare": Verb("foveal.cli.measure", MAKE, "Compare runs."),
    "predict": Verb("foveal.cli.predict", USE, "Predict pictures: files, folders, globs or stdin."),
    "explain": Verb("foveal.cli.explain", USE, "Explain the answer to a picture."),
    "serve": Verb("foveal.cli.serve", USE, "Serve models over HTTP with a web page."),
    "deploy": Verb("foveal.cli.deploy", USE, "Deploy a model to a Vertex AI endpoint."),
    "export": Verb("foveal.cli.export", USE, "Export a model to another format."),
    "verify": Verb(
        "foveal.cli.verify", USE, "Verify that a model gives its proven answers on this machine."
    ),
    "models": Verb(
        "foveal.cli.models", USE, "Manage versions of models in a store; list backbones."
    ),
    "jobs": Verb(
        "foveal.cli.jobs", TOOLS, "Follow, stop and fetch jobs that were started with --on."
    ),
    "keys": Verb("foveal.cli.keys", TOOLS, "Create, list and revoke the API keys of a server."),
    "doctor": Verb(
        "foveal.cli.doctor",
        TOOLS,
        "Check this machine and the installation, or a server for Vertex AI.",
    ),
}
"""A verb's module is read only when that verb is asked for: neither the list of verbs nor one
prediction may pay for the options of the trainer."""


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit status: 0 ok, 1 failed, 2 usage, 3 data, 4 model."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # Names of files need not be valid Unicode: they are printed as they are on the disk.
        sys.stdout.reconfigure(errors="surrogateescape")
    args = list(argv) or ["--help"]
    debug = "--debug" in args
    show_log(logging.DEBUG if debug else logging.WARNING)
    try:
        args = _ours(args)
        status = build_app(args)(args=args, prog_name="foveal", standalone_mode=False)
        sys.stdout.flush()
        # typer turns Ctrl-C into this status before it could be caught here.
        if status == EXIT_INTERRUPTED:
            return _interrupted()
        return status if isinstance(status, int) else 0
    except FovealError as error:
        if debug:
            traceback.print_exc()
        complain(error.message, error.hint)
        return error.exit_status
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except SystemExit as left:
        # A verb has said all there is to say.
        return left.code if isinstance(left.code, int) else EXIT_FAILED
    except BrokenPipeError:
        # The reader of our output left (`foveal predict … | head`): nothing more to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except typer.TyperException as error:
        return _usage(error, args)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno is not None:
            # The system refused: no space, no rights, a disk that is gone.
            where = f": {error.filename}" if error.filename else ""
            hint = "free some disk space, then try again" if is_disk_full(error) else None
            complain(f"{error.strerror}{where}", hint)
            return EXIT_FAILED
        if _is_memory(error):
            complain("This machine does not have enough memory.", _MORE_MEMORY)
            return EXIT_FAILED
        complain(
            f"{type(error).__name__}: {_one_line(error)}",
            "this is a bug in foveal; run the command again with --debug and report the output",
        )
        return EXIT_FAILED


def _is_memory(error: Exception) -> bool:
    """Return whether the memory ran out; libraries that fail to load or to start threads say so."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def _ours(args: list[str]) -> list[str]:
    """Return the arguments as foveal has them, and say so where they were another tool's."""
    ours = as_ours(args, {name: verb.module for name, verb in VERBS.items()})
    if ours != args and ours[0] in VERBS and not {"-q", "--quiet"} & set(args):
        sys.stderr.write(f"read as: foveal {shlex.join(ours)}\n")
    return ours


def build_app(args: Sequence[str]) -> typer.Typer:
    """Return the application with the verb that `args` ask for, or with all of them."""
    app = typer.Typer(
        name="foveal",
        help="Turn a folder of pictures into a model that you can ship.",
        epilog=(
            "To start: foveal train FOLDER, where FOLDER contains one folder of pictures for each "
            "class."
        ),
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    asked = next((arg for arg in args if not arg.startswith("-")), None)
    if asked in VERBS:
        _add(app, str(asked))
    else:
        for name, verb in VERBS.items():
            app.command(name, help=verb.summary, rich_help_panel=verb.panel)(_listed)
    return app


def _add(app: typer.Typer, name: str) -> None:
    entry: Any = getattr(import_module(VERBS[name].module), name)
    if isinstance(entry, typer.Typer):
        app.add_typer(entry, name=name)
    else:
        app.command(name, cls=VerbCommand)(entry)


def _listed() -> None:
    """Stand for a verb in the list of verbs; never run, since a verb that is asked for is read."""


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"foveal {__version__}\n")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Turn a folder of pictures into a model that you can ship."""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"


def _usage(error: typer.TyperException, args: Sequence[str]) -> int:
    # `format_message` exists on every parsing error; `ctx` on most, where a command was found.
    formatted = getattr(error, "format_message", None)
    message = formatted() if callable(formatted) else str(error)
    context = getattr(error, "ctx", None)
    verb = ["foveal", *(arg for arg in args[:1] if arg in VERBS)]
    path = context.command_path if context is not None else " ".join(verb)
    complain(" ".join(str(message).split()), f"{path} --help")
    return int(getattr(error, "exit_code", EXIT_USAGE))


def _interrupted() -> int:
    sys.stderr.write("\ninterrupted\n")
    return EXIT_INTERRUPTED
