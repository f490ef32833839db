"""Shapes of SVG, labelme and COCO files become masks, pixel by pixel; what is wrong is said."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits
from foveal.data.polygons.coco import decode_counts, read_coco
from foveal.data.polygons.labelme import read_labelme
from foveal.data.polygons.regions import Runs, Shape, count_outside, rasterise, to_ring
from foveal.data.polygons.svg_paths import parse_path, parse_transform
from foveal.data.polygons.svg_shapes import read_svg
from foveal.data.readers.base import Place
from foveal.data.readers.polygons import PolygonsReader
from foveal.data.source import ReadAnything, Source
from foveal.data.storage import LocalStorage
from foveal.errors import DataError, ImageError
from foveal.types import IGNORED, Finding

LIMITS = DecodeLimits(max_bytes=10_000_000, max_pixels=1_000_000)
MASKS = ReadAnything(target="mask")
SQUARE = [(2, 2), (6, 2), (6, 6), (2, 6)]


def shape(*rings: Any, label: str | None = "a", rule: Any = "nonzero") -> Shape:
    made = [to_ring(ring) for ring in rings]
    return Shape(label, tuple(ring for ring in made if ring is not None), rule)


def draw(*shapes: Shape | Runs, height: int = 8, width: int = 8) -> list[str]:
    """Draw and return the rows: `.` for 0, the value's digit, `x` for what is ignored."""
    mask = rasterise(shapes, height, width, {"background": 0, "a": 1, "b": 2})
    return ["".join({0: ".", IGNORED: "x"}.get(int(v), str(v)) for v in row) for row in mask]


# --- Drawing


def test_a_square_covers_the_pixels_whose_centres_are_inside() -> None:
    rows = ["........"] * 2 + ["..1111.."] * 4 + ["........"] * 2
    assert draw(shape(SQUARE)) == rows
    assert draw(shape(SQUARE[::-1])) == rows


def test_half_a_pixel_more_or_less_decides() -> None:
    assert draw(shape([(0.4, 0.4), (2.6, 0.4), (2.6, 1.6), (0.4, 1.6)]), height=3, width=4) == [
        "111.",
        "111.",
        "....",
    ]
    assert draw(shape([(0.6, 0.6), (2.4, 0.6), (2.4, 1.4), (0.6, 1.4)]), height=3, width=4) == [
        "....",
        "....",
        "....",
    ]


def test_neighbours_neither_overlap_nor_leave_a_gap() -> None:
    left = shape([(0, 0), (5, 0), (2, 8), (0, 8)])
    right = shape([(5, 0), (8, 0), (8, 8), (2, 8)], label="b")
    assert draw(left, right) == draw(right, left)
    assert "." not in "".join(draw(left, right))


def test_later_shapes_lie_over_earlier_ones_and_the_background_erases() -> None:
    rows = draw(
        shape([(0, 0), (4, 0), (4, 2), (0, 2)]),
        shape([(1, 0), (3, 0), (3, 2), (1, 2)], label="b"),
        shape([(2, 1), (4, 1), (4, 2), (2, 2)], label="background"),
        shape([(0, 1), (1, 1), (1, 2), (0, 2)], label=None),
        height=2,
        width=4,
    )
    assert rows == ["1221", "x2.."]


INNER = [(3, 3), (5, 3), (5, 5), (3, 5)]


@pytest.mark.parametrize(
    ("inner", "rule", "is_hole"),
    [
        (INNER, "evenodd", True),
        (INNER[::-1], "evenodd", True),
        # The same direction winds twice round the inside, the other direction not at all.
        (INNER, "nonzero", False),
        (INNER[::-1], "nonzero", True),
    ],
)
def test_nested_rings_follow_the_fill_rule(inner: Any, rule: str, is_hole: bool) -> None:
    rows = draw(shape(SQUARE, inner, rule=rule))
    assert rows[2] == "..1111.."
    assert rows[3] == rows[4] == ("..1..1.." if is_hole else "..1111..")


def test_what_lies_outside_is_cut_off() -> None:
    assert draw(shape([(-5, -5), (3, -5), (3, 2), (-5, 2)]), height=3, width=4) == [
        "111.",
        "111.",
        "....",
    ]
    assert draw(shape([(2, 1), (99, 1), (99, 99), (2, 99)]), height=3, width=4) == [
        "....",
        "..11",
        "..11",
    ]
    assert draw(shape([(20, 20), (30, 20), (30, 30)]), height=1, width=3) == ["..."]


def test_points_outside_are_counted_and_the_edge_is_inside() -> None:
    ring = [(0, 0), (8, 0), (8, 8), (-1, 8), (3, 9)]
    assert count_outside([shape(ring)], 8, 8) == 2


def winding(points: NDArray[np.float64], x: float, y: float) -> int:
    """Return how often a polygon winds round a point, by adding up the angles."""
    total = 0.0
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        a, b = complex(x0 - x, y0 - y), complex(x1 - x, y1 - y)
        total += math.atan2((a.conjugate() * b).imag, (a.conjugate() * b).real)
    return round(total / (2 * math.pi))


# Odd multiples of 1/64 keep corners off the centres of pixels.
COORDINATES = st.integers(-200, 900).map(lambda n: (2 * n + 1) / 128)


@settings(deadline=None, max_examples=60)
@given(
    points=st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=9),
    rule=st.sampled_from(["nonzero", "evenodd"]),
)
def test_every_pixel_is_where_its_centre_is(points: Any, rule: str) -> None:
    ring = to_ring(points)
    if ring is None:
        return
    for at in np.ndindex(10, 10):
        edges = zip(ring, np.roll(ring, -1, axis=0), strict=True)
        x, y = at[1] + 0.5, at[0] + 0.5
        if any(
            abs((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) < 1e-6 for a, b in edges
        ):
            return  # A centre on an edge belongs to either side.
    mask = rasterise([Shape("a", (ring,), rule)], 10, 10, {"a": 1})  # type: ignore[arg-type]  # drawn from the two
    for row, column in np.ndindex(10, 10):
        turns = winding(ring, column + 0.5, row + 0.5)
        is_inside = turns != 0 if rule == "nonzero" else turns % 2 == 1
        assert mask[row, column] == is_inside


def test_a_shape_larger_than_a_band_is_drawn_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    triangle = shape([(0, 0), (60, 5), (10, 60)])
    whole = draw(triangle, height=64, width=64)
    monkeypatch.setattr("foveal.data.polygons.regions._BAND_PIXELS", 100)
    assert draw(triangle, height=64, width=64) == whole


def test_a_shape_that_crosses_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveal.data.polygons.regions._MAX_CROSSINGS", 10)
    with pytest.raises(ImageError, match="too complex"):
        draw(shape([(0, 0), (0, 8), (1, 0), (1, 8)]))


def test_two_points_are_no_ring_and_repeated_ones_count_once() -> None:
    assert to_ring([]) is None
    assert to_ring([(1, 1), (5, 5)]) is None
    assert to_ring([(1, 1), (1, 1), (5, 5), (1, 1)]) is None
    ring = to_ring([(1, 1), (5, 5), (5, 1), (1, 1)])
    assert ring is not None and len(ring) == 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e8])
def test_points_that_are_nowhere_are_refused(bad: float) -> None:
    with pytest.raises(ImageError, match="not finite, or is far outside"):
        to_ring([(0, 0), (1, bad), (2, 2)])


# --- SVG

HEAD = 'xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://inkscape.org/i"'


def svg(body: str, attributes: str = "") -> bytes:
    return f"<svg {HEAD} {attributes}>{body}</svg>".encode()


def mask_of(body: str, attributes: str = "", height: int = 8, width: int = 8) -> list[str]:
    drawing = read_svg("a.svg", svg(body, attributes), height, width)
    regions = [Shape("a", r.rings, r.rule) for r in drawing.regions if isinstance(r, Shape)]
    return draw(*regions, height=height, width=width)


FILLED = ["........"] * 2 + ["..1111.."] * 4 + ["........"] * 2


@pytest.mark.parametrize(
    "body",
    [
        '<rect x="2" y="2" width="4" height="4" fill="none" stroke="red"/>',
        '<path d="M2 2 L6 2 L6 6 L2 6" style="fill:none;stroke:#00f"/>',
        '<path d="M2,2h4v4h-4z" fill-opacity="0"/>',
        '<path d="m2 2 4 0 0 4-4 0z"/>',
        '<path d="M 2 2 H 6 V 6 H 2 Z" stroke-width="9"/>',
        '<polygon points="2,2 6,2 6,6 2,6"/>',
        '<polyline points="2 2 6 2 6 6 2 6" fill="none"/>',
        '<svg:rect xmlns:svg="http://www.w3.org/2000/svg" x="2" y="2" width="4px" height="4"/>',
        '<g transform="translate(2 2)"><rect width="4" height="4"/></g>',
        '<g transform="scale(2)"><path d="M0 0h2v2h-2z" transform="translate(1,1)"/></g>',
        '<rect x="2" y="-6" width="4" height="4" transform="rotate(90)"/>',
        '<rect x="2" y="2" width="4" height="4" transform="rotate(90 4 4)"/>',
        '<rect width="1" height="1" transform="matrix(4 0 0 4 2 2)"/>',
        '<path d="M2 2h4v4h-4z" transform="skewX(0) skewY(0)"/>',
        '<defs><rect width="8" height="8"/></defs><rect x="2" y="2" width="4" height="4"/>',
        '<rect x="2" y="2" width="4" height="4"/><rect width="8" height="8" display="none"/>',
        '<g style="display:none"><rect width="8" height="8"/></g><path d="M2 2h4v4h-4z"/>',
        '<text>M0 0</text><image width="8" height="8"/><path d="M2 2h4v4h-4z"/>',
    ],
)
def test_every_shape_is_filled_whatever_its_style(body: str) -> None:
    assert mask_of(body) == FILLED


def test_the_fill_rule_is_read_and_inherited() -> None:
    data = "M2 2h4v4h-4z M3 3h2v2h-2z"
    assert mask_of(f'<path d="{data}"/>') == FILLED
    hole = [*FILLED[:3], "..1..1..", "..1..1..", *FILLED[5:]]
    assert mask_of(f'<path d="{data}" fill-rule="evenodd"/>') == hole
    assert mask_of(f'<g style="fill-rule:evenodd"><path d="{data}"/></g>') == hole


@pytest.mark.parametrize(
    "attributes",
    [
        'viewBox="0 0 80 80"',
        'viewBox="0 0 80 80" width="8mm" height="8mm"',
        'viewBox="0 0 80 80" width="100%" height="100%"',
        'viewBox="0 0 80 80" width="37"',
        'width="80" height="80"',
        'width="80pt" height="80pt" viewBox="0 0 80 80"',
    ],
)
def test_the_page_is_scaled_to_the_picture(attributes: str) -> None:
    assert mask_of('<rect x="20" y="20" width="40" height="40"/>', attributes) == FILLED


def test_the_corner_of_the_view_box_is_the_corner_of_the_picture() -> None:
    assert mask_of('<rect x="-3" y="7" width="4" height="4"/>', 'viewBox="-5 5 8 8"') == FILLED


def test_a_box_of_another_shape_is_fitted_as_the_standard_says() -> None:
    box = '<rect width="4" height="4"/>'
    square = 'viewBox="0 0 4 4" width="8" height="4"'
    middle = ["..1111.."] * 4
    assert mask_of(box, square, height=4) == middle
    assert mask_of(box, f'{square} preserveAspectRatio="xMinYMid"', height=4) == ["1111...."] * 4
    assert mask_of(box, f'{square} preserveAspectRatio="none"', height=4) == ["11111111"] * 4


@pytest.mark.parametrize(
    "body",
    [
        '<circle cx="50" cy="50" r="40"/>',
        '<ellipse cx="50" cy="50" rx="40" ry="40"/>',
        '<path d="M10 50A40 40 0 1 1 90 50A40 40 0 1 1 10 50z"/>',
        '<path d="M10 50a40 40 0 0180 0 40 40 0 01-80 0z"/>',
        '<path d="M50 10a40 40 0 1 0 .001 0z"/>',
        '<rect x="10" y="10" width="80" height="80" rx="40"/>',
        '<circle r="4" transform="translate(50 50) scale(10)"/>',
    ],
)
def test_circles_are_round_within_a_quarter_of_a_pixel(body: str) -> None:
    drawing = read_svg("a.svg", svg(body), 100, 100)
    (region,) = drawing.regions
    assert isinstance(region, Shape)
    (ring,) = region.rings
    middles = (ring + np.roll(ring, -1, axis=0)) / 2
    for points in (ring, middles):
        radii = np.hypot(points[:, 0] - 50, points[:, 1] - 50)
        assert np.abs(radii - 40).max() < 0.25


def cubic(p0: complex, p1: complex, p2: complex, p3: complex, t: float) -> complex:
    return (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-500, 500), min_size=8, max_size=8))
def test_curves_are_flattened_within_the_tolerance(values: list[int]) -> None:
    p0, p1, p2, p3 = (complex(*values[i : i + 2]) for i in range(0, 8, 2))
    data = f"M{p0.real} {p0.imag}C{p1.real} {p1.imag} {p2.real} {p2.imag} {p3.real} {p3.imag}"
    (ring,) = parse_path(data, 0.1)
    count = len(ring) - 1
    for i in range(count):
        middle = cubic(p0, p1, p2, p3, (i + 0.5) / count)
        assert abs(ring[i] - cubic(p0, p1, p2, p3, i / count)) < 1e-6
        assert abs((ring[i] + ring[i + 1]) / 2 - middle) <= 0.1 + 1e-9


def test_smooth_curves_go_on_as_the_one_before_ended() -> None:
    assert parse_path("M0 0C0 4 4 4 4 0S8-4 8 0", 0.1) == parse_path(
        "M0 0C0 4 4 4 4 0C4-4 8-4 8 0", 0.1
    )
    assert parse_path("M0 0Q2 4 4 0T8 0", 0.1) == parse_path("M0 0Q2 4 4 0Q6-4 8 0", 0.1)
    # Without a curve before it the control point is where the pen is.
    assert parse_path("M0 0L4 0S8 4 8 0", 0.1) == parse_path("M0 0L4 0C4 0 8 4 8 0", 0.1)


def test_a_subpath_after_z_starts_where_the_last_one_did() -> None:
    assert parse_path("M1 1h2v2zl-1 0v-1z", 0.1) == [
        [1 + 1j, 3 + 1j, 3 + 3j],
        [1 + 1j, 0 + 1j, 0 + 0j],
    ]


def test_radii_that_are_too_small_grow_and_none_is_a_line() -> None:
    (ring,) = parse_path("M0 0A1 1 0 0 1 8 0", 0.01)
    assert np.allclose([abs(p - 4) for p in ring], 4)
    assert parse_path("M0 0A0 5 0 0 1 8 0A1 1 0 0 1 8 0", 0.01) == [[0j, 8 + 0j]]


def test_transforms_are_applied_from_right_to_left() -> None:
    a, b, c, d, e, f = parse_transform("translate(10, 20) rotate(90) scale(2 3)")
    assert (a, b, c, d, e, f) == pytest.approx((0, 2, -3, 0, 10, 20))
    assert parse_transform("skewX(45)") == pytest.approx((1, 0, 1, 1, 0, 0))
    assert parse_transform("scale(2)") == (2, 0, 0, 2, 0, 0)
    assert parse_transform(" ") == (1, 0, 0, 1, 0, 0)


R = 'width="4" height="4"'


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (f'<rect {R} id="nucleus_12"/>', "nucleus"),
        (f'<rect {R} id="nucleus-3"/>', "nucleus"),
        (f'<rect {R} id="nucleus"/>', "nucleus"),
        (f'<rect {R} class="gland big" id="x_1"/>', "gland"),
        (f'<rect {R} inkscape:label="type 2" class="gland"/>', "type 2"),
        (f'<rect {R} data-name="stroma" id="stroma-2"/>', "stroma"),
        (f'<g id="nucleus"><g><rect {R} id="rect42"/></g></g>', "nucleus"),
        (f'<g inkscape:label="nucleus" id="layer1"><rect {R} class="st0"/></g>', "nucleus"),
        (f'<g id="Layer_1"><rect {R} class="st0" fill="red"/></g>', "st0"),
        (f'<rect {R} id="path12" stroke="red" fill="#0f0"/>', "#ff0000"),
        (f'<rect {R} style="stroke:none;fill:#0F0"/>', "#00ff00"),
        (f'<g stroke="rgb(1,2,3)"><rect {R}/></g>', "#010203"),
        (f'<rect {R} fill="url(#g)" id="12"/>', "foreground"),
        (f"<rect {R}/>", "foreground"),
    ],
)
def test_a_shape_is_called_by_its_name_its_group_or_its_colour(body: str, label: str) -> None:
    assert read_svg("a.svg", svg(body), 8, 8).labels == {label}


def test_lines_and_points_are_counted_as_degenerate() -> None:
    body = '<line x2="5"/><polyline points="1,1 4,4"/><path d="M1 1"/><circle r="0"/><path d=""/>'
    drawing = read_svg("a.svg", svg(body), 8, 8)
    assert (drawing.regions, drawing.degenerate) == ((), 5)


LAUGHS = (
    '<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    '<svg xmlns="http://www.w3.org/2000/svg"><g id="&b;"/></svg>'
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (LAUGHS.encode(), "declares custom entities"),
        (LAUGHS.encode("utf-16"), "declares custom entities"),
        (b"", "is not an SVG file"),
        (b"\x89PNG\r\n\x1a\n", "is not an SVG file"),
        (b"<svg><g></svg>", "is not an SVG file"),
        (b"<html/>", "root element is <html>. Expected <svg>"),
        (svg('<path d="L 1 1"/>'), "begins with L"),
        (svg('<path d="M nan 1 2 2 3 3"/>'), "not a list of numbers"),
        (svg('<path d="12 M0 0"/>'), "cannot be parsed"),
        (svg('<path d="M1 2 3"/>'), "3 numbers after M"),
        (svg('<path d="M1 2 Z 3"/>'), "1 numbers after Z"),
        (svg('<path d="M0 0C1 1 2 2"/>'), "4 numbers after C"),
        (svg('<path d="M0 0A1 1 0 2 0 3 3"/>'), "the arc"),
        (svg('<path d="M0 0L1e400 2 3 3"/>'), "larger than"),
        (svg('<path d="M0 0L1e9 2 3 3"/>'), "far outside the picture"),
        (svg('<path d="M0 0L' + "1" * 10_000_000 + ' 2"/>'), "cannot be parsed"),
        (svg('<polygon points="' + "1" * 10_000_000 + ' 2"/>'), "not a list of numbers"),
        (svg('<polygon points="1 2 3"/>'), "Expected pairs"),
        (svg('<polygon points="1 2 NaN 3"/>'), "not a list of numbers"),
        (svg('<rect width="a" height="4"/>'), "not a list of numbers"),
        (svg('<g transform="spin(4)"><rect/></g>'), "transform spin"),
        (svg('<g transform="scale("/>'), "cannot be parsed"),
        (svg('<g transform="scale(1e12)"><path d="M0 0h1v1z"/></g>'), "enlarges"),
        (svg('<circle r="1e7" transform="scale(1e8)"/>'), "more than .* points"),
        (svg("", 'viewBox="0 0 0 5"'), "viewBox"),
        (svg("", 'viewBox="0 0 5"'), "viewBox"),
        (svg('<use href="#a"/>'), "<use> inside"),
        (svg("<g>" * 300 + "</g>" * 300), "levels deep"),
    ],
)
def test_hostile_and_broken_svg_is_refused_with_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        read_svg("some/a.svg", data, 8, 8)
    assert caught.value.message.startswith("some/a.svg")
    assert len(caught.value.message) < 300


def test_a_doctype_without_declarations_is_harmless() -> None:
    head = '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://x/s.dtd">'
    data = head.encode() + svg('<rect width="4" height="4"/>')
    assert len(read_svg("a.svg", data, 8, 8).regions) == 1


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet="MmLlHhVvCcSsQqTtAaZz0123456789.,-+e ", max_size=40))
def test_any_path_gives_points_or_a_reason(data: str) -> None:
    try:
        rings = parse_path(data, 0.1)
    except ImageError:
        return
    assert all(math.isfinite(abs(point)) for ring in rings for point in ring)


# --- labelme


def labelme(*shapes: Any, height: Any = 8, width: Any = 8) -> bytes:
    content = {"shapes": list(shapes), "imageHeight": height, "imageWidth": width, "flags": {}}
    return json.dumps(content).encode()


def entry(kind: str | None, points: Any, label: Any = "a", **more: Any) -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": points, **more}


@pytest.mark.parametrize(
    "shape",
    [
        entry("polygon", SQUARE),
        entry(None, SQUARE),
        entry("rectangle", [[6, 6], [2, 2]]),
        entry("rectangle", SQUARE),
    ],
)
def test_labelme_shapes_are_filled(shape: dict[str, Any]) -> None:
    drawing = read_labelme("a.json", labelme(shape))
    assert drawing is not None
    assert drawing.size == (8, 8)
    assert draw(*drawing.regions) == FILLED


def test_labelme_circles_are_given_by_centre_and_rim() -> None:
    drawing = read_labelme("a.json", labelme(entry("circle", [[4, 4], [4, 6.35]])))
    assert drawing is not None
    # Centres within 2.35 of (4, 4): 1.5 and 1.5 are 2.12 away, 2.5 and 0.5 are 2.55 away.
    assert draw(*drawing.regions) == FILLED


def png(bits: list[list[int]]) -> str:
    file = io.BytesIO()
    PILImage.fromarray(np.array(bits, np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_labelme_masks_lie_in_their_box() -> None:
    shape = entry("mask", [[2, 1], [4, 2]], mask=png([[0, 1, 1], [1, 0, 1]]))
    drawing = read_labelme("a.json", labelme(shape))
    assert drawing is not None
    assert draw(*drawing.regions, height=4, width=6) == ["......", "...11.", "..1.1.", "......"]


def test_labelme_masks_beyond_the_picture_are_cut() -> None:
    shape = entry("mask", [[-1, -1], [1, 0]], mask=png([[1, 1, 1], [1, 0, 1]]))
    drawing = read_labelme("a.json", labelme(shape))
    assert drawing is not None
    assert draw(*drawing.regions, height=2, width=3) == [".1.", "..."]


def test_labelme_names_for_background_and_ignored() -> None:
    strip = [[0, 0], [4, 1]]
    shapes = [
        entry("rectangle", strip, " a "),
        entry("rectangle", [[0, 0], [1, 1]], "_background_"),
        entry("rectangle", [[3, 0], [4, 1]], "__ignore__"),
    ]
    drawing = read_labelme("a.json", labelme(*shapes))
    assert drawing is not None
    assert draw(*drawing.regions, height=1, width=4) == [".11x"]


def test_labelme_lines_and_points_are_counted() -> None:
    shapes = [entry(kind, [[1, 1], [2, 2]]) for kind in ("line", "linestrip", "points", "polygon")]
    drawing = read_labelme("a.json", labelme(*shapes, entry("point", [[1, 1]])))
    assert drawing is not None
    assert (drawing.regions, drawing.degenerate) == ((), 5)


@pytest.mark.parametrize("content", ["[]", "{}", '{"shapes": 4}', '{"images": []}'])
def test_other_json_is_no_labelme(content: str) -> None:
    assert read_labelme("a.json", content.encode()) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not JSON"),
        (b'{"shapes": [NaN]}', "is not JSON"),
        (b'{"shapes": [' + b"1" * 10_000_000 + b"]}", "shape 1: it is not an object|is not JSON"),
        (labelme(4), "shape 1: it is not an object"),
        (labelme(entry("polygon", SQUARE, "")), "shape 1: it has no label"),
        (labelme(entry("polygon", SQUARE), {"points": SQUARE}), "shape 2: it has no label"),
        (labelme(entry("polygon", None)), "not pairs of numbers"),
        (labelme(entry("polygon", [[1, 2, 3]])), "not pairs of numbers"),
        (labelme(entry("polygon", [[1, "2"], [3, 4]])), "not pairs of numbers"),
        (labelme(entry("polygon", [[1, 1e300], [3, 4]])), "far outside the picture"),
        (labelme(entry("spiral", SQUARE)), "shape_type is 'spiral'"),
        (labelme(entry("circle", SQUARE)), "a circle has 4 points"),
        (labelme(entry("mask", [[0, 0], [1, 1]])), "a mask needs"),
        (labelme(entry("mask", [[0, 0], [1, 1]], mask="%%%")), "not base64"),
        (labelme(entry("mask", [[0, 0], [1, 1]], mask="aGVsbG8=")), "Not a picture"),
        (labelme(height="8"), "is for a picture of 8 x '8'"),
        (labelme(height=-1), "is for a picture"),
    ],
)
def test_broken_labelme_is_refused_with_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        read_labelme("some/a.json", data)
    assert caught.value.message.startswith("some/a.json")


# --- COCO


def encode_counts(counts: list[int]) -> str:
    """Write run lengths as COCO does, from the description alone: the reverse of the decoder."""
    text = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            low, value = value & 31, value >> 5
            is_last = value == (-1 if low & 16 else 0)
            text += chr(48 + low + (0 if is_last else 32))
            if is_last:
                break
    return text


@settings(deadline=None)
@given(st.lists(st.integers(0, 2_000_000_000), max_size=30))
def test_compressed_run_lengths_are_read_back(counts: list[int]) -> None:
    assert decode_counts(encode_counts(counts)) == counts


def test_compressed_run_lengths_of_a_known_mask() -> None:
    # By hand: 6 is 54 '6'; 1 '1'; 40 = 8 + 32: '8' + 32 -> 'X', then '1'; then 5 - 1 = 4 '4'.
    assert decode_counts("61X14") == [6, 1, 40, 5]


@pytest.mark.parametrize("text", ["P", "6 1", "é", "o" * 40])
def test_damaged_run_lengths_are_refused(text: str) -> None:
    with pytest.raises(ImageError, match="compressed run lengths"):
        decode_counts(text)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 7), st.integers(1, 7), st.data())
def test_run_lengths_go_down_the_columns(height: int, width: int, data: st.DataObject) -> None:
    flat = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    counts: list[int] = [0]
    inside = False
    for bit in flat:
        if bit != inside:
            counts.append(0)
            inside = bit
        counts[-1] += 1
    for written in (counts, encode_counts(counts)):
        content = coco([note(1, {"size": [height, width], "counts": written})], height, width)
        pictures = read_coco("a.json", content)
        assert pictures is not None and pictures[0].problem is None
        mask = rasterise(pictures[0].drawing.regions, height, width, {"a": 1})
        expected = [[flat[x * height + y] for x in range(width)] for y in range(height)]
        assert mask.tolist() == [[int(bit) for bit in row] for row in expected]


def note(image: Any, segmentation: Any, category: Any = 1, crowd: int = 0) -> dict[str, Any]:
    return {
        "id": 7,
        "image_id": image,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": crowd,
    }


def coco(
    annotations: list[Any], height: Any = 8, width: Any = 8, files: tuple[str, ...] = ("a.png",)
) -> bytes:
    images = [
        {"id": number, "file_name": file, "height": height, "width": width}
        for number, file in enumerate(files, 1)
    ]
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(content).encode()


FLAT = [2, 2, 6, 2, 6, 6, 2, 6]


def test_coco_polygons_are_parts_of_one_object() -> None:
    pictures = read_coco("a.json", coco([note(1, [FLAT, [3, 3, 5, 3, 5, 5, 3, 5]])]))
    assert pictures is not None
    assert draw(*pictures[0].drawing.regions) == FILLED


def test_crowds_are_ignored_where_nothing_is_outlined_within() -> None:
    crowd = note(1, {"size": [8, 8], "counts": [0, 64]}, crowd=1)
    pictures = read_coco("a.json", coco([note(1, [FLAT]), crowd]))
    assert pictures is not None
    assert draw(*pictures[0].drawing.regions) == [row.replace(".", "x") for row in FILLED]


def test_boxes_without_outlines_are_counted() -> None:
    pictures = read_coco("a.json", coco([note(1, []), note(1, [[1, 1, 2, 2]]), note(1, [FLAT])]))
    assert pictures is not None
    assert (len(pictures[0].drawing.regions), pictures[0].drawing.degenerate) == (1, 2)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (note(1, [FLAT], category=9), "category is 9"),
        (note(1, [[1, 2, 3]]), "x, y, x, y"),
        (note(1, [["a"]]), "not a list of numbers"),
        (note(1, [[[1, 2], [3, 4]]]), "x, y, x, y"),
        (note(1, [[0, 0, 1e9, 0, 5, 5]]), "far outside"),
        (note(1, "text"), "neither a list of polygons"),
        (note(1, {"counts": [64]}), "its size is None"),
        (
            note(1, {"size": [8, 9], "counts": [72]}),
            "cover 9 x 8 pixels, but the picture has 8 x 8",
        ),
        (note(1, {"size": [8, 8], "counts": [63]}), "sum to 63"),
        (note(1, {"size": [8, 8], "counts": [-1, 65]}), "integers from 0"),
        (note(1, {"size": [8, 8], "counts": "P"}), "are truncated"),
        (note(1, {"size": [10**9, 10**9], "counts": [10**18]}), "its size is"),
    ],
)
def test_a_broken_annotation_is_the_problem_of_its_picture(annotation: Any, message: str) -> None:
    data = coco([annotation, note(2, [FLAT])], files=("a.png", "b.png"))
    pictures = read_coco("x.json", data)
    assert pictures is not None
    first, second = pictures
    assert first.problem is not None
    assert first.problem.startswith("x.json, annotation 7 of a.png: ")
    assert message in first.problem
    assert second.problem is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (coco([note(5, [FLAT])]), "annotation 7 belongs to image 5"),
        (coco([3]), "annotation 3 belongs to image None"),
        (b'{"images": [{}], "annotations": [], "categories": []}', "image has no id"),
        (b'{"images": [{"id": 1}], "annotations": [], "categories": []}', "no file_name"),
        (b'{"images": [], "annotations": [], "categories": [{"id": 1}]}', "category 1 has no name"),
    ],
)
def test_contradicting_lists_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_coco("x.json", content)


# --- The reader


def put(root: Path, name: str, content: bytes | tuple[int, int]) -> None:
    """Write a file, or a picture of a height and a width."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        PILImage.new("RGB", (content[1], content[0])).save(path)


def opened(root: Path) -> Source:
    source = PolygonsReader().read(Place(LocalStorage(root)), MASKS)
    assert source is not None
    return source


def ids(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.id for finding in findings]


SVG_SQUARE = svg('<rect id="nucleus_1" x="2" y="2" width="4" height="4"/>')


@pytest.mark.parametrize(
    ("picture", "file"),
    [
        ("a.png", "a.svg"),
        ("images/a.png", "images/a.svg"),
        ("images/a.png", "annotations/a.svg"),
        ("images/a.png", "polygons/a.svg"),
        ("images/a.png", "masks/a.svg"),
        ("set/images/one/a.png", "set/masks/one/a.svg"),
    ],
)
def test_shapes_are_found_beside_the_picture_or_in_a_folder_of_theirs(
    tmp_path: Path, picture: str, file: str
) -> None:
    put(tmp_path, picture, (8, 8))
    put(tmp_path, file, SVG_SQUARE)
    source = opened(tmp_path)
    assert source.classes == ("background", "nucleus")
    assert [(s.id, s.raw) for s in source.samples] == [(picture, ("background", "nucleus"))]
    assert source.findings == ()
    assert source.layout == "1 picture with shapes (SVG): nucleus"
    mask = source.mask(source.samples[0])
    assert mask.dtype == np.uint8
    assert mask.sum() == 16 and (mask[2:6, 2:6] == 1).all()


def test_classes_are_sorted_and_a_sample_names_those_that_occur(tmp_path: Path) -> None:
    for name, labels in (("a", "zb"), ("b", "b"), ("c", "")):
        put(tmp_path, f"{name}.png", (8, 8))
        shapes = [entry("polygon", SQUARE, label) for label in labels]
        put(tmp_path, f"{name}.json", labelme(*shapes))
    source = opened(tmp_path)
    assert source.classes == ("background", "b", "z")
    assert [s.raw for s in source.samples] == [
        ("background", "b", "z"),
        ("background", "b"),
        ("background",),
    ]
    assert not source.mask(source.samples[2]).any()


def test_one_colour_alone_is_the_foreground(tmp_path: Path) -> None:
    for name in "ab":
        put(tmp_path, f"{name}.png", (8, 8))
        put(tmp_path, f"{name}.svg", svg('<path d="M2 2h4v4h-4z" stroke="lime"/>'))
    source = opened(tmp_path)
    assert source.classes == ("background", "foreground")
    assert source.mask(source.samples[0]).sum() == 16
    put(tmp_path, "b.svg", svg('<path d="M2 2h4v4h-4z" stroke="red"/>'))
    assert opened(tmp_path).classes == ("background", "#00ff00", "#ff0000")


def test_folders_of_sides_are_the_split(tmp_path: Path) -> None:
    for side in ("train", "val"):
        put(tmp_path, f"{side}/images/a.png", (8, 8))
        put(tmp_path, f"{side}/masks/a.svg", SVG_SQUARE)
    source = opened(tmp_path)
    assert [s.split for s in source.samples] == ["train", "val"]
    assert source.layout.endswith("split as given (train 1, val 1)")


def test_what_is_wrong_with_shapes_is_found(tmp_path: Path) -> None:
    put(tmp_path, "bare.png", (8, 8))
    put(tmp_path, "broken.png", (8, 8))
    put(tmp_path, "broken.svg", b"<svg")
    put(tmp_path, "far.png", (8, 8))
    put(tmp_path, "far.svg", svg('<polygon points="-1,0 9,0 4,4"/><line x2="3"/>'))
    put(tmp_path, "large.png", (8, 9))
    put(tmp_path, "large.json", labelme(entry("polygon", SQUARE)))
    put(tmp_path, "lost.svg", SVG_SQUARE)
    put(tmp_path, "hurt.png", b"\x89PNG\r\n\x1a\n")
    put(tmp_path, "hurt.svg", SVG_SQUARE)
    source = opened(tmp_path)
    found = {finding.id: finding for finding in source.findings}
    assert list(found) == [
        "polygons.missing",
        "polygons.without_picture",
        "polygons.size_mismatch",
        "polygons.unreadable",
        "polygons.degenerate",
        "polygons.outside",
    ]
    assert found["polygons.missing"].samples == ("bare.png",)
    assert found["polygons.without_picture"].samples == ("lost.svg",)
    mismatch = found["polygons.size_mismatch"]
    assert mismatch.severity == "error"
    assert "large.json was drawn on a picture of 8 x 8 pixels. Expected 9 x 8" in mismatch.message
    assert found["polygons.unreadable"].samples == ("broken.png", "hurt.png")
    assert found["polygons.unreadable"].severity == "warning"
    assert "broken.svg is not an SVG file" in found["polygons.unreadable"].message
    assert found["polygons.degenerate"].count == 1
    assert found["polygons.outside"].count == 1
    assert {s.id: s.raw for s in source.samples} == {
        "bare.png": None,
        "broken.png": None,
        "far.png": ("background", "foreground"),
        "hurt.png": None,
        "large.png": None,
    }
    with pytest.raises(ImageError, match=r"bare\.png has no mask"):
        source.mask(source.samples[0])


def test_a_turned_picture_is_named_as_the_reason_for_other_sizes(tmp_path: Path) -> None:
    put(tmp_path, "a.png", (8, 5))
    put(tmp_path, "a.json", labelme(entry("polygon", SQUARE), height=5, width=8))
    (found,) = opened(tmp_path).findings
    assert found.hint is not None and "EXIF" in found.hint


def test_two_drawings_of_one_picture_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", (8, 8))
    put(tmp_path, "annotations/a.svg", SVG_SQUARE)
    put(tmp_path, "polygons/a.json", labelme(entry("polygon", SQUARE)))
    with pytest.raises(DataError, match="shapes of the same picture"):
        opened(tmp_path)


def test_a_drawing_that_changed_is_noticed(tmp_path: Path) -> None:
    put(tmp_path, "a.png", (8, 8))
    put(tmp_path, "a.svg", SVG_SQUARE)
    source = opened(tmp_path)
    put(tmp_path, "a.svg", svg('<rect id="other" width="4" height="4"/>'))
    with pytest.raises(ImageError, match="'other' is new"):
        source.mask(source.samples[0])


@pytest.mark.parametrize(
    ("file", "name", "picture"),
    [
        ("instances.json", "a.png", "a.png"),
        ("instances.json", "a.png", "images/a.png"),
        ("annotations/instances.json", "a.png", "images/a.png"),
        ("annotations/instances.json", "sub\\a.png", "images/sub/a.png"),
        ("annotations/instances.json", "../a.png", "a.png"),
        ("annotations/instances.json", "/home/me/a.png", "val2017/a.png"),
    ],
)
def test_pictures_of_a_coco_file_are_found(
    tmp_path: Path, file: str, name: str, picture: str
) -> None:
    put(tmp_path, picture, (8, 8))
    put(tmp_path, file, coco([note(1, [FLAT], category=2)], files=(name,)))
    source = opened(tmp_path)
    assert [(s.id, s.raw) for s in source.samples] == [(picture, ("background", "b"))]
    assert source.mask(source.samples[0]).sum() == 16
    assert source.findings == ()


def test_names_of_coco_files_are_the_split(tmp_path: Path) -> None:
    for side in ("train", "val"):
        put(tmp_path, f"{side}.png", (8, 8))
        data = coco([note(1, [FLAT])], files=(f"{side}.png",))
        put(tmp_path, f"annotations/instances_{side}2017.json", data)
        put(tmp_path, f"annotations/person_keypoints_{side}2017.json", data)
    source = opened(tmp_path)
    assert [(s.id, s.split) for s in source.samples] == [("train.png", "train"), ("val.png", "val")]


def test_a_coco_file_can_be_the_data_itself(tmp_path: Path) -> None:
    put(tmp_path, "a.png", (8, 8))
    put(tmp_path, "other.png", (8, 8))
    put(tmp_path, "b.json", coco([note(1, [FLAT])]))
    source = PolygonsReader().read(Place(LocalStorage(tmp_path), "b.json"), MASKS)
    assert source is not None
    assert source.location == f"{tmp_path}/b.json"
    assert [s.id for s in source.samples] == ["a.png"]
    assert source.findings == ()
    assert source.mask(source.samples[0]).sum() == 16


def test_what_a_coco_folder_lacks_is_found(tmp_path: Path) -> None:
    put(tmp_path, "a.png", (8, 8))
    put(tmp_path, "b.png", (9, 9))
    put(tmp_path, "c.png", (8, 8))
    put(tmp_path, "d.png", (8, 8))
    files = ("a.png", "b.png", "c.png", "gone.png")
    put(tmp_path, "x.json", coco([note(1, [FLAT]), note(3, [FLAT], category=5)], files=files))
    source = opened(tmp_path)
    assert ids(source.findings) == [
        "polygons.missing",
        "polygons.without_picture",
        "polygons.size_mismatch",
        "polygons.unreadable",
    ]
    assert [s.raw is not None for s in source.samples] == [True, False, False, False]


def test_pictures_that_are_nowhere_or_twice_stop_with_a_reason(tmp_path: Path) -> None:
    put(tmp_path, "z.png", (8, 8))
    put(tmp_path, "x.json", coco([], files=("a.png",)))
    with pytest.raises(
        DataError, match=r"None of the 1 picture listed in x\.json exists: 'a\.png'"
    ):
        opened(tmp_path)
    put(tmp_path, "a.png", (8, 8))
    put(tmp_path, "y.json", coco([], files=("a.png",)))
    with pytest.raises(DataError, match=r"a\.png is listed in both x\.json and y\.json"):
        opened(tmp_path)


def test_too_many_labels_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png", (8, 8))
    shapes = [entry("polygon", SQUARE, f"label {n}") for n in range(255)]
    put(tmp_path, "a.json", labelme(*shapes))
    with pytest.raises(DataError, match="256 labels"):
        opened(tmp_path)


def test_other_folders_and_tasks_are_passed_on(tmp_path: Path) -> None:
    put(tmp_path, "a.png", (8, 8))
    put(tmp_path, "notes.json", b'{"a": 1}')
    storage = LocalStorage(tmp_path)
    reader = PolygonsReader()
    assert reader.read(Place(storage), MASKS) is None
    assert reader.read(Place(storage, "notes.json"), MASKS) is None
    assert reader.read(Place(storage, "a.png"), MASKS) is None
    put(tmp_path, "a.svg", SVG_SQUARE)
    assert reader.read(Place(storage), ReadAnything()) is None
    assert reader.read(Place(storage, "a.svg"), ReadAnything()) is None


def test_pictures_are_loaded_and_opened(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    tifffile.imwrite(tmp_path / "b.tif", pixels, photometric="rgb")
    PILImage.fromarray(pixels).save(tmp_path / "a.png")
    for name in "ab":
        put(tmp_path, f"{name}.svg", SVG_SQUARE)
    source = opened(tmp_path)
    assert [s.id for s in source.samples] == ["a.png", "b.tif"]
    for sample in source.samples:
        loaded, parts = source.load(sample, LIMITS), source.open(sample, LIMITS)
        assert np.array_equal(loaded.picture.pixels, pixels)
        assert np.array_equal(parts.raster.read(0, 0, 8, 8), pixels)
        assert loaded.digest == parts.digest
        assert source.mask(sample).shape == (8, 8)
