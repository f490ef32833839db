"""What is printed: results on stdout, everything for people on stderr."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from foveal.console import fitted
from foveal.errors import complaint
from foveal.words import percent, percent_range, table

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
    """Print a finding as a result; see `finding_text`."""
    write(fitted(finding_text(finding), sys.stdout))


def finding_text(finding: Finding) -> str:
    """Return a finding for people: what, some samples, what to do."""
    lines = [f"{finding.severity}: {finding.message} [{finding.id}]"]
    if finding.samples:
        more = finding.count - len(finding.samples[:3])
        shown = ", ".join(finding.samples[:3])
        lines.append(f"  {shown}{f' and {more} more' if more > 0 else ''}")
    if finding.hint:
        lines.append(f"  hint: {finding.hint}")
    return "\n".join(lines)
