"""`aliases.json`: which version each alias of a name is, and how it came to that."""

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
    """One change of an alias.

    Attributes:
        alias: The alias.
        before: The version that it was; None if it is new.
        version: The version that it is now.
        action: How it was changed.
        when: UTC time, ISO 8601.
        who: Who did it.
        forced: Whether the version was worse, or was not compared, and `--force` was given.
        test: How the two did on the pinned test set; None where they were not compared.
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
        """Return JSON values."""
        return asdict(self)


@final
@dataclass(frozen=True, slots=True)
class TestSet:
    """Labelled pictures that every version of a name is measured on before it is promoted.

    Attributes:
        data: Path or URL of the data.
        split: Which part of it, `train`, `val` or `test`; None takes all.
        label_regex: Finds the label in a file name; None where it is not there.
        digest: sha256 over the pictures and their labels.
        pictures: How many there are.
        tolerance: How much worse the primary metric may be, in [0, 1].
        when: UTC time at which it was pinned, ISO 8601.
        who: Who pinned it.
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
        """Return JSON values."""
        return asdict(self)


@final
@dataclass(frozen=True, slots=True)
class Aliases:
    """What `aliases.json` holds.

    Attributes:
        aliases: Alias → version.
        history: Every change of an alias, the oldest first.
        removed: Versions that are no more; their numbers are not given again.
        test: The pinned test set, if there is one.
    """

    aliases: Mapping[str, int] = field(default_factory=dict)
    history: tuple[Move, ...] = ()
    removed: tuple[int, ...] = ()
    test: TestSet | None = None

    @property
    def highest(self) -> int:
        """The highest version that is known from here to have been given; 0 for none."""
        moved = (move.version for move in self.history)
        return max((*moved, *self.removed), default=0)

    def moved(self, move: Move) -> Aliases:
        """Return the aliases after a change."""
        aliases = dict(sorted({**self.aliases, move.alias: move.version}.items()))
        return replace(self, aliases=aliases, history=(*self.history, move))

    def earlier(self, alias: str) -> list[int]:
        """Return the versions that an alias can be rolled back to, the latest first."""
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

    def to_bytes(self) -> bytes:
        """Return the file."""
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
        """Read the file.

        Raises:
            StoreError: When it is damaged, or a later foveal wrote it.
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
    """What a store has under a name at one moment; two are equal when nothing has changed.

    Attributes:
        name: The name.
        versions: The versions that are whole, ascending. Whether their content is undamaged is
            found when they are opened.
        aliases: Alias → version.
        history: Every change of an alias, the oldest first.
        test: The pinned test set, if there is one.
    """

    name: str
    versions: tuple[int, ...]
    aliases: Mapping[str, int]
    history: Sequence[Move]
    test: TestSet | None

    @property
    def current(self) -> int | None:
        """The version that the name alone stands for: alias `live`, else the newest."""
        return self.aliases.get(LIVE, max(self.versions, default=None))

    def aliases_of(self, version: int) -> tuple[str, ...]:
        """Return the aliases of a version."""
        return tuple(alias for alias, number in self.aliases.items() if number == version)


def read_aliases(files: StoreFiles, name: str) -> Aliases:
    """Return what `aliases.json` of a name says; empty where there is none.

    Raises:
        StoreError: When it is damaged.
    """
    content = files.read(name, ALIASES_NAME)
    if content is None:
        return Aliases()
    return Aliases.from_bytes(content, f"{files.location}/{name}/{ALIASES_NAME}")


def look(files: StoreFiles, name: str) -> NameState:
    """Return what there is under a name now.

    Raises:
        StoreError: When `aliases.json` is damaged.
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
    """Return the UTC time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def user_name() -> str:
    """Return who is at work here, for the history."""
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
    """Return what was read from a file, if each value is of the type that is expected of it.

    Raises:
        TypeError: When one is not.
        KeyError: When one is missing.
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
