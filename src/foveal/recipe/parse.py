"""From a mapping to a section, with errors that name the key, its option and what was expected."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache, reduce
from typing import Any, TypeVar, cast

from foveal.errors import RecipeError
from foveal.settings import settings_of, unknown_key

SectionT = TypeVar("SectionT")


def parse_section(section: type[SectionT], data: Mapping[str, Any]) -> SectionT:
    """Check a mapping and return the section.

    Args:
        section: A frozen dataclass whose fields may be `Annotated` with `annotated_types.Interval`.
        data: Plain values, as read from YAML; sections of it are mappings too.

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
        raise _explained(section, data, first["type"], [str(p) for p in first["loc"]]) from error
    return parsed


@cache
def _adapter(section: Hashable) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cast(Any, section))


def _explained(
    section: type[Any], data: Mapping[str, Any], problem: str, path: list[str]
) -> RecipeError:
    settings = settings_of(section)
    if problem == "unexpected_keyword_argument":
        above = "".join(f"{part}." for part in path[:-1])
        below = [key.removeprefix(above) for key in settings if key.startswith(above)]
        return unknown_key(above, path[-1], {key.partition(".")[0] for key in below})
    # What is wrong about the third number of a tuple is wrong about the whole value.
    for length in range(len(path), 0, -1):
        found = settings.get(".".join(path[:length]))
        if found is not None:
            return found.invalid(_value_at(data, path[:length]))
    where = ".".join(path)
    return RecipeError(
        f"Invalid value for recipe key '{where}'. Expected a mapping. "
        f"Received: {_value_at(data, path)!r}."
    )


def _value_at(data: Any, path: list[str]) -> Any:
    return reduce(lambda value, part: value.get(part), path, data)
