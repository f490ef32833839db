"""What a setting says about itself: its type, bounds, one line of help, whether it is everyday.

Settings are the fields of frozen dataclasses: the recipe's sections and the options of a task.
Options of the command line, keyword arguments, error messages and documentation are made from them.
Nothing here imports pydantic: neither `foveal train --help` nor a prediction may pay for it.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, ClassVar, Literal, Union, final, get_args, get_origin
from typing import get_type_hints as hints_of

from annotated_types import Interval

from foveal.errors import RecipeError, nearest


@final
@dataclass(frozen=True, slots=True)
class Help:
    """One line about a field.

    Attributes:
        text: A sentence or two.
    """

    text: str


@final
@dataclass(frozen=True, slots=True)
class Knob:
    """Marks an everyday field: an option of `foveal train` and an argument of `foveal.train`.

    Attributes:
        flags: Names of the option; none takes the field's.
        metavar: What stands for the value in the help; None takes the type's.
    """

    flags: tuple[str, ...] = ()
    metavar: str | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """Base of the recipe's sections: frozen values, checked when a mapping is parsed."""

    # Unknown keys are errors. Read by pydantic, which is only imported when a mapping is parsed.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


@final
@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the recipe, or of a task's options.

    Attributes:
        key: Dotted, such as `train.lr`.
        kind: Its type, without None.
        default: The value where none is given; None or `auto` is chosen from the data.
        bounds: Limits of a number.
        help: One line.
        knob: Present for everyday settings.
    """

    key: str
    kind: Any
    default: Any
    bounds: Interval = field(default_factory=Interval)
    help: str = ""
    knob: Knob | None = None

    @property
    def name(self) -> str:
        """Return the name of the argument of `foveal.train`: the last part of the key."""
        return self.key.rpartition(".")[2]

    @property
    def flags(self) -> tuple[str, ...]:
        """Return the options of the command line; none where it is no knob."""
        if self.knob is None:
            return ()
        return self.knob.flags or ("--" + self.name.replace("_", "-"),)

    @property
    def where(self) -> str:
        """Return the key as errors name it, with its option: `'train.lr' (--lr)`."""
        return f"'{self.key}'" + (f" ({self.flags[0]})" if self.flags else "")

    def accepts(self, value: Any) -> bool:
        """Tell whether a plain value, as read from JSON, has the type and is within the bounds."""
        kind = get_origin(self.kind) or self.kind
        if value is None or kind is Literal:
            return value is self.default or value in get_args(self.kind)
        if kind in (int, float):
            allowed = (int, float) if kind is float else int
            if isinstance(value, bool) or not isinstance(value, allowed):
                return False
            return all(
                limit is None or is_within(value, limit)
                for limit, is_within in (
                    (self.bounds.ge, operator.ge),
                    (self.bounds.gt, operator.gt),
                    (self.bounds.le, operator.le),
                    (self.bounds.lt, operator.lt),
                )
            )
        if kind is tuple:
            return isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
        return isinstance(value, kind)

    def invalid(self, value: Any) -> RecipeError:
        """Return the error for a value that is not accepted."""
        hint = f"{self.key}: {self.help}" if self.help else None
        if self.kind is str:
            hint = f"plain text is quoted: --set \"{self.key}='{value}'\""
        choices = get_args(self.kind) if get_origin(self.kind) is Literal else ()
        near = nearest(str(value), map(str, choices))
        guess = f" Did you mean {near!r}?" if near else ""
        return RecipeError(
            f"Invalid value for recipe key {self.where}. Expected {self.expected}. "
            f"Received: {value!r}.{guess}",
            hint=hint,
        )

    @property
    def expected(self) -> str:
        """Return what a value must be: `a number > 0`."""
        if get_origin(self.kind) is Literal:
            return "one of " + ", ".join(str(value) for value in get_args(self.kind))
        signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
        limits = [
            f"{sign} {getattr(self.bounds, name):,}"
            for name, sign in signs.items()
            if getattr(self.bounds, name) is not None
        ]
        return " ".join((_WORDS.get(self.kind, "a list"), " and ".join(limits))).strip()


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


def unknown_key(prefix: str, name: str, known: Iterable[str]) -> RecipeError:
    """Return the error for a key that does not exist, with the nearest that does."""
    near = nearest(name, known)
    guess = f" Did you mean '{prefix}{near}'?" if near else ""
    return RecipeError(
        f"Unknown recipe key '{prefix}{name}'.{guess}",
        hint=f"the keys there are: {', '.join(sorted(known))}",
    )


def settings_of(section: type[Any], prefix: str = "") -> dict[str, Setting]:
    """Return dotted key → setting for every field of a section, those of its sections included."""
    return {setting.key: setting for setting in _walk(section, prefix)}


def _walk(section: type[Any], prefix: str) -> Iterator[Setting]:
    hints = hints_of(section, include_extras=True)
    for each in (each for each in fields(section) if each.init):
        kind, *marks = get_args(hints[each.name]) if _is_marked(hints[each.name]) else [None]
        kind = _plain(hints[each.name] if kind is None else kind)
        if is_dataclass(kind):
            yield from _walk(_as_type(kind), f"{prefix}{each.name}.")
            continue
        yield Setting(
            prefix + each.name,
            kind,
            None if each.default is MISSING else each.default,
            next((mark for mark in marks if isinstance(mark, Interval)), Interval()),
            next((mark.text for mark in marks if isinstance(mark, Help)), ""),
            next((mark for mark in marks if isinstance(mark, Knob)), None),
        )


def _is_marked(hint: Any) -> bool:
    return get_origin(hint) is Annotated


def _as_type(kind: Any) -> type[Any]:
    return kind  # type: ignore[no-any-return]  # a dataclass, as was just seen


def _plain(kind: Any) -> Any:
    """Return a type without `| None`."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    return next(part for part in get_args(kind) if part is not type(None))
