"""`foveal models` keeps versions of models in a store, and lists what there is to train with."""

from __future__ import annotations

from typing import Annotated

import typer

from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import note, write, write_json
from foveal.cli.store import pin, promote, prune, push, remove, rollback
from foveal.cli.versions import diff, listed, show
from foveal.errors import MissingExtraError
from foveal.extras import install_extra
from foveal.types import JsonObject
from foveal.words import table

models = typer.Typer(help="Manage versions of models in a store; list backbones.")
models.command("push")(push)
models.command("list")(listed)
models.command("show")(show)
models.command("diff")(diff)
models.command("pin")(pin)
models.command("promote")(promote)
models.command("rollback")(rollback)
models.command("remove")(remove)
models.command("prune")(prune)


@models.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    "Manage versions of models in a store; list backbones."
    if context.invoked_subcommand is None:
        write(context.get_help())


@models.command("backbones")
def backbones(
    pattern: Annotated[
        str | None, typer.Argument(metavar="[PATTERN]", help="List only names that contain this.")
    ] = None,
    timm: Annotated[bool, typer.Option("--timm", help="Also list timm's networks.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List the backbones with input size, licence, and whether pretrained weights exist."""
    rows = _specs(pattern or "", timm=timm)
    if as_json:
        write_json({"schema_version": 1, "backbones": rows})
        return
    write(
        table(
            ("name", "size", "pretrained", "licence", "paper"),
            [
                (
                    row["name"],
                    str(row["default_size"] or ""),
                    row["pretrained"],
                    row["licence"],
                    row["paper"],
                )
                for row in rows
            ],
        )
    )
    note(
        "join several with commas: --backbone a,b; or use a name of timm's, or package.module:make",
        quiet=quiet,
    )


def _specs(pattern: str, *, timm: bool) -> list[JsonObject]:
    # Needs torch: only here, so that every other use of the command line does without.
    try:
        from foveal.models.backbones import BACKBONES
        from foveal.models.timm_backbone import timm_names
    except ImportError as error:
        raise MissingExtraError(
            "The table of backbones needs torch, which is not installed.",
            hint=install_extra("train"),
        ) from error
    rows: list[JsonObject] = [
        {
            "name": spec.name,
            "default_size": spec.default_size,
            "pretrained": "yes" if spec.pretrained else "no",
            "licence": spec.licence,
            "weights": spec.weights,
            "paper": spec.paper,
        }
        for _, spec in BACKBONES.works()
        if pattern in spec.name
    ]
    if timm:
        # Without building it, timm says no more than the name; weights need --allow-download.
        rows += [
            {
                "name": name,
                "default_size": None,
                "pretrained": "see timm",
                "licence": "see timm",
                "weights": "",
                "paper": "",
            }
            for name in sorted(timm_names())
            if pattern in name
        ]
    return rows
