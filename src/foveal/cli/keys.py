"""`foveal keys` says who may use a server."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from foveal.access import KeyFile, Rate, append_audit, audit_path, check_audit, default_keys_file
from foveal.access.key import Key, parse_duration, shown_time
from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import note, write, write_json
from foveal.words import table

keys = typer.Typer(help="Create, list and revoke the API keys of a server.")

_File = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        help="File of the keys; default: FOVEAL_KEYS, or foveal/keys.json in your configuration.",
    ),
]


@keys.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    """Create, list and revoke the API keys of a server."""
    if context.invoked_subcommand is None:
        write(context.get_help())


@keys.command("create")
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Who will use the key; this name appears in logs.")
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="predict (default), feedback, admin or metrics; repeatable."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(metavar="N/UNIT", help="Limit on requests, such as 5/s, 100/min, 1000/h."),
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option(metavar="N", help="Limit on requests at the same time.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Lifetime, such as 12h, 90d, 2w or 1y; default: no expiry."
        ),
    ] = None,
    keys_file: _File = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Create a key and print it, once: only its hash is kept.

    A running server accepts it within a second.
    """
    file = KeyFile(keys_file or default_keys_file())
    check_audit(audit_path(file.path))
    text, key = file.create(
        name,
        scopes=tuple(scope or ("predict",)),
        rate=None if rate is None else Rate.parse(rate),
        concurrent=concurrent,
        expires_in=None if expires is None else parse_duration(expires),
    )
    _write_down(file, "keys.create", key)
    if as_json:
        write_json({"schema_version": 1, "key": text, **_described(key), "file": str(file.path)})
        return
    write(text)
    note(
        f"{key.id} of {key.name}: {_allowed(key)}, expires {_expiry(key)}; kept in "
        f"{file.path}\nthe key is not shown again; send it as `Authorization: Bearer KEY`",
        quiet=quiet,
    )


@keys.command("list")
def list_keys(
    keys_file: _File = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List the keys with their users, scopes and status."""
    file = KeyFile(keys_file or default_keys_file())
    known = file.read().values()
    if as_json:
        described = [_described(key) for key in known]
        write_json({"schema_version": 1, "file": str(file.path), "keys": described})
        return
    if known:
        now = datetime.now(UTC)
        rows = [(k.id, k.name, k.state(now), _allowed(k), _expiry(k)) for k in known]
        write(table(("id", "name", "state", "may", "expires"), rows))
    else:
        note(f"no keys in {file.path}; create one: foveal keys create NAME", quiet=quiet)


@keys.command("revoke")
def revoke(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Id or name of the key, or the key itself.")
    ],
    keys_file: _File = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Revoke a key. A running server refuses it within a second."""
    file = KeyFile(keys_file or default_keys_file())
    check_audit(audit_path(file.path))
    revoked = file.revoke(key)
    _write_down(file, "keys.revoke", revoked)
    if as_json:
        write_json({"schema_version": 1, **_described(revoked)})
    else:
        note(f"revoked {revoked.id} of {revoked.name}", quiet=quiet)


def _write_down(file: KeyFile, act: str, key: Key) -> None:
    append_audit(
        audit_path(file.path),
        act,
        {
            "by": {"user": _user()},
            "from": "command line",
            "key": key.id,
            "name": key.name,
            "scopes": list(key.scopes),
            "outcome": "done",
        },
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container's user may have a number and no name.
        return str(os.getuid())


def _described(key: Key) -> dict[str, object]:
    """Return a key for programs, without its hash."""
    entry = key.to_json()
    del entry["sha256"]
    return {**entry, "state": key.state(datetime.now(UTC))}


def _allowed(key: Key) -> str:
    parts = ["+".join(key.scopes)]
    if key.rate is not None:
        parts.append(str(key.rate))
    if key.concurrent is not None:
        parts.append(f"{key.concurrent} at once")
    return ", ".join(parts)


def _expiry(key: Key) -> str:
    return "never" if key.expires is None else shown_time(key.expires)[:10]
