"""SVG's path data, point lists and transforms; curves become short straight edges.

Scalable Vector Graphics (SVG) 1.1, chapters 7.6 and 8, https://www.w3.org/TR/SVG11/. Deviation:
an error refuses the whole path, where a browser would draw what comes before it.
"""

from __future__ import annotations

import cmath
import math
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias, final

from foveal.data.polygons.regions import MAX_POINTS
from foveal.errors import ImageError

Matrix: TypeAlias = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f: x' = a x + c y + e, y' = b x + d y + f."""

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)

# A number of more digits than a double has any use for takes long to parse.
_MAX_DIGITS = 400
# Products of two of them are still finite; no drawing needs them.
_MAX_NUMBER = 1e15
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_COMMAND = re.compile(r"([MmZzLlHhVvCcSsQqTtAa])([^MmZzLlHhVvCcSsQqTtAa]*)")
_ARC = re.compile(
    rf"({_NUMBER.pattern})[\s,]*({_NUMBER.pattern})[\s,]*({_NUMBER.pattern})[\s,]*"
    rf"([01])[\s,]*([01])[\s,]*({_NUMBER.pattern})[\s,]*({_NUMBER.pattern})"
)
_TRANSFORM = re.compile(r"([A-Za-z]+)\s*\(([^()]*)\)")
_PLAIN = re.compile(r"[\d\s,.+\-eE]*", re.ASCII)
_LONG = re.compile(rf"\d{{{_MAX_DIGITS}}}")
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}


def numbers(text: str) -> list[float]:
    """Return the numbers in a list that commas or spaces separate.

    Raises:
        ImageError: If there is anything else in it.
    """
    if _PLAIN.fullmatch(text) and not (len(text) > _MAX_DIGITS and _LONG.search(text)):
        try:
            return _checked([float(word) for word in text.replace(",", " ").split()])
        except ValueError:
            # `1-2.5.5` are three numbers.
            if not _NUMBER.sub("", text).strip(" \t\r\n,"):
                return _checked([float(word) for word in _NUMBER.findall(text)])
    raise ImageError(f"{_shown(text)} is not a list of numbers")


def _checked(values: list[float]) -> list[float]:
    if values and (max(values) > _MAX_NUMBER or min(values) < -_MAX_NUMBER):
        raise ImageError(f"a number is larger than {_MAX_NUMBER:g}")
    return values


def parse_transform(text: str) -> Matrix:
    """Return the matrix of a `transform` attribute.

    Raises:
        ImageError: For an unknown function or a wrong number of arguments.
    """
    if _TRANSFORM.sub("", text).strip(" \t\r\n,"):
        raise ImageError(f"the transform {_shown(text)} cannot be parsed")
    matrix = IDENTITY
    for name, inside in _TRANSFORM.findall(text):
        matrix = compose(matrix, _function(name, numbers(inside)))
    return matrix


def _function(name: str, args: list[float]) -> Matrix:
    match name, args:
        case "matrix", [a, b, c, d, e, f]:
            return a, b, c, d, e, f
        case "translate", [x, *more] if len(more) < 2:
            return 1.0, 0.0, 0.0, 1.0, x, more[0] if more else 0.0
        case "scale", [x, *more] if len(more) < 2:
            return x, 0.0, 0.0, more[0] if more else x, 0.0, 0.0
        case "rotate", [angle, *center] if len(center) in (0, 2):
            sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
            x, y = center or (0.0, 0.0)
            turned = (cosine, sine, -sine, cosine, 0.0, 0.0)
            there, back = (1.0, 0.0, 0.0, 1.0, x, y), (1.0, 0.0, 0.0, 1.0, -x, -y)
            return compose(compose(there, turned), back)
        case "skewX", [angle]:
            return 1.0, 0.0, math.tan(math.radians(angle)), 1.0, 0.0, 0.0
        case "skewY", [angle]:
            return 1.0, math.tan(math.radians(angle)), 0.0, 1.0, 0.0, 0.0
    raise ImageError(f"the transform {name} with {len(args)} numbers is not valid")


def compose(outer: Matrix, inner: Matrix) -> Matrix:
    """Return the matrix that applies `inner` first, then `outer`."""
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return (
        a * g + c * h,
        b * g + d * h,
        a * i + c * j,
        b * i + d * j,
        a * k + c * m + e,
        b * k + d * m + f,
    )


def parse_path(data: str, tolerance: float) -> list[list[complex]]:
    """Return the subpaths of path data, open ones too, as x + iy of their corners.

    Args:
        data: The `d` attribute.
        tolerance: Largest distance of an edge from the curve, in units of the path; > 0.

    Raises:
        ImageError: If it cannot be understood, or has too many points.
    """
    before = _COMMAND.split(data, maxsplit=1)[0]
    if before.strip() or _LONG.search(data):
        raise ImageError(f"the path {_shown(data)} cannot be parsed")
    pen = _Pen(tolerance)
    for command, text in _COMMAND.findall(data):
        kind = command.upper()
        args = _arc_arguments(text) if kind == "A" else numbers(text)
        each = _ARGUMENTS[kind]
        if (len(args) % each if each else args) or (each and not args):
            raise ImageError(f"the path has {len(args)} numbers after {command}")
        if not pen.rings and kind != "M":
            raise ImageError(f"the path begins with {command}. Expected M")
        if kind == "Z":
            pen.close()
        for at in range(0, len(args), each or 1):
            pen.draw(kind, command.islower(), args[at : at + each])
            # Further pairs after M are lines.
            kind = "L" if kind == "M" else kind
    return pen.rings


def _arc_arguments(text: str) -> list[float]:
    # The two flags need no space after them: `a1 1 0 01.5 2`.
    if _ARC.sub("", text).strip(" \t\r\n,"):
        raise ImageError(f"the arc {_shown(text)} cannot be parsed")
    return _checked([float(number) for arc in _ARC.findall(text) for number in arc])


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


@final
@dataclass(eq=False)
class _Pen:
    """Draws commands; points are complex numbers."""

    tolerance: float
    rings: list[list[complex]] = field(default_factory=list)
    _here: complex = 0j
    _is_closed: bool = False
    _control: complex = 0j
    _kind: str = ""
    _points: int = 0

    def close(self) -> None:
        """Return to the start of the subpath."""
        self._here = self.rings[-1][0]
        self._is_closed = True
        self._kind = "Z"

    def draw(self, kind: str, is_relative: bool, args: list[float]) -> None:
        """Draw one command but Z."""
        base = self._here if is_relative else 0j
        if kind == "M":
            self._here = complex(*args) + base
            self.rings.append([self._here])
            self._is_closed = False
        elif kind == "A":
            self._arc(args, complex(args[5], args[6]) + base)
        elif kind == "H":
            self._add([complex(args[0] + base.real, self._here.imag)])
        elif kind == "V":
            self._add([complex(self._here.real, args[0] + base.imag)])
        else:
            points = [complex(*args[i : i + 2]) + base for i in range(0, len(args), 2)]
            if kind == "L":
                self._add(points)
            else:
                self._curve(kind, points)
        self._kind = kind

    def _curve(self, kind: str, points: list[complex]) -> None:
        # A smooth curve begins as the one before it ended, mirrored.
        if kind in "ST":
            is_alike = self._kind in (("C", "S") if kind == "S" else ("Q", "T"))
            points.insert(0, 2 * self._here - self._control if is_alike else self._here)
        self._control = points[-2]
        corners = [self._here, *points]
        degree = len(points)
        # An edge of 1/n of a curve is within degree (degree - 1) / 8 n**2 of its largest second
        # difference: Filip, Magedson, Markot, Surface algorithms using bounds on derivatives, 1986.
        bends = [
            abs(p - 2 * q + r) for p, q, r in zip(corners, corners[1:], corners[2:], strict=False)
        ]
        bend = max(bends, default=0.0) * degree * (degree - 1) / 8
        count = self._count(math.sqrt(bend / self.tolerance))
        self._add([_bezier(corners, i / count) for i in range(1, count)] + [points[-1]])

    def _arc(self, args: list[float], end: complex) -> None:
        """Draw an elliptical arc (appendix F.6 of the standard), on the unit circle."""
        rx, ry = abs(args[0]), abs(args[1])
        is_large, is_clockwise = args[3] == 1, args[4] == 1
        if end == self._here:
            return
        if rx == 0 or ry == 0:
            self._add([end])
            return
        axis = cmath.rect(1, math.radians(args[2]))
        start, stop = (
            complex((p / axis).real / rx, (p / axis).imag / ry) for p in (self._here, end)
        )
        half = abs(stop - start) / 2
        # Radii that are too small for the distance grow until they fit.
        grown = max(1.0, half)
        start, stop, rx, ry = start / grown, stop / grown, rx * grown, ry * grown
        height = math.sqrt(max(0.0, 1 - (half / grown) ** 2))
        if stop == start:
            self._add([end])
            return
        across = 1j * (stop - start) / abs(stop - start) * height
        center = (start + stop) / 2 + (across if is_large != is_clockwise else -across)
        first = cmath.phase(start - center)
        sweep = (cmath.phase(stop - center) - first) % (2 * math.pi)
        sweep = sweep if is_clockwise else sweep - 2 * math.pi
        # A chord over an angle leaves a circle by r (1 - cos(angle / 2)).
        angle = 2 * math.acos(max(0.0, 1 - self.tolerance / max(rx, ry)))
        count = self._count(abs(sweep) / angle if angle else math.inf)
        arc = []
        for i in range(1, count):
            point = center + cmath.rect(1, first + sweep * i / count)
            arc.append(complex(point.real * rx, point.imag * ry) * axis)
        self._add([*arc, end])

    def _count(self, edges: float) -> int:
        if not edges < MAX_POINTS:
            raise ImageError(f"a path has more than {MAX_POINTS:,} points")
        return max(1, math.ceil(edges))

    def _add(self, points: list[complex]) -> None:
        if self._is_closed:
            # After a Z without an M the next subpath starts where this one did.
            self.rings.append([self.rings[-1][0]])
            self._is_closed = False
        self._points += len(points)
        if self._points > MAX_POINTS:
            raise ImageError(f"a path has more than {MAX_POINTS:,} points")
        self.rings[-1].extend(points)
        self._here = points[-1]


def _bezier(corners: list[complex], share: float) -> complex:
    """Return the point of a Bézier curve, by de Casteljau's halving."""
    while len(corners) > 1:
        corners = [p + (q - p) * share for p, q in pairwise(corners)]
    return corners[0]
