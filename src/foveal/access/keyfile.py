"""The file that keeps API keys: read by servers, changed by `foveal keys`."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import final

from foveal.access.key import PREFIX, Key, Rate, digest, id_of, new_key
from foveal.atomic import locked, write_atomic
from foveal.errors import UsageError, unknown_name

_VARIABLE = "FOVEAL_KEYS"
_SCHEMA_VERSION = 1
# A kilobyte for each of 10,000 keys; a server reads the file again at each change.
_MOST_BYTES, _MOST_KEYS = 16 * 1024 * 1024, 10_000
_PRIVATE = 0o600


def default_keys_file() -> Path:
    """Return `FOVEAL_KEYS`, or `foveal/keys.json` in the user's configuration folder."""
    named = os.environ.get(_VARIABLE)
    if named:
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "foveal" / "keys.json"


def existing_keys_file(given: Path | None) -> Path | None:
    """Return the file that a server takes its keys from; None when there is none.

    Args:
        given: The file that was asked for; None takes the default one, if it is there.

    Raises:
        UsageError: If a file was asked for, by name or by `FOVEAL_KEYS`, that is not there.
    """
    path = given or default_keys_file()
    if path.is_file():
        return path
    if given is None and not os.environ.get(_VARIABLE):
        return None
    raise UsageError(
        f"There is no key file at {path}.", hint=f"foveal keys create NAME --keys {path}"
    )


@final
@dataclass(frozen=True, slots=True)
class KeyFile:
    """Keys on disk, written whole or not at all, readable by their owner only.

    Attributes:
        path: The file; it need not be there yet.
    """

    path: Path

    def read(self) -> Mapping[str, Key]:
        """Return id → key, in the order of their creation; empty when there is no file.

        Raises:
            UsageError: If the file cannot be understood, or anyone may write to it.
        """
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & stat.S_IWOTH:
                    raise UsageError(
                        f"Every user of this machine can write to the key file {self.path}.",
                        hint=f"chmod 600 {self.path}",
                    )
                content = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError(f"Cannot read the key file {self.path}: {error.strerror}.") from error
        try:
            return _parsed(content)
        except UsageError as error:
            raise UsageError(f"Invalid keys in {self.path}. {error.message}") from error

    def create(
        self,
        name: str,
        *,
        scopes: tuple[str, ...] = ("predict",),
        rate: Rate | None = None,
        concurrent: int | None = None,
        expires_in: timedelta | None = None,
    ) -> tuple[str, Key]:
        """Add a key.

        Returns:
            The key itself, which is kept nowhere, and what is kept of it.

        Raises:
            UsageError: For invalid values, or a name that an active key has already.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        with self._changing() as keys:
            for other in keys.values():
                if other.name == name and other.state(now) == "active":
                    raise UsageError(
                        f"There is already an active key named {name!r}: {other.id}.",
                        hint=f"foveal keys revoke {other.id} --keys {self.path}, or another name",
                    )
            text, key_id = new_key()
            while key_id in keys:
                text, key_id = new_key()
            expires = None if expires_in is None else now + expires_in
            ordered = tuple(dict.fromkeys(scopes))
            key = Key(key_id, name, digest(text), ordered, rate, concurrent, now, expires)
            keys[key_id] = key
        return text, key

    def revoke(self, wanted: str) -> Key:
        """Refuse a key from now on; its entry stays, so that logs can still be understood.

        Args:
            wanted: Id of a key, the name of an active one, or the key itself, as it was found
                where it should not be.

        Raises:
            UsageError: If there is no such key.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        with self._changing() as keys:
            key = keys.get(id_of(wanted) or wanted) or next(
                (k for k in keys.values() if k.name == wanted and k.state(now) == "active"), None
            )
            if key is None:
                known = [*keys, *(k.name for k in keys.values())]
                if not known:
                    raise UsageError(f"There are no keys in {self.path}.")
                shown = "fvl_…" if wanted.startswith(PREFIX) else wanted
                hint = f"foveal keys list --keys {self.path}"
                raise UsageError(unknown_name("key", shown, known), hint=hint)
            if key.revoked is None:
                keys[key.id] = key = replace(key, revoked=now)
        return key

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """Give the keys to change; two processes that do so at once wait for each other."""
        # What a link leads to is changed, not the link.
        path = self.path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A lock of its own: the file itself is replaced, and a lock on it with it.
        with locked(path.with_name(f".{path.name}.lock")):
            keys = dict(self.read())
            yield keys
            if len(keys) > _MOST_KEYS:
                raise UsageError(
                    f"The key file {self.path} cannot hold more than {_MOST_KEYS} keys."
                )
            entries = [key.to_json() for key in keys.values()]
            document = {"schema_version": _SCHEMA_VERSION, "keys": entries}
            text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
            before = path.stat() if path.exists() else None
            mode = _PRIVATE if before is None else stat.S_IMODE(before.st_mode)
            write_atomic(path, text, durable=True, mode=mode)
            _keep_owner(path, before)


def _keep_owner(path: Path, before: os.stat_result | None) -> None:
    """Give a file that root replaced back: the server that reads it runs as who owned it."""
    if sys.platform != "win32" and before is not None and before.st_uid != os.geteuid():
        with suppress(PermissionError):
            os.chown(path, before.st_uid, before.st_gid)


def _parsed(content: bytes) -> dict[str, Key]:
    if len(content) > _MOST_BYTES:
        raise UsageError(f"The file is larger than {_MOST_BYTES} bytes.")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError("Expected JSON.") from error
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise UsageError('Expected {"schema_version": 1, "keys": [...]}.')
    version = document.get("schema_version")
    if version != _SCHEMA_VERSION:
        raise UsageError(f"Expected schema_version {_SCHEMA_VERSION}. Received: {version!r:.40}.")
    keys: dict[str, Key] = {}
    for number, entry in enumerate(document["keys"], 1):
        try:
            key = Key.from_json(entry)
        except UsageError as error:
            raise UsageError(f"Key {number}: {error.message}") from error
        if key.id in keys:
            raise UsageError(f"Key {number}: the id {key.id} occurs twice.")
        keys[key.id] = key
    return keys
