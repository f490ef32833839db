"""Tables of labels: columns by their aliases, every bad row a finding."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage

from foveal.data.layouts import open_source
from foveal.data.readers.rows import BadRow, Row, read_rows
from foveal.data.source import ReadAnything, Sample, Source
from foveal.errors import DataError


def table(root: Path, text: str, name: str = "labels.csv", pictures: int = 3) -> Path:
    for number in range(pictures):
        PILImage.new("RGB", (2, 2)).save(root / f"{number}.png")
    (root / name).write_bytes(text.encode())
    return root


def ids(source: Source, finding: str) -> tuple[str, ...]:
    (found,) = [f for f in source.findings if f.id == finding]
    return found.samples


def test_every_column_is_read(tmp_path: Path) -> None:
    root = table(
        tmp_path,
        "image,label,split,group,weight\n0.png,cat,train,g1,2.5\n1.png,dog|cat,Valid,,\n"
        "2.png,,,,\n",
    )
    assert open_source(root).samples == (
        Sample("0.png", ("cat",), "train", "g1", 2.5),
        Sample("1.png", ("dog", "cat"), "val", None, 1.0),
        Sample("2.png", None, None, None, 1.0),
    )
    assert open_source(root).layout == (
        "3 pictures in labels.csv with 2 labels, several at once, split as given (train 1, val 1)"
    )


@pytest.mark.parametrize("image", ["image", "filename", "file", "path", " Image "])
@pytest.mark.parametrize("label", ["label", "class", "text", "LABEL"])
def test_columns_have_other_names_too(tmp_path: Path, image: str, label: str) -> None:
    root = table(tmp_path, f"{label},ignored,{image}\ncat,7,0.png\n")
    assert open_source(root).samples == (Sample("0.png", ("cat",)),)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffimage,label\r\n0.png,cat\r\n",  # as Excel writes it
        "image;label\n0.png;cat\n",
        "image\tlabel\n0.png\tcat\n",
        'image,label\n"0.png","cat"\n\n\n',
        "image,label\n./0.png , cat \n",
    ],
)
def test_dialects_of_csv_are_understood(tmp_path: Path, text: str) -> None:
    assert open_source(table(tmp_path, text)).samples == (Sample("0.png", ("cat",)),)


def test_json_lines_are_read(tmp_path: Path) -> None:
    lines = [
        {"image": "0.png", "label": ["cat", "dog"], "weight": 2},
        {"file": "1.png", "class": 7, "split": "test", "group": "g"},
        {"image": "2.png", "label": None},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\n\n"
    assert open_source(table(tmp_path, text, "labels.jsonl")).samples == (
        Sample("0.png", ("cat", "dog"), None, None, 2.0),
        Sample("1.png", ("7",), "test", "g", 1.0),
        Sample("2.png", None),
    )


def test_bad_rows_are_findings_with_their_lines(tmp_path: Path) -> None:
    root = table(
        tmp_path,
        "image,label,split,weight\n0.png,cat,,\n,cat,,\n1.png,cat,holdout,\n1.png,cat,,-1\n"
        "1.png,cat,,nan\n1.png,cat,,much\n1.png,cat,,1,extra\n2.png\n",
    )
    source = open_source(root)
    assert [(s.id, s.raw) for s in source.samples] == [("0.png", ("cat",)), ("2.png", None)]
    assert ids(source, "table.bad_row") == tuple(f"labels.csv:{line}" for line in range(3, 9))
    message = next(f.message for f in source.findings if f.id == "table.bad_row")
    assert message == "6 rows of labels.csv left out; the first, line 3, has no picture."


def test_a_table_of_bad_rows_alone_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,text\na.png,A,B\nb.png,C,D\n")
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "labels.csv", ReadAnything(target="text"))
    assert caught.value.message.endswith(
        "Found: 0 pictures in labels.csv with 0 texts. 2 rows of labels.csv left out; the first, "
        "line 2, has 3 cells where the header has 2."
    )
    assert caught.value.hint is None


@pytest.mark.parametrize("encoding", ["latin1", "utf-16"])
def test_a_table_that_is_not_utf_8_is_refused_with_its_encoding(
    tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "labels.csv").write_bytes("image,label\na.png,\xe4\n".encode(encoding))
    with pytest.raises(DataError, match=r"labels.csv is not UTF-8") as caught:
        open_source(tmp_path)
    assert caught.value.hint == f"iconv -f {encoding} -t utf-8 labels.csv > new.csv"


def test_bad_json_lines_are_findings(tmp_path: Path) -> None:
    deep = "[" * 100_000
    text = f'{{"image": "0.png", "label": "a"}}\nnot json\n[1]\n{deep}\n{{"label": "a"}}\n'
    source = open_source(table(tmp_path, text, "labels.jsonl"))
    assert [s.id for s in source.samples] == ["0.png"]
    assert len(ids(source, "table.bad_row")) == 4


def test_missing_pictures_are_findings(tmp_path: Path) -> None:
    source = open_source(table(tmp_path, "image,label\n0.png,a\ngone.png,b\n", pictures=2))
    assert [s.id for s in source.samples] == ["0.png"]
    assert ids(source, "table.missing_file") == ("gone.png",)
    assert ids(source, "table.unlisted_file") == ("1.png",)


def test_a_table_of_which_no_picture_exists_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2 names 'x/0.jpg'. The folder contains 0.png"):
        open_source(table(tmp_path, "image,label\nx/0.jpg,a\n"))


def test_pictures_may_lie_in_a_folder_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    table(tmp_path / "images", "", "notes.txt", pictures=1)
    (tmp_path / "labels.csv").write_text("image,label\n0.png,a\n")
    assert open_source(tmp_path).samples == (Sample("images/0.png", ("a",)),)


def test_no_guess_is_made_between_two_pictures(tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        table(tmp_path / name, "", "notes.txt", pictures=1)
    (tmp_path / "labels.csv").write_text("image,label\n0.png,a\nleft/0.png,b\n")
    source = open_source(tmp_path)
    assert source.samples == (Sample("left/0.png", ("b",)),)
    assert ids(source, "table.missing_file") == ("0.png",)


def test_absolute_paths_and_paths_of_windows_are_understood(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    outside = table(tmp_path, "", "notes.txt", pictures=1)
    table(
        tmp_path / "in", f"image,label\n{outside}/0.png,a\n..\\0.png,b\nin\\1.png,c\n", pictures=0
    )
    (tmp_path / "in" / "in").mkdir()
    PILImage.new("RGB", (2, 2)).save(tmp_path / "in" / "in" / "1.png")
    assert [s.id for s in open_source(tmp_path / "in").samples] == [
        f"{outside}/0.png",
        "../0.png",
        "in/1.png",
    ]


def test_a_picture_named_twice_counts_once(tmp_path: Path) -> None:
    source = open_source(
        table(tmp_path, "image,label\n0.png,a\n0.png,a\n1.png,a\n1.png,b\n", pictures=2)
    )
    assert source.samples == (Sample("0.png", ("a",)), Sample("1.png", ("a",)))
    assert ids(source, "table.repeated_row") == ("0.png",)
    assert ids(source, "table.conflicting_row") == ("1.png",)


def test_a_missing_column_names_what_is_near(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column for the label. Did you mean 'lable'\?"):
        open_source(table(tmp_path, "image,lable\n0.png,a\n"))
    with pytest.raises(DataError, match="no column for the image"):
        open_source(table(tmp_path, ""))
    with pytest.raises(DataError, match="no column for the label"):
        open_source(table(tmp_path, '{"image": "0.png"}', "labels.jsonl") / "labels.jsonl")


def test_a_table_that_is_not_utf8_is_refused_with_advice(tmp_path: Path) -> None:
    table(tmp_path, "")
    (tmp_path / "labels.csv").write_bytes("image,label\n0.png,Käse\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8") as caught:
        open_source(tmp_path)
    assert "iconv" in str(caught.value.hint)


def test_two_tables_are_one_too_many(tmp_path: Path) -> None:
    table(tmp_path, "image,label\n0.png,a\n")
    table(tmp_path, "", "labels.jsonl")
    with pytest.raises(DataError, match="Expected one table"):
        open_source(tmp_path)
    assert len(open_source(tmp_path / "labels.csv").samples) == 1


def test_a_table_of_any_name_is_read_when_it_is_named(tmp_path: Path) -> None:
    root = table(tmp_path, "image,label\n0.png,a\n", "annotations.csv")
    assert open_source(root / "annotations.csv").samples == (Sample("0.png", ("a",)),)


WORDS = (
    st.text(
        st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="|\\\u2028\u2029"),
        min_size=1,
        max_size=8,
    )
    .map(str.strip)
    .filter(bool)
)
ROWS = st.lists(
    st.tuples(
        WORDS.filter(lambda name: not name.startswith("./")),
        st.lists(WORDS, max_size=3, unique=True),
        st.sampled_from(["train", "val", "test", ""]),
        st.one_of(st.just(""), WORDS),
        st.floats(0, 1e6, allow_nan=False),
    ),
    min_size=1,
    max_size=6,
)


def expected(rows: list[tuple[str, list[str], str, str, float]]) -> list[tuple[object, ...]]:
    return [(i, tuple(ls) or None, s or None, g or None, w) for i, ls, s, g, w in rows]


def found(name: str, text: str) -> list[tuple[object, ...]]:
    rows = list(read_rows(name, text.encode()))
    assert all(isinstance(row, Row) for row in rows)
    return [(r.image, r.raw, r.split, r.group, r.weight) for r in rows if isinstance(r, Row)]


@settings(deadline=None)
@given(ROWS)
def test_whatever_is_written_as_csv_is_read_back(
    rows: list[tuple[str, list[str], str, str, float]],
) -> None:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["image", "label", "split", "group", "weight"])
    for image, labels, split, group, weight in rows:
        writer.writerow([image, "|".join(labels), split, group, repr(weight)])
    assert found("labels.csv", file.getvalue()) == expected(rows)


@settings(deadline=None)
@given(ROWS)
def test_whatever_is_written_as_json_lines_is_read_back(
    rows: list[tuple[str, list[str], str, str, float]],
) -> None:
    text = "\n".join(
        json.dumps({"image": i, "label": ls, "split": s, "group": g, "weight": w})
        for i, ls, s, g, w in rows
    )
    assert found("labels.jsonl", text) == expected(rows)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["labels.csv", "labels.jsonl"]))
def test_any_bytes_are_rows_bad_rows_or_a_data_error(data: bytes, name: str) -> None:
    start = b"image,label,split,weight\n" if name.endswith("csv") else b""
    try:
        rows = list(read_rows(name, start + data))
    except DataError:
        return
    assert all(isinstance(row, (Row, BadRow)) for row in rows)
