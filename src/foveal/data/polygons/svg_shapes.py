"""Shapes of an SVG file: every one is a filled region, whatever its `fill` and `stroke` say.

Nothing is fetched, no entity is expanded and no style sheet is applied.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast, final
from xml.parsers import expat

import numpy as np
from PIL import ImageColor

from foveal.data.polygons.regions import MAX_POINTS, Drawing, FillRule, Region, Ring, Shape, to_ring
from foveal.data.polygons.svg_paths import Matrix, compose, numbers, parse_path, parse_transform
from foveal.data.polygons.svg_viewport import viewport
from foveal.errors import ImageError

FOREGROUND = "foreground"
"""The class of shapes that have neither a name nor a colour."""

# Edges instead of curves, in original pixels.
_TOLERANCE_PX = 0.1
_MAX_DEPTH = 200
_MAX_SCALE = 1e9
_SHAPES = frozenset(("path", "polygon", "polyline", "rect", "circle", "ellipse"))
_GROUPS = frozenset(("svg", "g", "a", "switch"))
_WITHOUT_AREA = "line"
# Names that programs give by themselves: `path1234`, `Layer 1`.
_NAMELESS = _SHAPES | _GROUPS | {"group", "layer", "line", "object", "shape", "surface", "image"}
_NUMBERED = re.compile(r"[\s_.#-]*\d[\d_]*$")
_STYLE_CLASS = re.compile(r"(?:st|cls-?|fil|str)\d+")
_INHERITED = ("stroke", "fill", "fill-rule")


def read_svg(name: str, data: bytes, height: int, width: int) -> Drawing:
    """Return the shapes of an SVG file, scaled to a picture.

    A shape's class is the first of: `inkscape:label`, `data-name`, `class` or `id` (without the
    number at its end: `nucleus_12` is a nucleus) of the shape, or else of the nearest group that
    has one; a class of its style (`st0`); its `stroke`, or else its `fill`, as `#rrggbb`; or
    `foreground`. Hidden elements (`display: none`) and definitions are passed over.

    Args:
        name: Name of the file, for errors.
        data: The file.
        height: Height of the picture, in original pixels.
        width: Width of the picture, in original pixels.

    Raises:
        ImageError: If it is no SVG file, or holds what is not understood.
    """
    reader = _Reader(height, width)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = _refuse_declarations
    try:
        parser.Parse(data, True)
    except ImageError as error:
        line = parser.CurrentLineNumber
        hint = error.hint or "save it as plain SVG"
        raise ImageError(f"{name}, line {line}: {error.message.rstrip('.')}.", hint=hint) from error
    except expat.ExpatError as error:
        raise ImageError(f"{name} is not an SVG file: {error}.") from error
    return Drawing(tuple(reader.regions), None, reader.degenerate)


def _refuse_declarations(_: str, system: str | None, public: str | None, has_inner: int) -> None:
    # A bare DOCTYPE is common and harmless: nothing is fetched. Entities can grow without bound.
    if has_inner:
        raise ImageError("it declares custom entities, which are not supported")


@final
@dataclass(frozen=True, slots=True)
class _Element:
    """The properties that an element passes on to its children."""

    matrix: Matrix
    name: str | None = None
    style_class: str | None = None
    style: Mapping[str, str] = field(default_factory=dict)


@final
@dataclass(eq=False)
class _Reader:
    """Event handler for the elements of a file."""

    height: int
    width: int
    regions: list[Region] = field(default_factory=list)
    degenerate: int = 0
    _open: list[_Element] = field(default_factory=list)
    _hidden: int = 0
    _points: int = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Enter an element."""
        prefix, _, kind = tag.rpartition(":")
        if not self._open and not self._hidden:
            if kind != "svg":
                raise ImageError(f"the root element is <{tag[:40]}>. Expected <svg>")
            matrix = viewport(attributes, self.height, self.width)
            # The name of the whole is no class.
            self._open.append(_Element(matrix, style=_inherited({}, _style(attributes))))
            return
        if len(self._open) + self._hidden > _MAX_DEPTH:
            raise ImageError(f"elements are nested more than {_MAX_DEPTH} levels deep")
        properties = _style(attributes)
        is_known = prefix in ("", "svg") and kind in _SHAPES | _GROUPS | {_WITHOUT_AREA, "use"}
        if self._hidden or not is_known or properties.get("display") == "none":
            self._hidden += 1
            return
        if kind in ("svg", "use"):
            raise ImageError(
                f"<{kind}> inside the drawing is not supported",
                hint="in Inkscape: Edit > Clone > Unlink Clone, then save as plain SVG",
            )
        element = self._inside(attributes, properties)
        self._open.append(element)
        if kind == _WITHOUT_AREA:
            self.degenerate += 1
        elif kind in _SHAPES:
            self._add(kind, attributes, element)

    def end(self, _: str) -> None:
        """Leave an element."""
        if self._hidden:
            self._hidden -= 1
        else:
            self._open.pop()

    def _inside(self, attributes: dict[str, str], properties: dict[str, str]) -> _Element:
        outer = self._open[-1]
        matrix = compose(outer.matrix, parse_transform(properties.get("transform", "")))
        tokens = attributes.get("class", "").split()
        style_class = next((token for token in tokens if _STYLE_CLASS.fullmatch(token)), None)
        return _Element(
            matrix,
            _name(attributes) or outer.name,
            style_class or outer.style_class,
            _inherited(outer.style, properties),
        )

    def _add(self, kind: str, attributes: dict[str, str], element: _Element) -> None:
        rings = [
            ring
            for points in _outlines(kind, attributes, element.matrix)
            if (ring := to_ring(_transformed(points, element.matrix))) is not None
        ]
        self._points += sum(len(ring) for ring in rings)
        if self._points > MAX_POINTS:
            raise ImageError(f"the file has more than {MAX_POINTS:,} points")
        if not rings:
            self.degenerate += 1
            return
        rule = "evenodd" if element.style.get("fill-rule") == "evenodd" else "nonzero"
        self.regions.append(Shape(_label(element), tuple(rings), cast(FillRule, rule)))


def _style(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the presentation attributes; what the `style` attribute says goes first."""
    properties = {name: value.strip() for name, value in attributes.items()}
    for entry in attributes.get("style", "").split(";"):
        name, colon, value = entry.partition(":")
        if colon:
            properties[name.strip()] = value.replace("!important", "").strip()
    return properties


def _inherited(outer: Mapping[str, str], properties: Mapping[str, str]) -> dict[str, str]:
    own = {name: properties[name] for name in _INHERITED if name in properties}
    return {**outer, **own}


def _name(attributes: Mapping[str, str]) -> str | None:
    tokens = [t for t in attributes.get("class", "").split() if not _STYLE_CLASS.fullmatch(t)]
    for name in (
        attributes.get("inkscape:label", ""),
        attributes.get("data-name", ""),
        tokens[0] if tokens else "",
        # An id is unique in its file, so many of one kind are numbered.
        _NUMBERED.sub("", attributes.get("id", "")),
    ):
        name = name.strip()
        if name and _NUMBERED.sub("", name).lower() not in _NAMELESS | {""}:
            return name
    return None


def _label(element: _Element) -> str:
    if element.name or element.style_class:
        return element.name or element.style_class or ""
    for key in ("stroke", "fill"):
        try:
            red, green, blue = ImageColor.getrgb(element.style.get(key, "none"))[:3]
        except ValueError:  # `none`, `url(#gradient)`, `currentColor`: no colour of its own.
            continue
        return f"#{red:02x}{green:02x}{blue:02x}"
    return FOREGROUND


def _outlines(kind: str, attributes: Mapping[str, str], matrix: Matrix) -> list[list[complex]]:
    if kind in ("polygon", "polyline"):
        values = numbers(attributes.get("points", ""))
        if len(values) % 2:
            raise ImageError(f"<{kind}> has {len(values)} numbers. Expected pairs")
        return [[complex(*values[i : i + 2]) for i in range(0, len(values), 2)]]
    data = attributes.get("d", "") if kind == "path" else _as_path(kind, attributes)
    a, b, c, d = matrix[:4]
    # The longest that a unit can become.
    scale = max(math.hypot(a, b), math.hypot(c, d)) * math.sqrt(2)
    if not scale < _MAX_SCALE:
        raise ImageError(f"a transform enlarges {scale:g} times")
    return parse_path(data, _TOLERANCE_PX / max(scale, 1 / _MAX_SCALE))


def _as_path(kind: str, attributes: Mapping[str, str]) -> str:
    def value(name: str) -> float | None:
        text = attributes.get(name)
        if text is None or text.strip() == "auto":
            return None
        found = numbers(text.strip().removesuffix("px"))
        if len(found) != 1:
            raise ImageError(f"{name} of <{kind}> is {text[:40]!r}. Expected a number")
        return found[0]

    rx, ry = value("rx"), value("ry")
    if kind == "rect":
        x, y = value("x") or 0.0, value("y") or 0.0
        w, h = value("width") or 0.0, value("height") or 0.0
        if w <= 0 or h <= 0:
            return ""
        rx, ry = rx if rx is not None else ry or 0.0, ry if ry is not None else rx or 0.0
        rx, ry = min(abs(rx), w / 2), min(abs(ry), h / 2)
        if rx == 0 or ry == 0:
            return f"M{x} {y}h{w}v{h}h{-w}z"
        corner = f"a{rx} {ry} 0 0 1"
        return (
            f"M{x + rx} {y}h{w - 2 * rx}{corner} {rx} {ry}v{h - 2 * ry}{corner} {-rx} {ry}"
            f"h{2 * rx - w}{corner} {-rx} {-ry}v{2 * ry - h}{corner} {rx} {-ry}z"
        )
    x, y = value("cx") or 0.0, value("cy") or 0.0
    if kind == "circle":
        rx = ry = value("r") or 0.0
    rx, ry = rx if rx is not None else ry or 0.0, ry if ry is not None else rx or 0.0
    if rx <= 0 or ry <= 0:
        return ""
    return f"M{x - rx} {y}a{rx} {ry} 0 0 1 {2 * rx} 0a{rx} {ry} 0 0 1 {-2 * rx} 0z"


def _transformed(points: list[complex], matrix: Matrix) -> Ring:
    a, b, c, d, e, f = matrix
    values = np.array(points, np.complex128)
    x, y = values.real, values.imag
    with np.errstate(all="ignore"):  # What overflows is refused with a reason.
        return np.stack((a * x + c * y + e, b * x + d * y + f), axis=1)
