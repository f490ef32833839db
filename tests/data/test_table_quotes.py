"""Quotes in tables of labels: cells of several lines, and quotes that are not closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as PILImage

from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything, TargetKind
from foveal.errors import DataError


def table(root: Path, text: str) -> Path:
    for number in range(3):
        PILImage.new("RGB", (2, 2)).save(root / f"{number}.png")
    (root / "labels.csv").write_bytes(text.encode())
    return root


@pytest.mark.parametrize(
    "text",
    [
        'image,label\n0.png,cat\n1.png,"dog\n2.png,cat\n',  # to the end of the file
        'image,label\n0.png,cat\n1.png,"dog\n2.png,"cat"\n',  # to the next quote
        '"image","label"\r\n"0.png","cat"\r\n"1.png","dog\r\n"2.png","cat"\r\n',
        'image,label\n0.png,cat\n1.png,"dog\n' + "2.png,cat\n" * 20_000,  # too long for a cell
        'image,label\n0.png,"cat\nand dog"\n1.png,"dog',
    ],
)
@pytest.mark.parametrize("target", ["labels", "text"])
def test_a_quote_that_is_not_closed_is_refused_with_its_line(
    tmp_path: Path, text: str, target: TargetKind
) -> None:
    root = table(tmp_path, text)
    line = 1 + text[: text.index("1.png")].count("\n")
    with pytest.raises(DataError, match=rf"line {line}: a quote .* not closed") as error:
        open_source(root, ReadAnything(target=target))
    assert error.value.hint


def test_a_quote_that_is_not_closed_in_the_header_is_refused(tmp_path: Path) -> None:
    root = table(tmp_path, 'image,"label\n0.png,cat\n')
    with pytest.raises(DataError, match=r"labels.csv, line 1: a quote .* not closed"):
        open_source(root)


def test_cells_in_quotes_may_have_several_lines_and_quotes(tmp_path: Path) -> None:
    root = table(
        tmp_path,
        'image,text\n0.png,"first\nsecond, ""quoted""\n"\n1.png,"a\r\nb"\n2.png,"5" ruler',
    )
    source = open_source(root, ReadAnything(target="text"))
    assert [sample.raw for sample in source.samples] == [
        ('first\nsecond, "quoted"\n',),
        ("a\r\nb",),
        ("5 ruler",),
    ]
