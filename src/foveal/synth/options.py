"""Options of kinds: dataclass fields with parsers."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from foveal.errors import UsageError, unknown_name

Parse = Callable[[str], Any]
"""Reads a value; raises ValueError, whose message says what was expected."""


def option(default: Any, parse: Parse) -> Any:
    """Return a dataclass field that `parse_options` fills from text."""
    return dataclasses.field(default=default, metadata={"parse": parse})


def parse_options(kind: Any, options: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of options given as text, by field.

    Args:
        kind: A dataclass instance whose options were declared with `option`.
        options: Name → text.

    Raises:
        UsageError: For an unknown name or a wrong value.
    """
    parsers = {
        field.name: field.metadata["parse"]
        for field in dataclasses.fields(kind)
        if "parse" in field.metadata
    }
    values = {}
    for name, text in options.items():
        if name not in parsers:
            raise UsageError(unknown_name(f"option of {kind.name}", name, parsers))
        try:
            values[name] = parsers[name](text.strip())
        except ValueError as error:
            raise UsageError(
                f"Invalid option {name}. Expected {error}. Received: {text!r}."
            ) from error
    return values


def whole(low: int, high: int) -> Parse:
    """Return a reader of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def number(low: float, high: float) -> Parse:
    """Return a reader of numbers from `low` to `high`."""

    def parse(text: str) -> float:
        expected = f"a number from {low:g} to {high:g}"
        try:
            value = float(text)
        except ValueError:
            raise ValueError(expected) from None
        if not low <= value <= high:
            raise ValueError(expected)
        return value

    return parse


def span(low: int, high: int) -> Parse:
    """Return a reader of `4` or `4..6` into (first, last), both drawn."""
    bound = whole(low, high)

    def parse(text: str) -> tuple[int, int]:
        first, dots, last = text.partition("..")
        try:
            pair = bound(first), bound(last if dots else first)
        except ValueError:
            pair = (1, 0)
        if pair[0] > pair[1]:
            raise ValueError(f"a whole number from {low} to {high}, or a range such as 4..6")
        return pair

    return parse


def truth(text: str) -> bool:
    """Read true or false."""
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in values:
        raise ValueError("true or false")
    return values[text.lower()]


def visible(text: str) -> str:
    """Read characters that leave ink and sort them: no spaces, controls or combining marks."""
    is_ink = all(unicodedata.category(c)[0] not in "ZCM" for c in text)
    if not text or not is_ink or len(set(text)) < len(text):
        raise ValueError("visible characters, each once, such as 0123456789ABCDEF")
    return "".join(sorted(text))


def plain_text(text: str) -> str:
    """Read any text."""
    return text
