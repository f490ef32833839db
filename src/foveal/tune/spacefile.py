"""Read and write search spaces as YAML."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from foveal.recipe.yaml_file import read_mapping
from foveal.tune.space import Choice, Dimension, Range, Space, Value
from foveal.types import JsonObject

_HEAD = (
    "What foveal tune tries. A file with some of these keys narrows it: each to a value, a list "
    "of values, or a mapping with low and high. What a file does not name stays as it is."
)


def space_yaml(space: Space) -> str:
    """Return a space as YAML that is a file for `narrowed_by` itself."""
    parts = [_comment(_HEAD)]
    for dimension in space:
        shown: dict[str, Any] = {**dimension.to_json(), "default": dimension.default}
        if dimension.when is not None:
            key, values = dimension.when
            shown["when"] = f"{key} is {_either(values)}"
        lines = [f"  {name}: {_inline(value)}\n" for name, value in shown.items()]
        text = f"{dimension.key}:\n{''.join(lines)}"
        parts.append(_comment(dimension.help) + text)
    return "\n".join(parts)


def narrowed_by(space: Space, path: Path) -> Space:
    """Return a space with the values that a YAML file leaves of it.

    Raises:
        RecipeError: If the file cannot be read, names an unknown key, or holds more than the
            space does.
    """
    asked = read_mapping(
        path,
        "space",
        expected="a mapping of keys, such as train.lr",
        hint="foveal tune DATA --show-space > space.yaml",
        code="space_invalid",
    )
    return space.narrowed(_dotted(space, asked))


def _dotted(space: Space, asked: dict[Any, Any]) -> dict[str, Any]:
    """Return the keys as the space has them: `train: {lr: ...}` is `train.lr` too."""
    known = {dimension.key for dimension in space}
    found: dict[str, Any] = {}
    for key, value in asked.items():
        is_section = isinstance(value, dict) and str(key) not in known
        if is_section and any(name.startswith(f"{key}.") for name in known):
            found |= _dotted(space, {f"{key}.{name}": inner for name, inner in value.items()})
        else:
            found[str(key)] = value
    return found


def _inline(value: Any) -> str:
    """Return a plain value, or a list of some, as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, 78))


def _either(values: tuple[Value, ...]) -> str:
    *others, last = map(str, values)
    return f"{', '.join(others)} or {last}" if others else last


def described(value: Value) -> str:
    """Return a value of a setting in few digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def space_json(space: Space) -> JsonObject:
    """Return a space as JSON values; `space_from_json` is the way back."""
    return {
        "dimensions": [
            {"kind": "range" if isinstance(d, Range) else "choice", **asdict(d)} for d in space
        ],
        "plain": dict(space.plain),
        "implied": [[key, value, dict(what)] for (key, value), what in space.implied.items()],
    }


def space_from_json(values: JsonObject) -> Space:
    """Return what `space_json` gave."""
    dimensions: list[Dimension] = []
    for given in values["dimensions"]:
        fields = {name: value for name, value in given.items() if name != "kind"}
        if fields["when"] is not None:
            key, wanted = fields["when"]
            fields["when"] = (key, tuple(wanted))
        if given["kind"] == "range":
            dimensions.append(Range(**fields))
        else:
            dimensions.append(Choice(**{**fields, "options": tuple(fields["options"])}))
    implied = {(key, value): what for key, value, what in values["implied"]}
    return Space(tuple(dimensions), values["plain"], implied)
