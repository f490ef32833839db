"""The search space: settings, their values, and their conditions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, final

from foveal.errors import RecipeError, unknown_name
from foveal.types import JsonObject

Value: TypeAlias = float | int | str
"""A value of one setting."""

When: TypeAlias = tuple[str, tuple[Value, ...]]
"""Another setting, and those of its values with which this one counts."""


@dataclass(frozen=True)
class Dimension(ABC):
    """A setting that is searched.

    Attributes:
        key: Its key in the recipe, or `augmentation`.
        help: One line about it.
        default: Its value in the default recipe, or what it begins with where it does not count
            there.
        when: When it counts; None always.
    """

    key: str
    help: str
    default: Value
    when: When | None = None

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Return whether a value lies in it."""

    @abstractmethod
    def ask(self, trial: Any) -> Value:
        """Return the value that a trial of Optuna suggests."""

    @abstractmethod
    def narrowed(self, asked: Any) -> Dimension:
        """Return it with fewer values.

        Args:
            asked: What a file says: a value, a list of values, or `low` and `high`.

        Raises:
            RecipeError: If it is none of these, or holds what this one does not.
        """

    @abstractmethod
    def to_json(self) -> JsonObject:
        """Return what a file that narrows the space may say of it."""

    @property
    @abstractmethod
    def words(self) -> str:
        """Return its values, for people."""

    def _refused(self, asked: Any) -> RecipeError:
        return RecipeError(
            f"Invalid space for {self.key!r}. Expected within {self.words}. Received: {asked!r}.",
            hint="to see the space that a file can narrow: foveal tune DATA --show-space",
            code="space_invalid",
        )


@final
@dataclass(frozen=True)
class Range(Dimension):
    """All numbers from `low` to `high`.

    Attributes:
        low: The least.
        high: The largest.
        log: Tried evenly by their logarithms.
    """

    low: float = 0.0
    high: float = 1.0
    log: bool = False

    def holds(self, value: Any) -> bool:
        """Return whether a number lies between both ends."""
        return _is_number(value) and self.low <= value <= self.high

    def ask(self, trial: Any) -> float:
        """Return the number that a trial suggests."""
        return float(trial.suggest_float(self.key, self.low, self.high, log=self.log))

    def narrowed(self, asked: Any) -> Dimension:
        """Return fewer numbers: `{low: 0.001, high: 0.01}`, a list of some, or a single one."""
        if isinstance(asked, Mapping):
            _check_keys(self.key, asked, ("low", "high"))
            low, high = (_number(asked.get(name, getattr(self, name))) for name in ("low", "high"))
            ends = {k: v for k, v in asked.items() if k in ("low", "high")}
            if low is None or high is None or not (self.holds(low) and self.holds(high)):
                raise self._refused(ends)
            if low > high:
                raise RecipeError(
                    f"Invalid space for {self.key!r}. Expected low to be at most high. "
                    f"Received: {ends!r}.",
                    hint="exchange low and high",
                    code="space_invalid",
                )
            return replace(self, low=low, high=high)
        listed = asked if _is_list(asked) else [asked]
        numbers = [_number(value) for value in listed]
        if not numbers or not all(self.holds(number) for number in numbers):
            raise self._refused(asked)
        options = tuple(number for number in numbers if number is not None)
        return Choice(self.key, self.help, self.default, self.when, options)

    def to_json(self) -> JsonObject:
        """Return both ends, and how they are tried."""
        return {"low": self.low, "high": self.high, **({"log": True} if self.log else {})}

    @property
    def words(self) -> str:
        """Return both ends."""
        return f"{self.low:g} to {self.high:g}"


@final
@dataclass(frozen=True)
class Choice(Dimension):
    """Some values.

    Attributes:
        options: The values, in the order in which they are shown.
    """

    options: tuple[Value, ...] = ()

    def holds(self, value: Any) -> bool:
        """Return whether it is one of the values."""
        return not isinstance(value, bool) and value in self.options

    def ask(self, trial: Any) -> Value:
        """Return the value that a trial suggests."""
        value: Value = trial.suggest_categorical(self.key, list(self.options))
        return value

    def narrowed(self, asked: Any) -> Choice:
        """Return some of the values: a list of them, or a single one."""
        if isinstance(asked, Mapping):
            _check_keys(self.key, asked, ("options",))
            asked = asked.get("options", list(self.options))
        listed = asked if _is_list(asked) else [asked]
        if not listed or not all(self.holds(value) for value in listed):
            raise self._refused(asked)
        return replace(self, options=tuple(dict.fromkeys(listed)))

    def to_json(self) -> JsonObject:
        """Return the values."""
        return {"options": list(self.options)}

    @property
    def words(self) -> str:
        """Return the values."""
        return ", ".join(
            f"{value:g}" if _is_number(value) else str(value) for value in self.options
        )


@final
@dataclass(frozen=True)
class Space:
    """The search space.

    A dimension comes after the one that its `when` names.

    Attributes:
        dimensions: In the order in which they are asked for.
        plain: Key → value in the default recipe of what a `when` may name and is not searched.
        implied: A setting with a value → what follows from it for settings that do not count then.
    """

    dimensions: tuple[Dimension, ...]
    plain: Mapping[str, Value]
    implied: Mapping[tuple[str, Value], Mapping[str, Value]] = field(default_factory=dict)

    def ask(self, trial: Any) -> dict[str, Value]:
        """Return key → value of all settings that count, as a trial of Optuna suggests them."""
        values: dict[str, Value] = {}
        for dimension in self.dimensions:
            if self._counts(dimension, values):
                values[dimension.key] = dimension.ask(trial)
        return values

    def ask_default(self, trial: Any) -> None:
        """Record the default recipe with a trial of Optuna that it was enqueued for.

        What a file has narrowed to other values has no place for it, and is left out.
        """
        for dimension in self.dimensions:
            if self._counts(dimension, self.default) and dimension.holds(dimension.default):
                dimension.ask(trial)

    @property
    def default(self) -> dict[str, Value]:
        """Return key → value of the default recipe, of all settings that count in it."""
        values: dict[str, Value] = {}
        for dimension in self.dimensions:
            if self._counts(dimension, values):
                values[dimension.key] = dimension.default
        return values

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Return whether these are the settings that count together, each within its dimension."""
        counting = [d for d in self.dimensions if self._counts(d, values)]
        return {d.key for d in counting} == set(values) and all(
            d.holds(values[d.key]) for d in counting
        )

    @property
    def size(self) -> float:
        """Return how many recipes there are at most; infinite with a range among them."""
        return math.prod(
            len(d.options) if isinstance(d, Choice) else math.inf for d in self.dimensions
        )

    def narrowed(self, asked: Mapping[str, Any]) -> Space:
        """Return it with fewer values.

        Args:
            asked: Key → as for `Dimension.narrowed`; what is not named stays as it is.

        Raises:
            RecipeError: For an unknown key, or values beyond those of the space.
        """
        known = {dimension.key: dimension for dimension in self.dimensions}
        for key in asked:
            if key not in known:
                raise RecipeError(
                    unknown_name("key of the space", str(key), known),
                    hint="foveal tune DATA --show-space",
                    code="space_invalid",
                )
        return replace(
            self,
            dimensions=tuple(
                d.narrowed(asked[d.key]) if d.key in asked else d for d in self.dimensions
            ),
        )

    def reachable(self) -> Space:
        """Return it without the settings that never count."""
        return replace(self, dimensions=tuple(d for d in self.dimensions if self._may_count(d)))

    def _may_count(self, dimension: Dimension) -> bool:
        if dimension.when is None:
            return True
        key, wanted = dimension.when
        searched = next((d for d in self.dimensions if d.key == key), None)
        values = set(searched.options) if isinstance(searched, Choice) else {self.plain.get(key)}
        values |= {what[key] for what in self.implied.values() if key in what}
        return bool(values & set(wanted))

    def _counts(self, dimension: Dimension, values: Mapping[str, Value]) -> bool:
        if dimension.when is None:
            return True
        key, wanted = dimension.when
        if key in values:
            return values[key] in wanted
        follows = [self.implied.get(given, {}) for given in values.items()]
        return next((f[key] for f in follows if key in f), self.plain.get(key)) in wanted

    def __iter__(self) -> Iterator[Dimension]:
        """Iterate over the dimensions."""
        return iter(self.dimensions)


def _check_keys(key: str, asked: Mapping[str, Any], known: Sequence[str]) -> None:
    # What `--show-space` writes beside these may stay in the file.
    unknown = set(asked) - {*known, "log", "default", "when", "help"}
    if unknown:
        raise RecipeError(
            f"Invalid space for {key!r}. Expected a value, a list of values, or a mapping with "
            f"{' and '.join(known)}. Received the key {min(map(str, unknown))!r}.",
            hint="foveal tune DATA --show-space",
            code="space_invalid",
        )


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> float | None:
    """Return a number, also of text such as `1e-3` in YAML; None for anything else."""
    if _is_number(value):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
