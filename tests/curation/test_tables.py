from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.curation.tables import edited_table
from foveal.data.readers.rows import Row, read_rows
from foveal.data.source import TargetKind
from foveal.errors import DataError


def edited(
    name: str, data: bytes, target: TargetKind = "labels", **changes: str | None
) -> bytes | str:
    """Return the table with `a` standing for a.png and so on; as text where it is UTF-8."""
    named = {f"{letter}.png": label for letter, label in changes.items()}
    return edited_table(name, data, target, lambda image: image, named)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("t.csv", b"image,label\na.png,cat\nb.png,cat\n", b"image,label\na.png,dog\n"),
        # Line endings, the mark at the start and a last line without an end.
        (
            "t.csv",
            b"\xef\xbb\xbfimage;label\r\na.png;cat\r\nb.png;x",
            b"\xef\xbb\xbfimage;label\r\na.png;dog\r\n",
        ),
        ("t.tsv", b"label\timage\ncat\ta.png\nx\tb.png\n", b"label\timage\ndog\ta.png\n"),
        # Quotes stay; cells beside it and empty lines are as they were.
        (
            "t.csv",
            b'image,note,label\n\na.png,"x, ""y""\n z", "cat"\nb.png,1,cat\n',
            b'image,note,label\n\na.png,"x, ""y""\n z",dog\n',
        ),
        (
            "t.csv",
            b'image,label,split\na.png,"cat",train\nb.png,cat,val\n',
            b'image,label,split\na.png,"dog",train\n',
        ),
        # Every row about a picture, and none that is not understood.
        (
            "t.csv",
            b"image,label\na.png,cat\na.png,bird\n,x\nb.png,1,2,3\n",
            b"image,label\na.png,dog\na.png,dog\n,x\nb.png,1,2,3\n",
        ),
        (
            "t.jsonl",
            b'{ "image" : "a.png", "label" : "cat", "n": [1, {"label": 2}] }\r\n'
            b'{"image": "b.png", "label": 1}\n',
            b'{ "image" : "a.png", "label" : "dog", "n": [1, {"label": 2}] }\r\n',
        ),
        (
            "t.ndjson",
            b'{"image": "b.png", "label": "x"}\n{"label": ["cat", "pet"], "image": "a.png"}',
            b'{"label": ["dog"], "image": "a.png"}',
        ),
        ("labels.txt", b"a.png\tcat\r\nb.png\tx\r\n", b"a.png\tdog\r\n"),
        ("labels.txt", b"b.png x y\na.png   cat", b"a.png   dog"),
    ],
)
def test_a_label_is_changed_and_a_row_left_out(name: str, before: bytes, after: bytes) -> None:
    assert edited(name, before, a="dog", b=None) == after


def test_what_needs_quotes_gets_them() -> None:
    table = b"image,text\na.png,x\n"
    assert edited("t.csv", table, "text", a='1,"2"') == b'image,text\na.png,"1,""2"""\n'


def test_a_table_in_other_scripts_stays_readable_and_an_ascii_one_ascii() -> None:
    bare = '{"image": "a.png", "text": "é"}\n'.encode()
    assert edited("t.jsonl", bare, "text", a="ü") == '{"image": "a.png", "text": "ü"}\n'.encode()
    ascii_only = b'{"image": "a.png", "text": "\\u00e9"}\n'
    assert edited("t.jsonl", ascii_only, "text", a="ü") == (
        b'{"image": "a.png", "text": "\\u00fc"}\n'
    )


def test_numbers_stay_numbers() -> None:
    table = b'{"image": "a.png", "label": 7}\n'
    assert edited("t.jsonl", table, a="12") == b'{"image": "a.png", "label": 12}\n'
    assert edited("t.jsonl", table, a="cat") == b'{"image": "a.png", "label": "cat"}\n'


def test_a_label_that_would_be_read_otherwise_is_refused() -> None:
    with pytest.raises(DataError, match=r"cannot be written into labels\.txt"):
        edited("labels.txt", b"a.png cat\n", "text", a=" dog")
    with pytest.raises(DataError, match="cannot be edited"):
        edited("labels.txt", b"a.png cat\n", "text", a="dog\ncow x")
    with pytest.raises(DataError, match="line 2, has no cell"):
        edited("t.csv", b"image,label\na.png\n", a="dog")


CELLS = st.text(st.sampled_from('ab,;"\n\r\t |é'), max_size=5)


@settings(deadline=None, max_examples=150)
@given(
    rows=st.lists(st.tuples(CELLS, st.booleans()), min_size=1, max_size=5),
    label=CELLS,
    delimiter=st.sampled_from(",;\t"),
    ending=st.sampled_from(["\n", "\r\n"]),
    dropped=st.booleans(),
)
def test_only_the_row_in_question_changes(
    rows: list[tuple[str, bool]], label: str, delimiter: str, ending: str, dropped: bool
) -> None:
    lines = [f"image{delimiter}text"]
    for number, (text, is_quoted) in enumerate(rows):
        special = is_quoted or any(mark in text for mark in (delimiter, '"', "\n", "\r"))
        cell = '"' + text.replace('"', '""') + '"' if special else text
        lines.append(f"{number}.png{delimiter}{cell}")
    before = ending.join(lines).encode()
    after = edited_table(
        "t.csv", before, "text", lambda image: image, {"0.png": None if dropped else label}
    )
    found = {
        row.image: row.raw for row in read_rows("t.csv", after, "text") if isinstance(row, Row)
    }
    wanted = {f"{number}.png": (text,) for number, (text, _) in enumerate(rows)}
    wanted["0.png"] = (label,)
    if dropped:
        del wanted["0.png"]
    assert found == wanted
    # All bytes before and after the row are as they were.
    tail = "".join(ending + line for line in lines[2:]).encode()
    assert after.startswith(lines[0].encode())
    assert after.endswith(tail)
