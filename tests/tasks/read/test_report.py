from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from foveal.tasks.base import ReportSection
from foveal.tasks.read import analysis, report

SVG = "{http://www.w3.org/2000/svg}"


def sections_of(*pairs: tuple[str, str], alphabet: str = "0O1") -> dict[str, ReportSection]:
    """The sections of (truth, read) pairs by title, in order."""
    details = analysis.analyse(
        [read for _, read in pairs],
        [true for true, _ in pairs],
        [0.9] * len(pairs),
        [],
        alphabet,
        has_value=False,
    )
    return {s.title: s for s in report.report_sections(details, has_value=False)}


@pytest.mark.parametrize(
    ("read", "titles", "reason"),
    [
        ("0O", ["By length", "By position", "Characters"], "nothing was misread"),
        (
            "00",
            ["By length", "By position", "Confused characters", "Characters"],
            "one was taken for another",
        ),
        (
            "0",
            ["By length", "By position", "Missed and extra characters", "Characters"],
            "one was left out",
        ),
    ],
)
def test_sections_appear_where_they_say_something(
    read: str, titles: list[str], reason: str
) -> None:
    assert list(sections_of(("0O", read))) == titles, reason


def test_exact_match_by_length_has_its_interval_and_counts() -> None:
    table = sections_of(("0O", "0O"), ("0O", "OO"), ("1", "1"))["By length"].tables[0][1]

    # Wilson for 1 of 1 and 1 of 2.
    assert table == (
        ("1 character", "1", "1", "100.0 %", "20.7 % – 100.0 %"),
        ("2 characters", "1", "2", "50.0 %", "9.5 % – 90.5 %"),
    )


def test_bars_show_the_wrong_share_so_that_good_models_can_be_told_apart() -> None:
    figure = sections_of(*[("00", "00")] * 3, ("00", "O0"))["By position"].figures[0][1]

    bars = [e for e in ElementTree.fromstring(figure).iter(SVG + "rect")][1::2]
    texts = [e.text for e in ElementTree.fromstring(figure).iter(SVG + "text")]
    # The worst position fills its track of 250.
    assert [float(bar.get("width", "")) for bar in bars] == [250, 0]
    assert texts == ["1", "25.0 %", "2", "0.0 %"]


def test_confused_pairs_are_listed_with_their_share() -> None:
    section = sections_of(("0O", "OO"), ("0 ", "00"), alphabet="0O ")["Confused characters"]

    assert section.tables[0][1] == (("␣", "0", "1", "100.0 %"), ("0", "O", "1", "50.0 %"))


def test_characters_come_worst_first_and_those_never_seen_last() -> None:
    rows = sections_of(("0O", "OO"), ("0O", "0O"))["Characters"].tables[0][1]

    assert [row[0] for row in rows] == ["0", "O", "1"]
    assert rows[0][1:4] == ("1", "2", "50.0 %")
    assert rows[0][5] == "O"
    assert rows[2][3:5] == ("–", "–")


def test_what_was_left_out_and_made_up_stands_side_by_side() -> None:
    section = sections_of(("0O", "0"), ("0O", "0"), ("10", "0"), ("1", "11"))[
        "Missed and extra characters"
    ]

    assert section.tables == (
        (
            ("left out", "times", "made up", "times"),
            (("O", "2", "1", "1"), ("1", "1", "", "")),
        ),
    )
    assert "Of 7 characters 3 were left out, and 1 were read that do not exist" in section.note


def test_expressions_have_a_section_of_their_values() -> None:
    details = analysis.analyse(
        ["1+2", "2+1", "1+"],
        ["1+2", "1+2", "1+1"],
        [0.9] * 3,
        [("3", "3"), ("3", "3"), (None, "2")],
        "12+",
        has_value=True,
    )

    section = report.report_sections(details, has_value=True)[0]

    assert section.title == "Values"
    assert [row[:4] for row in section.tables[0][1]] == [
        ("exact value right", "2", "3", "66.7 %"),
        ("read without a value", "1", "3", "33.3 %"),
    ]
    assert section.tables[1][1] == (("1+1", "1+"),)
    assert "1 come from texts that were misread" in section.note


def test_no_samples_and_a_thousand_characters_give_sections_of_a_sane_size() -> None:
    alphabet = "".join(chr(0x4E00 + i) for i in range(1000))

    assert list(sections_of(alphabet=alphabet))
    sections = sections_of((alphabet, alphabet[::-1]), alphabet=alphabet).values()

    figures = [figure for section in sections for _, figure in section.figures]
    rows = [row for section in sections for _, table in section.tables for row in table]
    assert max(len(figure) for figure in figures) < 20_000
    assert len(rows) < 300
    for figure in figures:
        ElementTree.fromstring(figure)


def test_a_rare_mistake_is_not_rounded_to_none() -> None:
    rows = sections_of(*[("0", "0")] * 2999, ("0", "O"))["By length"].tables[0][1]

    assert rows[0][3] == "99.97 %"
