"""Format numbers and tables for display, consistently everywhere."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in percent; never 100 % by rounding alone.

    Args:
        value: None and NaN are a dash.
        digits: Decimals.
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{100 * value:.{digits}f}"
    if value < 1 and float(text) >= 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    return f"{text} %"


def percent_range(low: float | None, high: float | None) -> str:
    """Return an interval in percent, `78.4 to 87.7 %`; a dash where it is not known."""
    if low is None or high is None or not math.isfinite(low):
        return "–"
    return f"{percent(low)[:-2]} to {percent(high)}"


def about_picture(source: str, message: str) -> str:
    """Return a message about a picture with its name, which it may begin with already."""
    return message if message.startswith(f"{source} ") else f"{source}: {message}"


def printable(text: str) -> str:
    """Return a text in one line, with escapes such as `\\n` for what cannot be printed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as aligned text; columns of numbers are aligned to the right."""
    body = [[printable(str(cell)) for cell in row] for row in rows]
    columns = list(zip(*body, strict=True)) if body else [()] * len(header)
    widths = [
        max([_columns(title), *(_columns(cell) for cell in column)])
        for title, column in zip(header, columns, strict=True)
    ]
    right = [bool(column) and all(_is_number(cell) for cell in column) for column in columns]
    lines = []
    for row in [list(header), *body]:
        cells = [
            _padded(cell, width, is_right=is_right)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _padded(cell: str, width: int, *, is_right: bool) -> str:
    space = " " * (width - _columns(cell))
    return space + cell if is_right else cell + space


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for each Chinese character."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    # Accents stand on the letter before.
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def _is_number(cell: str) -> bool:
    bare = cell.rstrip(" %").replace(",", "")
    try:
        float(bare)
    except ValueError:
        return bare in ("", "-")
    return True
