"""The details of an evaluation and the sections of the report made from them."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from foveal.tasks.base import ReportSection
from foveal.tasks.segment import report
from foveal.tasks.segment.analysis import row
from foveal.tasks.segment.details import analyse
from foveal.types import IGNORED, JsonObject

NAMES = ("background", "cell")
SVG = "{http://www.w3.org/2000/svg}"


def details_of(*pairs: tuple[str, str], names: tuple[str, ...] = NAMES) -> JsonObject:
    """The details of (answer, truth) pairs of one row of pixels each, as read from JSON."""

    def mask(digits: str) -> np.ndarray:
        return np.array([[IGNORED if c == "x" else int(c) for c in digits]], np.uint8)

    rows = [row(mask(a), mask(t), 0.9, classes=len(names), boundary_px=1) for a, t in pairs]
    details = analyse(np.stack(rows), names, tuple(range(1, len(names))))
    read: JsonObject = json.loads(json.dumps(details, allow_nan=False))
    return read


def sections_of(details: JsonObject) -> dict[str, ReportSection]:
    return {section.title: section for section in report.report_sections(details)}


def test_a_class_is_described_by_means_and_by_all_pixels() -> None:
    background, cell = details_of(("1100", "1100"), ("110000", "111111"))["classes"]
    assert cell["counted"] and not background["counted"]
    assert cell["dice"] == cell["f1"] == pytest.approx((1 + 0.5) / 2)
    assert cell["dice_global"] == cell["f1_global"] == pytest.approx(2 * 4 / 12, abs=1e-6)
    assert (cell["pixels"], cell["answered_pixels"], cell["pictures"]) == (8, 4, 2)
    assert cell["recall"] == pytest.approx((1 + 2 / 6) / 2, abs=1e-6)
    assert background["pictures"] == 1


def test_pictures_are_sorted_by_dice_with_their_quartiles() -> None:
    pictures = details_of(("11", "11"), ("10", "01"), ("1100", "1111"), ("00", "00"))["pictures"]
    assert pictures["dice"] == {
        "count": 3,
        "least": 0.0,
        "lower_quartile": pytest.approx((0 + 2 / 3) / 2, abs=1e-6),
        "median": pytest.approx(2 / 3, abs=1e-6),
        "upper_quartile": pytest.approx((1 + 2 / 3) / 2, abs=1e-6),
        "largest": 1.0,
        "values": [0.0, pytest.approx(2 / 3, abs=1e-6), 1.0],
    }
    assert pictures["without"] == 1
    assert [p["dice"] for p in pictures["confidence"]] == pictures["dice"]["values"]
    assert {p["confidence"] for p in pictures["confidence"]} == {0.9}


def test_empty_masks_are_counted() -> None:
    pairs = [("00", "00"), ("01", "00"), ("00", "0x"), ("00", "11"), ("11", "11")]
    assert details_of(*pairs)["empty"] == {
        "pictures": 5,
        "empty": 3,
        "empty_answered_empty": 2,
        "false_alarms": 1,
        "overlooked": 1,
    }


def test_the_confusion_is_in_pixels() -> None:
    details = details_of(("0110", "0011"), ("1111", "1111"))
    assert details["confusion"] == {"labels": list(NAMES), "counts": [[1, 1], [1, 5]]}


def test_what_stands_out_is_said() -> None:
    details = details_of(
        ("0122", "0112"), ("0011", "0000"), ("0000", "2222"), names=("background", "cell", "fat")
    )
    text = " ".join(details["highlights"])
    assert "cell is segmented worst" in text
    assert "fat is predicted smaller than it is: 2 pixels for 5" in text
    assert "In 1 of 1 picture with nothing to find, something was found." in text
    assert "In 1 picture with something to find, nothing was found." in text
    assert "Under 10 pictures hold cell, fat" in text


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([("0110", "0011"), ("00", "01")], "the usual"),
        ([("00", "00")], "no picture has a Dice"),
        ([("11", "11")], "a single picture"),
        ([("00", "xx")], "nothing is known"),
    ],
)
def test_sections_are_whole_tables_and_drawings(pairs: list[tuple[str, str]], reason: str) -> None:
    sections = sections_of(details_of(*pairs))
    assert list(sections) == [
        "Dice of single pictures",
        "Classes",
        "Confusion",
        "Empty masks",
        "Confidence and Dice",
    ], reason
    for section in sections.values():
        assert section.note
        for header, rows in section.tables:
            assert all(len(cells) == len(header) for cells in rows)
        for _, svg in section.figures:
            assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
            assert "nan" not in svg


def test_box_plots_show_every_picture_and_every_counted_label() -> None:
    names = ("background", "cell <a>", "fat")
    section = sections_of(
        details_of(("0112", "0112"), ("0110", "0102"), ("0002", "0012"), names=names)
    )["Dice of single pictures"]
    ((_, rows),) = section.tables
    assert [cells[:2] for cells in rows] == [
        ("all counted labels", "3"),
        ("cell <a>", "3"),
        ("fat", "3"),
    ]
    root = ElementTree.fromstring(section.figures[0][1])
    assert len(root.findall(f".//{SVG}circle")) == 9
    assert "cell <a>" in [text.text for text in root.iter(f"{SVG}text")]


def test_one_label_beside_the_background_is_drawn_once() -> None:
    section = sections_of(details_of(("11", "11"), ("01", "11")))["Dice of single pictures"]
    ((_, rows),) = section.tables
    assert [cells[0] for cells in rows] == ["cell"]


def test_no_rows_are_no_crash() -> None:
    details = analyse(np.empty((0, 2 * 2 + 4 * 2 + 2)), NAMES, (1,))
    assert details["classes"][1]["dice"] is None
    assert not math.isnan(details["empty"]["pictures"])
    assert sections_of(details)
