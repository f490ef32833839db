"""Figures as SVG text that only masks need: a box plot and a scatter plot of shares.

They follow `foveal.render.charts`: text in the page's colour, marks in its `--accent`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from foveal.render.svg import ACCENT, ADVANCE, FONT, rule, shortened, svg
from foveal.render.svg import text as svg_text
from foveal.types import JsonObject

_LABEL_CHARACTERS = 30
_ROW, _TRACK = 36, 380
_DOTS = 400
# Dots of equal values are put on lines of their own, in this order, so that each is seen.
_LANES = (0, -1, 1, -2, 2, -3, 3)
_LANE_PX = 3.2


def box_chart(rows: Sequence[tuple[str, JsonObject]]) -> str:
    """Return box plots of shares in [0, 1], one a row, with the single values as dots.

    Boxes reach from the lower to the upper quartile, whiskers to the farthest value within 1.5
    times the box's length (J. W. Tukey, "Exploratory Data Analysis", 1977).

    Args:
        rows: (label, spread) with `lower_quartile`, `median`, `upper_quartile` and `values`
            (sorted); at least one value each.
    """
    left = 16 + max(_width(label) for label, _ in rows)
    height = _ROW * len(rows) + 26
    parts = []
    for tick in range(0, 101, 20):
        x = left + _TRACK * tick / 100
        parts.append(rule(x, 2, x, height - 22))
        parts.append(_text(x, height - 10, f"{tick} %", anchor="middle", muted=True))
    for i, (label, spread) in enumerate(rows):
        middle = i * _ROW + _ROW / 2 + 2
        parts.append(_text(left - 8, middle, label, anchor="end"))
        parts.append(_box(left, middle, spread))
    return svg(left + _TRACK + 28, height, "".join(parts))


def _box(left: float, middle: float, spread: JsonObject) -> str:
    low, high = spread["lower_quartile"], spread["upper_quartile"]
    values: list[float] = spread["values"]
    reach = 1.5 * (high - low)
    # Interpolated quartiles may lie beyond the last value within reach.
    start = min(low, min(v for v in values if v >= low - reach))
    end = max(high, max(v for v in values if v <= high + reach))
    x0, x1, xs, xe, xm = (left + _TRACK * v for v in (low, high, start, end, spread["median"]))
    tip = (
        f"median {100 * spread['median']:.1f} %, half of the pictures from {100 * low:.1f} to "
        f"{100 * high:.1f} %"
    )
    return (
        f"<g><title>{escape(tip)}</title>"
        f'<line x1="{xs:.1f}" y1="{middle}" x2="{xe:.1f}" y2="{middle}" stroke="currentColor" '
        'opacity=".5"/>'
        f'<rect x="{x0:.1f}" y="{middle - 11}" width="{max(1.0, x1 - x0):.1f}" height="22" '
        f'rx="3" style="fill:{ACCENT};stroke:{ACCENT}" fill-opacity=".22"/>'
        f'<line x1="{xm:.1f}" y1="{middle - 11}" x2="{xm:.1f}" y2="{middle + 11}" '
        f'style="stroke:{ACCENT}" stroke-width="2.4"/></g>' + _dots(left, middle, values)
    )


def _dots(left: float, middle: float, values: Sequence[float]) -> str:
    step = max(1, -(-len(values) // _DOTS))
    marks, lane, last = [], 0, -math.inf
    for value in values[::step]:
        x = left + _TRACK * value
        lane = lane + 1 if x - last < _LANE_PX else 0
        last = x
        y = middle + _LANE_PX * _LANES[lane % len(_LANES)]
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.7"/>')
    return f'<g fill="currentColor" opacity=".55">{"".join(marks)}</g>'


def scatter_chart(
    points: Sequence[tuple[float, float]], *, across: str, up: str, guide: float
) -> str:
    """Return dots of two shares, the vertical one from 0 to 1, and a dashed horizontal line.

    Args:
        points: (across, up), at least one.
        across: Title of the horizontal axis, which begins under the least value.
        up: Title of the vertical axis.
        guide: Height of the dashed line, in [0, 1].
    """
    left, right, top, bottom, wide, high = 58, 18, 12, 46, 440, 320
    # To whole twentieths, and never an axis without length.
    low = min(0.95, max(0.0, math.floor(20 * min(x for x, _ in points) - 1e-9) / 20))

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - low) / (1 - low)
        return left + share * (wide - left - right), high - bottom - y * (high - top - bottom)

    parts = []
    for tick in range(0, 101, 20):
        x, y = place(low, tick / 100)
        parts.append(rule(x, y, wide - right, y))
        parts.append(_text(x - 8, y, f"{tick} %", anchor="end", muted=True))
    for share in (low + (1 - low) * i / 4 for i in range(5)):
        x, y = place(share, 0)
        parts.append(rule(x, top, x, y))
        parts.append(_text(x, y + 16, f"{round(100 * share, 2):g} %", anchor="middle", muted=True))
    middle = (top + high - bottom) / 2
    parts.append(_text((left + wide - right) / 2, high - 8, across, anchor="middle", muted=True))
    parts.append(
        f'<text transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle" '
        f'font-size="{FONT}" fill="currentColor" opacity=".65">{escape(up)}</text>'
    )
    (x0, y0), (x1, _) = place(low, guide), place(1.0, guide)
    parts.append(
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y0:.1f}" stroke="currentColor" '
        'opacity=".45" stroke-dasharray="4 4"/>'
    )
    step = max(1, -(-len(points) // _DOTS))
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>'
        for x, y in (place(*point) for point in points[::step])
    )
    parts.append(f'<g style="fill:{ACCENT}" opacity=".6">{marks}</g>')
    return svg(wide, high, "".join(parts))


def _text(x: float, y: float, words: str, *, anchor: str = "start", muted: bool = False) -> str:
    return svg_text(x, y, shortened(words, _LABEL_CHARACTERS), anchor=anchor, muted=muted)


def _width(label: str) -> float:
    return max(20.0, FONT * ADVANCE * len(shortened(label, _LABEL_CHARACTERS)))
