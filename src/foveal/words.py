"""Format numbers for display, consistently everywhere."""

from __future__ import annotations

import math


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
