from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.render.charts import Axis, Series, bar_chart, curve_chart, matrix_chart

SVG = "{http://www.w3.org/2000/svg}"


def elements(figure: str, kind: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(figure).iter(SVG + kind))


def words(figure: str) -> list[str]:
    return [element.text or "" for element in elements(figure, "text")]


def test_a_bar_is_as_long_as_its_share_of_the_longest() -> None:
    tracks_and_bars = elements(bar_chart([("a", 10, "ten"), ("b", 5, "five")]), "rect")

    lengths = [float(bar.get("width", "")) for bar in tracks_and_bars[1::2]]
    assert lengths[0] == pytest.approx(2 * lengths[1])


def test_an_undefined_bar_is_empty() -> None:
    rectangles = elements(bar_chart([("a", math.nan, "–"), ("b", 1, "1")]), "rect")

    assert float(rectangles[1].get("width", "")) == 0


def test_no_bars_are_a_valid_figure() -> None:
    assert elements(bar_chart([]), "rect") == []


def test_a_matrix_writes_counts_or_shares_and_says_both_on_hover() -> None:
    counts = [[3, 1], [0, 4]]

    cells = [w for w in words(matrix_chart(["a", "b"], counts)) if w.isdigit()]
    shares = [w for w in words(matrix_chart(["a", "b"], counts, shares=True)) if w.isdigit()]
    tips = [tip.text for tip in elements(matrix_chart(["a", "b"], counts), "title")]
    assert cells == ["3", "1", "4"]
    assert shares == ["75", "25", "100"]
    assert tips[1] == "a, answered b: 1 (25.0 %)"


def test_a_curve_leaves_out_undefined_points() -> None:
    figure = curve_chart(
        [Series("", [(0.0, 0.0), (0.5, math.nan), (1.0, 1.0)])], Axis("across"), Axis("up")
    )

    assert elements(figure, "polyline")[0].get("points", "").count(",") == 2


def test_a_curve_of_one_point_can_be_seen() -> None:
    figure = curve_chart([Series("", [(0.5, 0.5)])], Axis("across"), Axis("up"))

    assert len(elements(figure, "circle")) == 1


def test_whole_axes_mark_only_whole_numbers() -> None:
    epochs = Axis("epoch", 1, 3, percent=False, whole=True)
    figure = curve_chart([Series("", [(1.0, 0.5), (3.0, 1.0)])], epochs, Axis("up"))

    marks = [word for word in words(figure) if word.isdigit()]
    assert marks == ["1", "2", "3"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=60))
def test_any_label_gives_well_formed_figures(label: str) -> None:
    for figure in (
        bar_chart([(label, 1.0, label)]),
        matrix_chart([label, "b"], [[1, 2], [3, 4]]),
        curve_chart([Series(label, [(0.0, 1.0)]), Series("b", [])], Axis(label), Axis(label)),
    ):
        ElementTree.fromstring(figure)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside_the_axis(low: float, span: float) -> None:
    axis = Axis("", low, low + span, percent=False)
    figure = curve_chart([], axis, Axis(""))

    marks = [element for element in elements(figure, "text") if element.get("y") == "290.0"]
    assert 1 <= len(marks) <= 7


def test_a_long_legend_continues_in_a_second_row_within_the_figure():
    names = ["train loss", "train cross_entropy", "train dice", "val loss"]
    series = [Series(name, [(1.0, 0.5), (2.0, 0.4)]) for name in names]
    figure = curve_chart(series, Axis("epoch"), Axis(""), width=440)
    places = [
        (float(x), float(y))
        for x, y, word in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)<', figure)
        if word in names
    ]
    assert [y for _, y in places] == [8, 8, 8, 28]
    # 12 px of 0.56 em a character.
    assert all(x + 12 * 0.56 * len(n) <= 440 for (x, _), n in zip(places, names, strict=True))
