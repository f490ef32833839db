"""Map SVG units to the picture by `viewBox`, `width` and `height`.

The page that they describe covers the whole picture, whatever unit it is measured in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from foveal.data.polygons.svg_paths import IDENTITY, Matrix, compose, numbers
from foveal.errors import ImageError

_LENGTH = re.compile(r"\s*([-+.\deE]+?)\s*(px|pt|pc|mm|cm|in)?\s*")
_UNITS = {"px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 960 / 25.4, "in": 96.0}
_SHARES = {"Min": 0.0, "Mid": 0.5, "Max": 1.0}


def viewport(attributes: Mapping[str, str], height: int, width: int) -> Matrix:
    """Return the matrix from a drawing's units to original pixels.

    Args:
        attributes: Attributes of the outermost `<svg>`.
        height: Height of the picture, in original pixels.
        width: Width of the picture, in original pixels.

    Raises:
        ImageError: If `viewBox` is no box.
    """
    box = numbers(attributes.get("viewBox", ""))
    if box and (len(box) != 4 or box[2] <= 0 or box[3] <= 0):
        raise ImageError(f"viewBox is {attributes['viewBox'][:60]!r}. Expected four numbers")
    wide, high = _length(attributes.get("width")), _length(attributes.get("height"))
    if box:
        # A side that is not given follows from the other by the shape of the box.
        if wide is None and high is None:
            wide, high = box[2], box[3]
        wide = wide or (high or 0) * box[2] / box[3]
        high = high or wide * box[3] / box[2]
    wide, high = wide or float(width), high or float(height)
    inner = _fit(box, wide, high, attributes.get("preserveAspectRatio", "")) if box else IDENTITY
    return compose((width / wide, 0.0, 0.0, height / high, 0.0, 0.0), inner)


def _length(text: str | None) -> float | None:
    match = _LENGTH.fullmatch(text or "")
    if match is None:
        return None  # Not given, or in percent of a page that is not known.
    (value,) = numbers(match[1]) or (0.0,)
    return value * _UNITS[match[2] or "px"] if value > 0 else None


def _fit(box: list[float], wide: float, high: float, aspect: str) -> Matrix:
    left, top, across, down = box
    sx, sy = wide / across, high / down
    if "none" in aspect:
        return sx, 0.0, 0.0, sy, -left * sx, -top * sy
    scale = max(sx, sy) if "slice" in aspect else min(sx, sy)
    x = _SHARES.get(aspect.strip()[1:4], 0.5) * (wide - across * scale)
    y = _SHARES.get(aspect.strip()[5:8], 0.5) * (high - down * scale)
    return scale, 0.0, 0.0, scale, x - left * scale, y - top * scale
