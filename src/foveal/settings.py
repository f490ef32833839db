"""Metadata of settings: type, bounds, help text, and whether it is a command-line option.

Settings are the fields of frozen dataclasses: the recipe's sections and the options of a task.
Checks, error messages, options of the command line, keyword arguments and documentation are made
from them.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import (
    Any,
    Literal,
    NamedTuple,
    SupportsIndex,
    TypeVar,
    Union,
    cast,
    final,
    get_args,
    get_origin,
)
from typing import get_type_hints as hints_of

from foveal.errors import RecipeError, nearest

SectionT = TypeVar("SectionT")

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict[str, Any]: "a mapping",
    dict[str, str]: "a mapping",
    tuple[int, int, int]: "three whole numbers",
    tuple[str, ...]: "a list of texts",
}
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@final
class About(NamedTuple):
    """Metadata of an annotated field.

    Attributes:
        help: Help text, one line.
        ge: Smallest allowed number.
        gt: Exclusive lower bound.
        le: Largest allowed number.
        lt: Exclusive upper bound.
        none: Meaning of the default None.
    """

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    none: str = "chosen"


@final
class Knob(NamedTuple):
    """Marks a field that is both a command-line option and a Python argument.

    Attributes:
        flags: Names of the option; empty takes the name of the field.
        metavar: Placeholder of the value in the help; None takes that of the type.
        least: Smallest value of the option, where the command line checks it.
        most: Largest value of the option.
        unit: Factor from the option to the setting, such as 1024 * 1024 for an option in MiB.
    """

    flags: tuple[str, ...] = ()
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    unit: int = 1


@final
class Setting(NamedTuple):
    """A key of the recipe, or of a task's options.

    Attributes:
        key: Dotted key, such as `train.lr`.
        kind: Type, without None.
        default: Default value; None or `auto` is chosen from the data.
        about: Bounds and help.
        knob: Present if the setting is an everyday one.
    """

    key: str
    kind: Any
    default: Any
    about: About
    knob: Knob | None = None

    @property
    def name(self) -> str:
        """Return the name of the argument of `foveal.train`: the last part of the key."""
        return self.key.rpartition(".")[2]

    @property
    def help(self) -> str:
        """Return the help text, one line."""
        return self.about.help

    @property
    def flags(self) -> tuple[str, ...]:
        """Return the command-line options; empty if the setting is not an everyday one."""
        if self.knob is None:
            return ()
        return self.knob.flags or ("--" + self.name.replace("_", "-"),)

    @property
    def where(self) -> str:
        """Return the key with its option for error messages: `'train.lr' (--lr)`."""
        return f"'{self.key}'" + (f" ({self.flags[0]})" if self.flags else "")

    @property
    def expected(self) -> str:
        """Return a description of valid values, such as `a number > 0`."""
        if get_origin(self.kind) is Literal:
            return "one of " + ", ".join(str(value) for value in get_args(self.kind))
        limits = [
            f"{sign} {getattr(self.about, name):,}"
            for name, sign in _SIGNS.items()
            if getattr(self.about, name) is not None
        ]
        return f"{_WORDS[self.kind]} {' and '.join(limits)}".strip()

    def read(self, value: Any) -> Any:
        """Convert a plain value, as read from YAML or JSON, to the type of the setting.

        A number may be text (`1e-3` is text in YAML) and a tuple a list.

        Raises:
            RecipeError: If the value has the wrong type or is out of bounds.
        """
        try:
            found = _as_kind(self.kind, value)
        except (TypeError, ValueError):
            raise self._invalid(value) from None
        limits = {name: getattr(self.about, name) for name in _SIGNS}
        # Compared this way round, what is not a number is within no bound.
        if all(
            limit is None or getattr(operator, name)(found, limit) for name, limit in limits.items()
        ):
            return found
        raise self._invalid(value)

    def _invalid(self, value: Any) -> RecipeError:
        choices = get_args(self.kind) if get_origin(self.kind) is Literal else ()
        near = nearest(str(value), map(str, choices))
        guess = f" Did you mean {near!r}?" if near else ""
        hint = f"{self.key}: {self.help}"
        if self.kind is str:
            hint = f"plain text is quoted: --set \"{self.key}='{value}'\""
        return RecipeError(
            f"Invalid value for recipe key {self.where}. Expected {self.expected}. "
            f"Received: {value!r}.{guess}",
            hint=hint,
        )


def parse_section(section: type[SectionT], data: Mapping[str, Any], prefix: str = "") -> SectionT:
    """Validate a mapping and return it as a section.

    Args:
        section: A frozen dataclass whose fields are sections or annotated with `About`.
        data: Plain values, as read from YAML; subsections are mappings too.
        prefix: Prefix of the keys in error messages, such as `task_options.`.

    Raises:
        RecipeError: If a key is unknown (the message suggests the closest), or a value has the
            wrong type or is out of bounds.
    """
    known = _fields(cast(Hashable, section), prefix)
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            raise _unknown_key(prefix, str(name), known)
        field = known[name]
        if isinstance(field, Setting):
            is_open = value is None and field.default is None
            values[name] = None if is_open else field.read(value)
        elif isinstance(value, Mapping):
            values[name] = parse_section(field, value, f"{prefix}{name}.")
        else:
            raise RecipeError(
                f"Invalid value for recipe key '{prefix}{name}'. Expected a mapping. "
                f"Received: {value!r}."
            )
    return section(**values)


def settings_of(section: type[Any], prefix: str = "") -> dict[str, Setting]:
    """Return dotted key → setting for every field of a section and its subsections."""
    settings: dict[str, Setting] = {}
    for name, field in _fields(cast(Hashable, section), prefix).items():
        if isinstance(field, Setting):
            settings[field.key] = field
        else:
            settings |= settings_of(field, f"{prefix}{name}.")
    return settings


@cache
def _fields(section: Any, prefix: str) -> Mapping[str, Setting | type[Any]]:
    hints = hints_of(section, include_extras=True)
    return {f.name: _field(f, hints[f.name], prefix) for f in fields(section) if f.init}


def _field(field: Field[Any], hint: Any, prefix: str) -> Setting | type[Any]:
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    kind, *marks = get_args(hint)
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return Setting(
        prefix + field.name,
        kind,
        None if field.default is MISSING else field.default,
        next(mark for mark in marks if isinstance(mark, About)),
        next((mark for mark in marks if isinstance(mark, Knob)), None),
    )


def _as_kind(kind: Any, value: Any) -> Any:
    """Convert a value to a type.

    Raises:
        TypeError: If the value has another type.
        ValueError: If the value is text that is not a number.
    """
    plain = get_origin(kind) or kind
    if plain is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in get_args(kind)):
            raise TypeError
        return value
    if plain in (int, float) and not isinstance(value, bool):
        number = float(value) if isinstance(value, str) else value
        if plain is float and isinstance(number, (int, float)):
            return float(number)
        if isinstance(number, float) and number.is_integer():
            return int(number)
        if isinstance(number, SupportsIndex):
            return operator.index(number)
    elif plain is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        kinds = get_args(kind)
        if kinds[-1] is not ... and len(value) != len(kinds):
            raise TypeError
        return tuple(_as_kind(kinds[0], item) for item in value)
    elif isinstance(value, plain) and isinstance(value, bool) == (plain is bool):
        return value
    raise TypeError


def _unknown_key(prefix: str, name: str, known: Iterable[str]) -> RecipeError:
    near = nearest(name, known)
    guess = f" Did you mean '{prefix}{near}'?" if near else ""
    return RecipeError(
        f"Unknown recipe key '{prefix}{name}'.{guess}",
        hint=f"known keys: {', '.join(sorted(known))}",
    )
