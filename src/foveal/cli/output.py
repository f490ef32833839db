"""What is printed: results on stdout, everything for people on stderr."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from foveal.console import fitted
from foveal.errors import complaint
from foveal.words import percent, percent_range

if TYPE_CHECKING:
    # For the checker only: these types come with numpy, a third of the time of `foveal --help`.
    from foveal.tasks.base import MetricWords
    from foveal.types import Finding, JsonObject


METRIC_HEAD = "metric "
"""How the first line of `metric_table` begins."""


def write(text: str) -> None:
    """Print one line of the result."""
    sys.stdout.write(text + "\n")


def write_json(value: JsonObject) -> None:
    """Print one JSON object on one line."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # The name of a file that is not valid Unicode: escaped, it is still JSON.
        text = json.dumps(value, allow_nan=False)
    sys.stdout.write(text + "\n")


def note(text: str, *, quiet: bool = False) -> None:
    """Tell the person at the terminal something."""
    if not quiet:
        sys.stderr.write(text + "\n")


def complain(message: str, hint: str | None = None) -> None:
    """Print an error, and the hint below."""
    sys.stderr.write(f"{fitted(complaint(message, hint), sys.stderr)}\n")


def wrapped(text: str) -> str:
    """Return sentences broken into lines for a terminal of 80 columns, or a narrower one."""
    return textwrap.fill(text, min(79, shutil.get_terminal_size().columns - 1))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as aligned text; columns of numbers are aligned to the right."""
    body = [[str(cell) for cell in row] for row in rows]
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


def metric_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, value, 95 % interval) for each metric of the metrics contract."""
    rows = []
    for name, metric in metrics.items():
        low, high = metric.get("low"), metric.get("high")
        rows.append((name, percent(metric.get("value")), percent_range(low, high)))
    return rows


def metric_table(
    metrics: Mapping[str, Any],
    words: Mapping[str, MetricWords],
    baseline: Mapping[str, float | None],
) -> str:
    """Return the metrics with intervals, the baseline's, and what they mean, as aligned text.

    Args:
        metrics: Name → {"value", "low", "high"}.
        words: What people are told of each.
        baseline: What the best constant answer gets; empty where it is not known.
    """
    rows = []
    for name, value, interval in metric_rows(metrics):
        constant = baseline.get(name)
        beside = [percent(constant)] if baseline else []
        rows.append([name, value, interval, *beside, words[name].meaning])
    head = ["metric", "value", "95 % interval", *(["baseline"] if baseline else []), "meaning"]
    return table(head, rows)


def write_finding(finding: Finding) -> None:
    """Print a finding for people: what, some samples, what to do."""
    lines = [f"{finding.severity}: {finding.message} [{finding.id}]"]
    if finding.samples:
        more = finding.count - len(finding.samples[:3])
        shown = ", ".join(finding.samples[:3])
        lines.append(f"  {shown}{f' and {more} more' if more > 0 else ''}")
    if finding.hint:
        lines.append(f"  hint: {finding.hint}")
    write(fitted("\n".join(lines), sys.stdout))
