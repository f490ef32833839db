"""`foveal models push`, `pin`, `promote`, `rollback`, `remove`, `prune`: what changes a store."""

from __future__ import annotations

import os
import shlex
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, ModelName, Quiet, StorePath
from foveal.cli.output import note, wrapped, write, write_json
from foveal.errors import UsageError
from foveal.progress import command_progress
from foveal.store.difference import Difference
from foveal.store.state import LIVE, Move
from foveal.workflow.versions import pin_test_set

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name in the store.")]
Version = Annotated[
    str, typer.Argument(metavar="NAME:VERSION", help="Version in the store, or NAME@ALIAS.")
]
Alias = Annotated[str, typer.Option("--alias", metavar="ALIAS", help="The alias.")]


def push(
    model: ModelName,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Name in the store; default: the model's own name."),
    ] = None,
    store: StorePath = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="mlflow:URI", help="Publish in an MLflow registry instead."),
    ] = None,
    parent: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="VERSION", help="Compare with this version; default: the live one."
        ),
    ] = None,
    remark: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="Note to keep with the version.")
    ] = "",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Publish a model as the next version of a name.

    It is published whole or not at all, and compared with the current version
    on the validation pictures that both answered.
    """
    if to is not None and (store is not None or not to.startswith("mlflow:")):
        raise UsageError(
            "--to expects mlflow:URI and cannot be combined with --store.",
            hint="foveal models push RUN NAME --to mlflow:http://localhost:5000",
        )
    with command_progress(quiet=quiet) as progress:
        pushed = foveal.load(model).push(
            name, store=to or store, parent=parent, note=remark, progress=progress
        )
    if as_json:
        record = None if pushed.record is None else pushed.record.to_json()
        about = {"name": pushed.name, "version": pushed.version, "record": record}
        write_json({"schema_version": 1, **about})
        return
    write(f"{pushed}")
    if pushed.record is not None and pushed.record.difference is not None:
        difference = Difference.from_json(pushed.record.difference)
        note(
            wrapped(f"to {pushed.name}:{pushed.record.parent}: {difference.sentence}"), quiet=quiet
        )
    use = f"{pushed}" if store is None else f"{store.rstrip('/')}/{pushed}"
    if to is not None:
        use = shlex.quote(f"mlflow:{pushed.name}/{pushed.version}")
        uri = to.removeprefix("mlflow:")
        if uri and uri != os.environ.get("MLFLOW_TRACKING_URI"):
            note(f"first: export MLFLOW_TRACKING_URI={shlex.quote(uri)}", quiet=quiet)
    note(f"use it: foveal predict {use} PICTURES", quiet=quiet)


def pin(
    name: Name,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="Labelled pictures that no version was trained on."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Use only this part of the data: train, val or test.")
    ] = None,
    label_regex: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Regular expression that finds the label in a file name."
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0,
            max=99,
            metavar="POINTS",
            help="Accept versions that are worse by at most this much.",
        ),
    ] = 0.0,
    none: Annotated[bool, typer.Option("--none", help="Remove the pinned test set.")] = False,
    store: StorePath = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Pin a test set: versions that are worse on it are not promoted."""
    if (data is None) is not none:
        raise UsageError(
            "Expected either a test set or --none.", hint=f"foveal models pin {name} DATA"
        )
    test = None
    with command_progress(quiet=quiet) as progress:
        opened = foveal.open_store(store, progress=progress)
        if data is None:
            opened.pin(name, None)
        else:
            test = pin_test_set(
                opened,
                name,
                data,
                split=split,
                label_regex=label_regex,
                tolerance=tolerance / 100,
                progress=progress,
            )
    if as_json:
        values = None if test is None else test.to_json()
        write_json({"schema_version": 1, "name": name, "test": values})
    elif test is None:
        write(f"{name} has no pinned test set")
    else:
        write(f"{name} is tested on {test.pictures} pictures of {test.data}")


def promote(
    version: Version,
    alias: Alias = LIVE,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Promote even if the version is worse on the pinned test set."
        ),
    ] = False,
    store: StorePath = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Point an alias at a version.

    If a test set is pinned, the version is first compared on it with the one
    that the alias points at now; a worse one is refused.
    """
    with command_progress(quiet=quiet) as progress:
        opened = foveal.open_store(store, progress=progress)
        stored = opened.resolve(version)
        move = opened.promote(version, alias, force=force)
    _tell(stored.name, move, as_json=as_json, quiet=quiet)
    if not as_json and move.test is None and not move.forced:
        note(f"not compared: pin a test set with foveal models pin {stored.name} DATA", quiet=quiet)


def rollback(
    name: Name,
    alias: Alias = LIVE,
    store: StorePath = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Point an alias back at its previous version."""
    move = foveal.open_store(store).rollback(name, alias)
    _tell(name, move, as_json=as_json, quiet=quiet)


def remove(
    version: Version,
    store: StorePath = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Remove a version that has no alias."""
    removed = foveal.open_store(store).remove(version)
    if as_json:
        write_json({"schema_version": 1, "name": removed.name, "removed": [removed.version]})
    else:
        write(f"removed {removed}")


def prune(
    name: Name,
    keep: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of newest versions to keep.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")
    ] = False,
    store: StorePath = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Remove old versions.

    Versions that have an alias stay, and so do those that a rollback goes to.
    """
    gone = foveal.open_store(store).prune(name, keep, dry_run=dry_run)
    if as_json:
        write_json({"schema_version": 1, "name": name, "removed": list(gone), "dry_run": dry_run})
        return
    done = "would remove" if dry_run else "removed"
    for version in gone:
        write(f"{done} {name}:{version}")
    if not gone:
        note("nothing to remove", quiet=quiet)


def _tell(name: str, move: Move, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        write_json({"schema_version": 1, "name": name, **move.to_json()})
        return
    if move.before == move.version:
        write(f"{name}@{move.alias} is {name}:{move.version} already")
        return
    before = "" if move.before is None else f" (was {name}:{move.before})"
    write(f"{name}@{move.alias} is now {name}:{move.version}{before}")
    if move.test is not None and move.test["difference"] is not None:
        difference = Difference.from_json(move.test["difference"])
        note(wrapped(f"on the pinned test set: {difference.sentence}"), quiet=quiet)
