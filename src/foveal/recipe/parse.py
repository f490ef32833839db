"""From a mapping to a section, with errors that name the key, its option and what was expected."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from foveal.errors import RecipeError, nearest
from foveal.recipe.fields import Setting, settings_of

SectionT = TypeVar("SectionT")


def parse_section(section: type[SectionT], data: Mapping[str, Any], prefix: str = "") -> SectionT:
    """Check a mapping and return the section.

    Args:
        section: A frozen dataclass whose fields may be `Annotated` with `annotated_types.Interval`.
        data: Plain values, as read from YAML; sections of it are mappings too.
        prefix: What comes before the keys in errors, such as `task_options.`.

    Raises:
        RecipeError: For an unknown key (names the nearest) or a value of the wrong type or out of
            range.
    """
    # Imported late: it takes longer to load than `foveal train --help` to run.
    from pydantic import ValidationError

    try:
        parsed: SectionT = _adapter(cast(Hashable, section)).validate_python(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"]]
        if first["type"] == "unexpected_keyword_argument":
            raise _unknown(section, path, prefix) from error
        found = _nearest_setting(settings_of(section, prefix), prefix, path)
        key = prefix + ".".join(path)
        if first["type"] == "missing" and found is None:
            raise RecipeError(f"Missing recipe key '{key}'.") from error
        where, expected = (
            (f"'{key}'", "a mapping") if found is None else (found.where, found.expected)
        )
        value = _value_at(data, (found.key if found else key).removeprefix(prefix))
        raise RecipeError(
            f"Invalid value for recipe key {where}. Expected {expected}. Received: {value!r}.",
            hint=f"{found.key}: {found.help}" if found and found.help else None,
        ) from error
    return parsed


@cache
def _adapter(section: Hashable) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cast(Any, section))


def _unknown(section: type[Any], path: list[str], prefix: str) -> RecipeError:
    keys = {
        part
        for key in settings_of(section, prefix)
        for part in _heads(key.removeprefix(prefix), ".".join(path[:-1]))
    }
    near = nearest(path[-1], keys)
    guess = f" Did you mean '{prefix}{'.'.join([*path[:-1], near])}'?" if near else ""
    return RecipeError(
        f"Unknown recipe key '{prefix}{'.'.join(path)}'.{guess}",
        hint=f"the keys there are: {', '.join(sorted(keys))}",
    )


def _heads(key: str, below: str) -> list[str]:
    """Return the part of a key that stands directly below another, or nothing."""
    if not below:
        return [key.partition(".")[0]]
    return [key.removeprefix(below + ".").partition(".")[0]] if key.startswith(below + ".") else []


def _nearest_setting(
    settings: Mapping[str, Setting], prefix: str, path: list[str]
) -> Setting | None:
    # An error in the third number of a tuple is one of the whole value.
    for length in range(len(path), 0, -1):
        found = settings.get(prefix + ".".join(path[:length]))
        if found is not None:
            return found
    return None


def _value_at(data: Any, key: str) -> Any:
    for part in key.split("."):
        data = data.get(part) if isinstance(data, Mapping) else data
    return data
