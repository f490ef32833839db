"""`aliases.json`: the aliases of a name and their history."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, final

from foveal.errors import StoreError
from foveal.store.files import StoreFiles
from foveal.types import JsonObject

ALIASES_NAME = "aliases.json"
LIVE = "live"
"""The alias that a name alone stands for."""
_SCHEMA = 1
_LOOKS = 3
_TEXT = (str, type(None))
_TEST = {
    "data": str,
    "split": _TEXT,
    "label_regex": _TEXT,
    "digest": str,
    "pictures": int,
    "tolerance": (int, float),
}
_MOVE = {"alias": str, "when": str, "who": str, "forced": bool, "test": (dict, type(None))}


@final
@dataclass(frozen=True, slots=True)
class Move:
    """A change of an alias.

    Attributes:
        alias: The alias.
        before: Previous version; None if the alias is new.
        version: New version.
        action: Kind of change.
        when: UTC time, ISO 8601.
        who: Name of the user.
        forced: Whether `--force` was needed, because the version was worse or was not compared.
        test: Results of both versions on the pinned test set; None if they were not compared.
    """

    alias: str
    before: int | None
    version: int
    action: Literal["promote", "rollback"]
    when: str
    who: str
    forced: bool = False
    test: JsonObject | None = None

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return asdict(self)


@final
@dataclass(frozen=True, slots=True)
class TestSet:
    """The labelled pictures on which every version of a name is evaluated before its promotion.

    Attributes:
        data: Path or URL of the data.
        split: Part of the data, `train`, `val` or `test`; None takes all.
        label_regex: Regular expression that finds the label in a file name, or None.
        digest: SHA-256 over the pictures and their labels.
        pictures: Number of pictures.
        tolerance: Allowed decrease of the primary metric, in [0, 1].
        when: Time at which it was pinned; UTC, ISO 8601.
        who: Name of the user who pinned it.
    """

    __test__ = False  # pytest would take it for a class of tests.

    data: str
    split: str | None
    label_regex: str | None
    digest: str
    pictures: int
    tolerance: float
    when: str
    who: str

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return asdict(self)


@final
@dataclass(frozen=True, slots=True)
class Aliases:
    """The contents of `aliases.json`.

    Attributes:
        aliases: Alias → version.
        history: All changes of aliases, oldest first.
        removed: Numbers of removed versions, which are not used again.
        test: The pinned test set, if there is one.
    """

    aliases: Mapping[str, int] = field(default_factory=dict)
    history: tuple[Move, ...] = ()
    removed: tuple[int, ...] = ()
    test: TestSet | None = None

    @property
    def highest(self) -> int:
        """The highest version number known to this file; 0 for none."""
        moved = (move.version for move in self.history)
        return max((*moved, *self.removed), default=0)

    def moved(self, move: Move) -> Aliases:
        """Return the aliases after a change."""
        aliases = dict(sorted({**self.aliases, move.alias: move.version}.items()))
        return replace(self, aliases=aliases, history=(*self.history, move))

    def to_bytes(self) -> bytes:
        """Return the contents of the file."""
        values = {
            "schema_version": _SCHEMA,
            "aliases": dict(self.aliases),
            "history": [move.to_json() for move in self.history],
            "removed": list(self.removed),
            "test": None if self.test is None else self.test.to_json(),
        }
        return json.dumps(values, indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes, location: str) -> Aliases:
        """Parse the contents of the file.

        Raises:
            StoreError: If it is damaged, or was written by a later version of foveal.
        """
        try:
            values = json.loads(content)
            if values["schema_version"] > _SCHEMA:
                raise StoreError(
                    f"{location} has schema version {values['schema_version']}; this foveal reads "
                    f"up to {_SCHEMA}.",
                    code="store_too_new",
                    hint="pip install --upgrade foveal",
                )
            return cls(
                aliases={str(k): _version(v) for k, v in values["aliases"].items()},
                history=tuple(_move(move) for move in values["history"]),
                removed=tuple(_version(v) for v in values["removed"]),
                test=None
                if values["test"] is None
                else TestSet(**check_types(values["test"], _TEST)),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreError(f"{location} is damaged: {error!r}.", code="store_damaged") from error


@final
@dataclass(frozen=True, slots=True)
class NameState:
    """The state of a name at one time; two states are equal if nothing has changed.

    Attributes:
        name: The name.
        versions: The complete versions in ascending order. They are verified only when they are
            opened.
        aliases: Alias → version.
        history: All changes of aliases, oldest first.
        test: The pinned test set, if there is one.
    """

    name: str
    versions: tuple[int, ...]
    aliases: Mapping[str, int]
    history: Sequence[Move]
    test: TestSet | None

    @property
    def current(self) -> int | None:
        """The version that the name alone stands for: that of the alias `live`, or the newest."""
        return self.aliases.get(LIVE, max(self.versions, default=None))

    def aliases_of(self, version: int) -> tuple[str, ...]:
        """Return the aliases of a version."""
        return tuple(alias for alias, number in self.aliases.items() if number == version)

    def earlier(self, alias: str) -> list[int]:
        """Return the versions that an alias can be rolled back to, latest first."""
        behind: list[int] = []
        for move in self.history:
            if move.alias != alias:
                continue
            if move.action == "promote":
                behind += [] if move.before is None else [move.before]
            else:
                # What a rollback skipped is gone too.
                while behind and behind.pop() != move.version:
                    pass
        return behind[::-1]


def read_aliases(files: StoreFiles, name: str) -> Aliases:
    """Return the contents of `aliases.json` of a name; empty if there is none.

    Raises:
        StoreError: If it is damaged.
    """
    content = files.read(name, ALIASES_NAME)
    if content is None:
        return Aliases()
    return Aliases.from_bytes(content, f"{files.location}/{name}/{ALIASES_NAME}")


def look(files: StoreFiles, name: str) -> NameState:
    """Return the current state of a name.

    Raises:
        StoreError: If `aliases.json` is damaged.
    """
    for _ in range(_LOOKS):
        aliases, numbers = read_aliases(files, name), files.numbers(name)
        gone = {number for number, is_whole in numbers.items() if not is_whole}
        versions = tuple(sorted({*numbers} - gone - {*aliases.removed}))
        # Between the two looks, another process may have promoted and removed.
        if all(number in versions for number in aliases.aliases.values()):
            break
    return NameState(name, versions, aliases.aliases, aliases.history, aliases.test)


def now() -> str:
    """Return the current UTC time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def user_name() -> str:
    """Return the name of the current user, for the history."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # A container may run under a number that has no name.
        return "unknown"


def _version(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"a version must be a positive integer, received {value!r}")
    return value


def check_types(values: JsonObject, types: Mapping[str, Any]) -> JsonObject:
    """Return values read from a file after checking their types.

    Raises:
        TypeError: If a value has another type.
        KeyError: If a key is missing.
    """
    for name, expected in types.items():
        if not isinstance(values[name], expected):
            raise TypeError(f"{name} must not be {values[name]!r}")
    return values


def _move(values: JsonObject) -> Move:
    move = Move(**check_types(values, _MOVE))
    _version(move.version)
    if move.action not in ("promote", "rollback"):
        raise ValueError(f"unknown action {move.action!r}")
    return move
