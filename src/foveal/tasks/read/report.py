"""The reader's sections of `report.html`, made from what `analysis.analyse` returned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeAlias

from foveal.lettering import visible
from foveal.render.charts import bar_chart
from foveal.tasks.base import ReportSection
from foveal.types import JsonObject

_Table: TypeAlias = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]

_BAD = "var(--bad, #dc2626)"
# A longer chart is not read to its end; two of this height fit beside each other.
_BARS_SHOWN, _COLUMN = 42, 14
_PAIRS_SHOWN, _CHARACTERS_SHOWN, _FAILURES_SHOWN = 20, 200, 10


def report_sections(details: JsonObject, *, has_value: bool) -> list[ReportSection]:
    """Return the sections in the order of reading.

    Args:
        details: From `analysis.analyse`.
        has_value: The texts are expressions.
    """
    sections = [_values(details["values"])] if has_value else []
    sections += [_lengths(details["lengths"]), _positions(details["positions"])]
    if details["confused"]:
        sections.append(_confused(details["confused"]))
    if details["missed"] or details["invented"]:
        sections.append(_missed_and_invented(details))
    sections.append(_characters(details["characters"]))
    return sections


def _values(values: JsonObject) -> ReportSection:
    tables: list[_Table] = [
        (
            ("", "texts", "of", "share", "95 % interval"),
            (
                _share_row("exact value right", values["right"]),
                _share_row("read without a value", values["parse_failures"]),
            ),
        )
    ]
    if values["failures"]:
        rows = tuple((f["target"], f["prediction"]) for f in values["failures"][:_FAILURES_SHOWN])
        tables.append((("true", "read, without a value"), rows))
    note = (
        "The exact value of what was read, against that of the truth. What does not parse, or "
        "divides by zero, has none."
    )
    if values["right_though_misread"]:
        count = values["right_though_misread"]
        note += f" Of the right values, {count:,} come from texts that were misread."
    if values["without_true_value"]:
        count = values["without_true_value"]
        note += f" {count:,} truths have no value (they divide by zero) and are left out."
    return ReportSection(title="Values", note=note, tables=tuple(tables))


def _lengths(entries: Sequence[JsonObject]) -> ReportSection:
    labels = [_plural(entry["length"], "character") for entry in entries]
    rows = tuple(_share_row(label, entry) for label, entry in zip(labels, entries, strict=True))
    return ReportSection(
        title="By length",
        note="Exact match for each length of the truth. The bars show what is missing to 100 %.",
        figures=_mistake_bars("Texts not read exactly", labels, entries),
        tables=((("length", "exact", "of", "exact match", "95 % interval"), rows),),
    )


def _positions(entries: Sequence[JsonObject]) -> ReportSection:
    labels = [str(entry["position"]) for entry in entries]
    note = (
        "How often the character at each position of the truth was misread or left out; what "
        "was read is aligned with the truth first, so one lost character spoils no other."
    )
    if len(entries) > _BARS_SHOWN:
        note += f" {_BARS_SHOWN} of {len(entries)} positions; metrics.json has them all."
    return ReportSection(
        title="By position",
        note=note,
        figures=_mistake_bars("Misread, by position", labels, entries),
    )


def _mistake_bars(
    title: str, labels: Sequence[str], entries: Sequence[JsonObject]
) -> tuple[tuple[str, str], ...]:
    """Return bars of the wrong share: right ones of 99 % and 99.9 % would look the same."""
    wrong = [1 - entry["share"] for entry in entries[:_BARS_SHOWN]]
    bars = [(label, share, _percent(share)) for label, share in zip(labels, wrong, strict=False)]
    high = max(wrong, default=0.0) or 1.0
    return tuple(
        ("… and" if i else title, bar_chart(bars[i : i + _COLUMN], high=high, color=_BAD))
        for i in range(0, len(bars), _COLUMN)
    )


def _confused(pairs: Sequence[JsonObject]) -> ReportSection:
    rows = tuple(
        (visible(p["target"]), visible(p["prediction"]), f"{p['count']:,}", _percent(p["share"]))
        for p in pairs[:_PAIRS_SHOWN]
    )
    bars = [
        (f"{true} read as {read}", float(pair["count"]), times)
        for (true, read, times, _), pair in zip(rows[:_COLUMN], pairs, strict=False)
    ]
    return ReportSection(
        title="Confused characters",
        note="Pairs of true and read character, most frequent first.",
        figures=(("The most frequent", bar_chart(bars, color=_BAD)),),
        tables=((("true", "read", "times", "share of the true character"), rows),),
    )


def _missed_and_invented(details: JsonObject) -> ReportSection:
    edits = details["edits"]
    columns = [
        [(visible(e["character"]), f"{e['count']:,}") for e in details[key][:_PAIRS_SHOWN]]
        for key in ("missed", "invented")
    ]
    rows = tuple(
        (*missed, *invented) for missed, invented in zip_longest(*columns, fillvalue=("", ""))
    )
    return ReportSection(
        title="Missed and extra characters",
        note=f"Of {edits['characters']:,} characters {edits['missed']:,} were left out, and "
        f"{edits['invented']:,} were read that do not exist; {edits['substituted']:,} were "
        "mistaken for another.",
        tables=((("left out", "times", "made up", "times"), rows),),
    )


def _characters(entries: Sequence[JsonObject]) -> ReportSection:
    ranked = sorted(entries, key=lambda e: (e["share"] is None, e["share"] or 0.0, -e["count"]))
    rows = tuple(
        (
            *_share_row(visible(entry["character"]), entry),
            visible(entry["taken_for"]) if entry["taken_for"] else "–",
            f"{entry['missed']:,}",
            f"{entry['invented']:,}",
        )
        for entry in ranked[:_CHARACTERS_SHOWN]
    )
    header = (
        "character", "right", "of", "share", "95 % interval", "mostly read as", "left out",
        "made up",
    )  # fmt: skip
    note = "Worst first."
    if len(ranked) > _CHARACTERS_SHOWN:
        note += f" {_CHARACTERS_SHOWN} of {len(ranked)} characters; metrics.json has them all."
    return ReportSection(title="Characters", note=note, tables=((header, rows),))


def _share_row(label: str, share: JsonObject) -> tuple[str, ...]:
    interval = "–"
    if share["count"]:
        interval = f"{_percent(share['low'])} – {_percent(share['high'])}"
    return (
        label,
        f"{share['right']:,}",
        f"{share['count']:,}",
        _percent(share["share"]),
        interval,
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _percent(value: float | None) -> str:
    if value is None:
        return "–"
    # Two digits where one would call a rare mistake none.
    digits = 1 if value == 0 or value == 1 or 0.001 <= value <= 0.999 else 2
    return f"{100 * value:.{digits}f} %"
