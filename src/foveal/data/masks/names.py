"""Names of classes in files: `classes.txt`, `classes.json`, or nnU-Net's `dataset.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from foveal.errors import DataError

NAME_FILES = ("classes.txt", "classes.json", "dataset.json")
"""In this order: the first that is there counts."""

# nnU-Net's word for pixels that are neither trained on nor measured.
_IGNORE = "ignore"
_HEX = re.compile(r"#([0-9a-fA-F]{6})(?:\s*[:,;=]\s*|\s+|$)(.*)")
_RGB = re.compile(r"(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})(?:\s*[:,;=]\s*|\s+)(.*)")
_ID = re.compile(r"(\d+)(?:\s*[:,;=]\s*|\s+)(.*)")

_Entry: TypeAlias = tuple[bool, int, str]
"""Whether the value is a colour, the value, and the name."""


@final
@dataclass(frozen=True, slots=True)
class MaskNames:
    """Class names of mask values from a file.

    Attributes:
        file: Name of the file.
        are_colors: Whether the values are colours, 0xRRGGBB, or else ids.
        names: Value → name of the class, or None for pixels to be ignored.
    """

    file: str
    are_colors: bool
    names: Mapping[int, str | None]


def pack(red: int, green: int, blue: int) -> int:
    """Return a colour as one number, 0xRRGGBB."""
    return red << 16 | green << 8 | blue


def parse_names(file: str, text: str) -> MaskNames | None:
    """Return the names in one of `NAME_FILES`, or None for a `dataset.json` of something else.

    `classes.txt` holds a name in each line, the first for 0; or lines such as `0 background`,
    `#ff0000 tumour` or `255,0,0 tumour`. `classes.json` maps names to values or values to names.
    The name `ignore` marks pixels that are neither trained on nor measured.

    Args:
        file: Name of the file.
        text: Content of the file.

    Raises:
        DataError: If it cannot be understood; names the file and the line.
    """
    if file.lower().endswith(".txt"):
        entries = _lines(file, text)
    else:
        try:
            content = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{file} is not JSON: {error}.") from error
        if file.rpartition("/")[2].lower() == "dataset.json":
            labels = content.get("labels") if isinstance(content, dict) else None
            if not isinstance(labels, dict):
                return None
            content = labels
            _refuse_regions(file, content)
        entries = _pairs(file, content)
    return _checked(file, entries)


def _checked(file: str, entries: Iterable[_Entry]) -> MaskNames:
    names: dict[int, str | None] = {}
    kinds = set()
    for is_color, value, name in entries:
        if value in names:
            raise DataError(f"{file} names {_shown(is_color, value)} twice.")
        kinds.add(is_color)
        names[value] = None if name.lower() == _IGNORE else name
    if len(kinds) != 1:
        what = "ids and colours" if kinds else "no names"
        raise DataError(
            f"{file} contains {what}. Expected one kind of lines: `0 background` or `#ff0000 "
            "tumour`.",
        )
    return MaskNames(file, kinds.pop(), dict(sorted(names.items())))


def _shown(is_color: bool, value: int) -> str:
    return f"#{value:06x}" if is_color else str(value)


def _lines(file: str, text: str) -> list[_Entry]:
    # `# a remark`; a colour has no space after its #.
    lines = [line.strip() for line in text.splitlines() if not line.startswith("# ")]
    first = next((line for line in lines if line), "")
    parse = next((p for p in (_hex_line, _rgb_line, _id_line) if p(first)), None)
    if parse is None:
        return [(False, number, line) for number, line in enumerate(lines) if line]
    return [_parsed(file, line, parse) for line in lines if line]


def _parsed(file: str, line: str, parse: Callable[[str], _Entry | None]) -> _Entry:
    entry = _hex_line(line) or _rgb_line(line) or parse(line)
    if entry is None or not entry[2]:
        raise DataError(
            f"{file}: {line[:80]!r} does not name a value in the format of the first line.",
            hint="write `0 background`, `#ff0000 tumour` or `255,0,0 tumour` in each line",
        )
    return entry


def _hex_line(line: str) -> _Entry | None:
    match = _HEX.fullmatch(line)
    return (True, int(match[1], 16), match[2]) if match else None


def _rgb_line(line: str) -> _Entry | None:
    match = _RGB.fullmatch(line)
    if match is None or max(parts := [int(match[i]) for i in (1, 2, 3)]) > 255:
        return None
    return (True, pack(*parts), match[4])


def _id_line(line: str) -> _Entry | None:
    match = _ID.fullmatch(line)
    return (False, int(match[1]), match[2]) if match else None


def _refuse_regions(file: str, labels: Mapping[str, Any]) -> None:
    for name, value in labels.items():
        if isinstance(value, list):
            raise DataError(
                f"{file}: {name!r} is the region {value}. Expected one value for each class, "
                "since a pixel belongs to one class only.",
                hint="name the values of the masks themselves in classes.txt",
            )


def _pairs(file: str, content: Any) -> list[_Entry]:
    if not isinstance(content, dict):
        raise DataError(
            f"{file} has no names. Expected an object.", hint='{"background": 0, "tumour": 1}'
        )
    return [_pair(file, str(key), value) for key, value in content.items()]


def _pair(file: str, key: str, value: Any) -> _Entry:
    # Names to values, or values to names.
    if (found := _value(value)) is not None and not isinstance(value, str):
        return (*found, key)
    if isinstance(value, str) and (found := _value(key)) is not None and value.strip():
        return (*found, value.strip())
    if (found := _value(value)) is not None:
        return (*found, key)
    raise DataError(
        f"{file}: neither {key!r} nor {value!r} can be the value of a pixel in a mask.",
        hint='{"background": 0, "tumour": 1} or {"#ff0000": "tumour"}',
    )


def _value(value: Any) -> tuple[bool, int] | None:
    """Return (whether it is a colour, value) of what JSON holds, or None."""
    if isinstance(value, str):
        if value.strip().isdecimal():
            return False, int(value)
        match = _HEX.fullmatch(value.strip())
        return (True, int(match[1], 16)) if match and not match[2] else None
    if isinstance(value, list) and len(value) == 3:
        if all(isinstance(part, int) and 0 <= part <= 255 for part in value):
            return True, pack(*value)
    is_id = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return (False, value) if is_id else None
