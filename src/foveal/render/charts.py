"""Figures as SVG text for reports: bars, matrices and curves. Needs no library and no script.

Text takes the colour of the page around it and marks take its `--accent`, `--good` and `--bad`,
so that one figure suits a light and a dark page. Colours are attributes, not styles: a page whose
security policy forbids inline styles shows them too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from foveal.render.svg import ACCENT, ADVANCE, FONT, rule, shortened, svg
from foveal.render.svg import text as svg_text

_GOOD, _BAD = "var(--good, #059669)", "var(--bad, #dc2626)"
_COLORS = (ACCENT, "var(--second, #d97706)", _GOOD, "var(--third, #7c3aed)", _BAD)
_ROW = 24
_LABEL_CHARACTERS = 34
_LEGEND_ROW = 20


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    Attributes:
        name: For the legend; "" shows none.
        points: (across, up) in the chart's units, in drawing order.
        style: `line`, `points` (line with marks), `marks` (without a line), `bars` (columns from
            0, `width` wide) or `guide` (thin and dashed).
        width: Width of a bar, in units of the horizontal axis.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "line"
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        title: Beside it.
        low: Its least value.
        high: Its largest value.
        percent: The numbers are shares, shown in percent.
        whole: Only whole numbers are marked.
        log: The axis has decadic logarithms; the numbers are what they are of.
    """

    title: str
    low: float = 0.0
    high: float = 1.0
    percent: bool = True
    whole: bool = False
    log: bool = False


def bar_chart(
    rows: Sequence[tuple[str, float, str]], *, high: float | None = None, color: str = ACCENT
) -> str:
    """Return horizontal bars, one a row.

    Args:
        rows: (label, length, text at the bar's end); NaN draws no bar.
        high: Length of a full bar; None takes the longest.
        color: CSS colour of the bars.
    """
    lengths = [length for _, length, _ in rows if math.isfinite(length)]
    full = high or max([*lengths, 1e-9])
    left = 16 + _label_width([label for label, _, _ in rows])
    track = 250
    width = left + track + 84
    height = _ROW * len(rows) + 4
    parts = []
    for i, (label, length, text) in enumerate(rows):
        middle = i * _ROW + _ROW // 2 + 2
        size = track * min(1.0, max(0.0, length / full)) if math.isfinite(length) else 0.0
        parts.append(
            _text(left - 8, middle, label, anchor="end")
            + f'<rect x="{left}" y="{middle - 7}" width="{track}" height="14" rx="3" '
            'fill="currentColor" opacity=".07"/>'
            f'<rect x="{left}" y="{middle - 7}" width="{size:.1f}" height="14" rx="3" '
            f'fill="{color}"/>' + _text(left + track + 8, middle, text, muted=True)
        )
    return svg(width, height, "".join(parts))


def matrix_chart(
    labels: Sequence[str], counts: Sequence[Sequence[int]], *, shares: bool = False
) -> str:
    """Return a confusion matrix: rows are true classes, columns answers, shaded by row share.

    Args:
        labels: The C class names.
        counts: (C, C).
        shares: Write each cell's share of its row, in percent, instead of the count.
    """
    cell = 84 if len(labels) <= 3 else 56 if len(labels) <= 6 else 36 if len(labels) <= 12 else 27
    font = 13 if cell > 40 else 11 if cell > 30 else 10
    margin = 28 + _label_width(labels)
    side = margin + cell * len(labels)
    slant = 0.75 * _label_width(labels) + 34
    parts = [
        f'<text transform="translate(12 {slant + (side - margin) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle" font-size="{FONT}" fill="currentColor" opacity=".65">true</text>',
        _text(margin + (side - margin) / 2, 10, "answered", anchor="middle", muted=True),
    ]
    for i, (label, row) in enumerate(zip(labels, counts, strict=True)):
        total = sum(row)
        y, x = slant + i * cell, margin + i * cell
        parts.append(_text(margin - 8, y + cell / 2, label, anchor="end"))
        parts.append(
            f'<text transform="translate({x + cell / 2:.1f} {slant - 8:.1f}) rotate(-40)" '
            f'font-size="{FONT}" fill="currentColor">{_short(label)}</text>'
        )
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            tip = f"{label}, answered {labels[j]}: {count} ({100 * share:.1f} %)"
            text = f"{100 * share:.0f}" if shares else str(count)
            parts.append(
                _cell(margin + j * cell, y, cell, font, share, text if count else "", i == j, tip)
            )
    return svg(side + 0.6 * _label_width(labels), slant + cell * len(labels) + 4, "".join(parts))


def _cell(
    x: float, y: float, size: int, font: int, share: float, text: str, hit: bool, tip: str
) -> str:
    # A root, so that a mistake in one of a hundred is still seen.
    strength = share if hit else math.sqrt(share)
    opacity = 0.05 if not text else 0.12 + 0.88 * strength
    color = "currentColor" if not text else (ACCENT if hit else _BAD)
    ink = "#fff" if text and strength > 0.62 else "currentColor"
    return (
        f'<g><title>{escape(tip)}</title><rect x="{x + 1:.1f}" y="{y + 1:.1f}" '
        f'width="{size - 2}" height="{size - 2}" rx="3" fill="{color}" '
        f'opacity="{opacity:.2f}"/>'
        f'<text x="{x + size / 2:.1f}" y="{y + size / 2:.1f}" dy=".36em" text-anchor="middle" '
        f'font-size="{font}" fill="{ink}">{text}</text></g>'
    )


def curve_chart(
    series: Sequence[Series], across: Axis, up: Axis, *, width: int = 440, height: int = 320
) -> str:
    """Return lines, points or columns over two labelled axes.

    Args:
        series: What to draw, in order.
        across: The horizontal axis.
        up: The vertical axis.
        width: Width of the figure, in pixels.
        height: Height of the figure, in pixels.
    """
    left, right, bottom = 58, 24, 46
    legend = _legend(series, left, width - right)
    top = 14 + _LEGEND_ROW * (1 + max((row for _, row in legend.values()), default=-1))

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = (point[0] - across.low) / ((across.high - across.low) or 1)
        y = (point[1] - up.low) / ((up.high - up.low) or 1)
        return left + x * (width - left - right), height - bottom - y * (height - top - bottom)

    parts = []
    for value in _ticks(up):
        x, y = place((across.low, value))
        parts.append(rule(x, y, width - right, y))
        parts.append(_text(x - 8, y, _number(value, up), anchor="end", muted=True))
    for value in _ticks(across):
        x, y = place((value, up.low))
        parts.append(rule(x, top, x, y))
        parts.append(_text(x, y + 16, _number(value, across), anchor="middle", muted=True))
    middle = (left + width - right) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{height - 4}" text-anchor="middle" font-size="{FONT}" '
        f'fill="currentColor" opacity=".65">{escape(across.title)}</text>'
    )
    parts.append(
        f'<text transform="translate(12 {(top + height - bottom) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle" font-size="{FONT}" fill="currentColor" opacity=".65">'
        f"{escape(up.title)}</text>"
    )
    for i, one in enumerate(series):
        color = _COLORS[sum(s.style != "guide" for s in series[:i]) % len(_COLORS)]
        # NaN has no place on paper; the rest of the line stays.
        points = [p for p in one.points if all(math.isfinite(v) for v in p)]
        if one.style == "bars":
            half = one.width / 2
            corners = [(place((a - half, u)), place((a + half, up.low))) for a, u in points]
            parts.append("".join(_column(x0, y0, x1, y1, color) for (x0, y0), (x1, y1) in corners))
        else:
            parts.append(_line([place(p) for p in points], one.style, color))
        if i in legend:
            x, row = legend[i]
            guide = one.style == "guide"
            shade = 'fill="currentColor" opacity=".4"' if guide else f'fill="{color}"'
            y = 5 + _LEGEND_ROW * row
            parts.append(
                f'<rect x="{x:.0f}" y="{y}" width="14" height="4" rx="2" {shade}/>'
                + _text(x + 19, y + 3, one.name, muted=True)
            )
    return svg(width, height, "".join(parts))


def _legend(series: Sequence[Series], left: int, right: int) -> dict[int, tuple[float, int]]:
    """Return where the legend names each series: its x and its row; one line needs no legend."""
    named = [i for i, one in enumerate(series) if one.name]
    places: dict[int, tuple[float, int]] = {}
    x, row = float(left), 0
    for i in named if len(named) > 1 else []:
        size = 36 + FONT * ADVANCE * min(len(series[i].name), _LABEL_CHARACTERS)
        if x > left and x + size > right + 16:
            x, row = float(left), row + 1
        places[i] = (x, row)
        x += size
    return places


def _line(points: Sequence[tuple[float, float]], style: str, color: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    if style == "guide":
        return (
            f'<polyline points="{path}" fill="none" stroke="currentColor" opacity=".45" '
            'stroke-dasharray="4 4"/>'
        )
    line = (
        f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2.2" '
        'stroke-linejoin="round" stroke-linecap="round"/>'
    )
    # A line of one point cannot be seen.
    shown = points if style in ("points", "marks") or len(points) == 1 else []
    return ("" if style == "marks" else line) + "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{color}"/>' for x, y in shown
    )


def _column(x0: float, y0: float, x1: float, y1: float, color: str) -> str:
    return (
        f'<rect x="{x0 + 1:.1f}" y="{y0:.1f}" width="{max(1.0, x1 - x0 - 2):.1f}" '
        f'height="{max(0.0, y1 - y0):.1f}" rx="2" fill="{color}" opacity=".8"/>'
    )


def _ticks(axis: Axis) -> list[float]:
    """Return about five round values inside the axis."""
    span = axis.high - axis.low
    if span <= 0:
        return [axis.low]
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(m * power for m in (1, 2, 5, 10) if span / (m * power) <= 5.01)
    step = max(1.0, step) if axis.whole else step
    first = math.ceil(axis.low / step - 1e-9)
    return [i * step for i in range(first, math.floor(axis.high / step + 1e-9) + 1)]


def _number(value: float, axis: Axis) -> str:
    if axis.log:
        return f"{10**value:.3g}"
    scaled = 100 * value if axis.percent else value
    return f"{round(scaled, 6):g}" + (" %" if axis.percent else "")


def _text(x: float, y: float, words: str, *, anchor: str = "start", muted: bool = False) -> str:
    return svg_text(x, y, shortened(words, _LABEL_CHARACTERS), anchor=anchor, muted=muted)


def _short(label: str) -> str:
    return escape(shortened(label, _LABEL_CHARACTERS))


def _label_width(labels: Sequence[str]) -> float:
    longest = max([min(len(label), _LABEL_CHARACTERS) for label in labels], default=0)
    return max(20.0, FONT * ADVANCE * longest)
