"""Labels that are texts: read whole, in every layout, and what is no text is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage

from foveal.data.layouts import open_source
from foveal.data.readers.lines import read_lines
from foveal.data.readers.rows import BadRow, Row
from foveal.data.source import ReadAnything, Source
from foveal.errors import DataError, RecipeError
from foveal.types import Finding

TEXT = ReadAnything(target="text")


def draw(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PILImage.new("RGB", (4, 3)).save(path)
    return root


def texts(source: Source) -> dict[str, str | None]:
    assert all(sample.raw is None or len(sample.raw) == 1 for sample in source.samples)
    return {sample.id: sample.raw[0] if sample.raw else None for sample in source.samples}


def found(source: Source, id: str) -> Finding:
    (one,) = [finding for finding in source.findings if finding.id == id]
    return one


# labels.txt


def test_a_list_names_a_picture_and_its_text_in_each_line(tmp_path: Path) -> None:
    draw(tmp_path, "1.png", "2.png", "my 3.png", "images/4.png", "5.png")
    (tmp_path / "labels.txt").write_bytes(
        "\ufeff1.png\tone  two \r\n"
        "2.png   Straße 7\n"
        "\n"
        "my 3.png a|b\n"
        "4.png 流=42072;圳=86\n"
        "5.png\t tab\tin it\n".encode()
    )
    source = open_source(tmp_path, TEXT)
    assert texts(source) == {
        "1.png": "one  two ",
        "2.png": "Straße 7",
        "my 3.png": "a|b",
        "images/4.png": "流=42072;圳=86",
        "5.png": " tab\tin it",
    }
    assert source.layout == "5 pictures in labels.txt with 5 texts"
    assert source.findings == ()
    assert texts(open_source(tmp_path / "labels.txt", TEXT)) == texts(source)


def test_bad_lines_of_a_list_are_findings_with_their_numbers(tmp_path: Path) -> None:
    draw(tmp_path, "1.png", "2.png")
    (tmp_path / "labels.txt").write_text("1.png AB\nalone\n\tAB\n2.png\tCD\nnul\0.png AB\n")
    source = open_source(tmp_path, TEXT)
    assert texts(source) == {"1.png": "AB", "2.png": "CD"}
    bad = found(source, "table.bad_row")
    assert bad.samples == ("labels.txt:2", "labels.txt:3", "labels.txt:5")
    assert "line 2, has no tab or space" in bad.message


def test_pictures_of_a_list_that_are_missing_repeated_or_unlisted_are_said(tmp_path: Path) -> None:
    draw(tmp_path, "1.png", "2.png")
    (tmp_path / "labels.txt").write_text("1.png AB\ngone.png CD\n1.png EF\n")
    source = open_source(tmp_path, TEXT)
    assert found(source, "table.missing_file").samples == ("gone.png",)
    assert found(source, "table.conflicting_row").hint == "keep only the correct row"
    assert found(source, "table.unlisted_file").samples == ("2.png",)


def test_a_line_of_column_names_is_passed_over(tmp_path: Path) -> None:
    draw(tmp_path, "1.png")
    (tmp_path / "labels.txt").write_text("filename text\n1.png AB\n")
    source = open_source(tmp_path, TEXT)
    assert texts(source) == {"1.png": "AB"}
    assert source.findings == ()


def test_a_list_of_which_no_picture_exists_is_an_error(tmp_path: Path) -> None:
    draw(tmp_path, "1.png")
    (tmp_path / "labels.txt").write_text("one.png AB\n")
    with pytest.raises(DataError, match=r"line 1 names 'one.png'. The folder contains 1.png"):
        open_source(tmp_path, TEXT)


def test_a_list_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, "1.png")
    (tmp_path / "labels.txt").write_bytes("1.png Käse\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        open_source(tmp_path, TEXT)


def test_a_list_of_classes_is_no_list_of_pictures(tmp_path: Path) -> None:
    draw(tmp_path, "cat/1.png", "golden retriever/1.png")
    (tmp_path / "labels.txt").write_text("cat\ngolden retriever\n")
    assert texts(open_source(tmp_path, TEXT)) == {
        "cat/1.png": "cat",
        "golden retriever/1.png": "golden retriever",
    }
    assert open_source(tmp_path).layout == "2 pictures in 2 class folders"


def test_a_list_of_labels_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    draw(tmp_path, "1.png")
    (tmp_path / "labels.txt").write_text("1.png  cat | dog\n")
    source = open_source(tmp_path, ReadAnything(layout="text"))
    assert source.samples[0].raw == ("cat", "dog")


LINE_TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n\r\0"))
STEMS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Z"), blacklist_characters="\\/."), min_size=1
)


@settings(deadline=None)
@given(st.lists(st.tuples(STEMS, LINE_TEXTS), min_size=1, max_size=6))
def test_whatever_follows_a_tab_is_the_text(rows: list[tuple[str, str]]) -> None:
    lines = "".join(f"{stem}.png\t{text}\n" for stem, text in rows)
    assert list(read_lines("labels.txt", lines.encode())) == [
        Row(number, f"{stem}.png", (text,), None, None, 1.0)
        for number, (stem, text) in enumerate(rows, 1)
    ]


@settings(deadline=None)
@given(STEMS, STEMS, st.sampled_from([".png", ".JPG", ".tiff"]), st.integers(1, 3), LINE_TEXTS)
def test_spaces_end_a_name_that_may_hold_spaces_itself(
    first: str, second: str, ending: str, spaces: int, text: str
) -> None:
    text = text.replace("\t", "").lstrip(" ")
    line = f"{first} {second}{ending}{' ' * spaces}{text}\n"
    (row,) = read_lines("labels.txt", line.encode())
    assert row == Row(1, f"{first} {second}{ending}", (text,), None, None, 1.0)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_rows_bad_rows_or_a_data_error(data: bytes) -> None:
    try:
        rows = list(read_lines("labels.txt", data))
    except DataError:
        return
    assert all(isinstance(row, (Row, BadRow)) for row in rows)
    assert len(rows) <= data.count(b"\n") + 1


# names of files


def test_names_of_files_are_texts(tmp_path: Path) -> None:
    draw(tmp_path, "AB3K.png", "AB3K_17.png", "images/x_y.png", "Straße 7.png", "12_34_5.jpg")
    source = open_source(tmp_path, ReadAnything(layout="names", target="text"))
    assert texts(source) == {
        "AB3K.png": "AB3K",
        "AB3K_17.png": "AB3K",
        "images/x_y.png": "x_y",
        "Straße 7.png": "Straße 7",
        "12_34_5.jpg": "12_34",
    }
    assert source.layout == "5 pictures with 4 texts in the file names"


def test_pictures_without_a_table_are_read_by_their_names(tmp_path: Path) -> None:
    assert texts(open_source(draw(tmp_path, "AB.png", "CD.png"), TEXT)) == {
        "AB.png": "AB",
        "CD.png": "CD",
    }
    assert texts(open_source(tmp_path / "AB.png", TEXT)) == {"AB.png": "AB"}
    assert open_source(tmp_path).layout == "2 pictures without labels"


def test_one_folder_of_pictures_is_not_their_text(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "images/AB.png", "images/CD.png"), TEXT)
    assert texts(source) == {"images/AB.png": "AB", "images/CD.png": "CD"}


def test_sides_of_a_split_may_hold_the_named_pictures(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "train/AB.png", "train/CD.png", "val/EF.png"), TEXT)
    assert [(s.raw, s.split) for s in source.samples] == [
        (("AB",), "train"),
        (("CD",), "train"),
        (("EF",), "val"),
    ]
    assert source.layout.endswith("split as given (train 2, val 1)")


def test_folders_of_texts_are_texts(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "AB/1.png", "AB/2.png", "C|D/1.png"), TEXT)
    assert texts(source) == {"AB/1.png": "AB", "AB/2.png": "AB", "C|D/1.png": "C|D"}


def test_pictures_and_masks_are_no_texts(tmp_path: Path) -> None:
    root = draw(tmp_path, "images/AB.png", "masks/AB.png")
    with pytest.raises(DataError, match="pictures and masks") as caught:
        open_source(root, TEXT)
    assert caught.value.hint is not None and "--task segment" in caught.value.hint
    source = open_source(root, replace(TEXT, layout="names"))
    assert set(texts(source).values()) == {"AB"}


@pytest.mark.parametrize(
    ("regex", "text"),
    [
        (r"_([A-Z]+)\.", "KLM"),  # the first group
        (r"(\d+)_(?P<text>[A-Z]+)", "KLM"),  # the group called text
        (r"[A-Z]{2}", "KL"),  # no group: all of the match
        (r"^(\d+)", "007"),  # anchored to the name of the file, not of its folder
    ],
)
def test_an_expression_finds_the_text_in_a_name(tmp_path: Path, regex: str, text: str) -> None:
    draw(tmp_path, "scans/007_KLM.png")
    source = open_source(tmp_path, ReadAnything(label_regex=regex, target="text"))
    assert texts(source) == {"scans/007_KLM.png": text}


def test_an_expression_finds_classes_too(tmp_path: Path) -> None:
    draw(tmp_path, "all/cat.1.png", "all/cat.2.png", "all/dog.1.png", "all/notes.png")
    source = open_source(tmp_path, ReadAnything(label_regex=r"^(cat|dog)\."))
    assert list(texts(source).values()) == ["cat", "cat", "dog", None]
    assert found(source, "names.not_matched").samples == ("all/notes.png",)
    assert source.layout == "4 pictures with 2 labels in the file names"


def test_an_expression_that_finds_nothing_or_is_none_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, "AB.png")
    with pytest.raises(DataError, match=r"matches no name .* AB.png"):
        open_source(tmp_path, ReadAnything(label_regex=r"(\d+)", target="text"))
    with pytest.raises(RecipeError, match=r"data\.label_regex"):
        open_source(tmp_path, ReadAnything(label_regex="("))


def test_an_expression_is_not_ignored_in_silence(tmp_path: Path) -> None:
    draw(tmp_path, "AB.png")
    (tmp_path / "labels.csv").write_text("image,text\nAB.png,CD\n")
    source = open_source(tmp_path, ReadAnything(label_regex="(.)", target="text"))
    assert texts(source) == {"AB.png": "CD"}
    assert found(source, "data.label_regex_not_used").severity == "warning"


def test_names_that_count_the_pictures_are_warned_of(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, *(f"{i:04}.png" for i in range(1, 13))), TEXT)
    assert found(source, "names.counted").count == 12
    other = draw(tmp_path / "other", *(f"{i * 7:04}.png" for i in range(1, 13)))
    assert open_source(other, TEXT).findings == ()


# tables, arrays and what is no text


def test_a_cell_is_one_text_as_it_stands(tmp_path: Path) -> None:
    draw(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / "labels.csv").write_text('image,text\n1.png,a|b|a\n2.png," 7, 8 "\n3.png\n')
    source = open_source(tmp_path, TEXT)
    assert texts(source) == {"1.png": "a|b|a", "2.png": " 7, 8 ", "3.png": None}
    assert source.layout == "3 pictures in labels.csv with 2 texts"


def test_the_column_called_text_holds_the_text(tmp_path: Path) -> None:
    draw(tmp_path, "1.png")
    (tmp_path / "labels.csv").write_text("image,label,text\n1.png,plate,AB 12\n")
    assert texts(open_source(tmp_path, TEXT)) == {"1.png": "AB 12"}
    assert texts(open_source(tmp_path)) == {"1.png": "plate"}


def test_json_holds_one_text_for_each_picture(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{i}.png" for i in range(5)))
    values = ["a|b", 17, None, ["x", "y"], "\ud800"]
    lines = [json.dumps({"image": f"{i}.png", "text": value}) for i, value in enumerate(values)]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    source = open_source(tmp_path, TEXT)
    assert texts(source) == {"0.png": "a|b", "1.png": "17", "2.png": None, "4.png": None}
    assert found(source, "table.bad_row").samples == ("labels.jsonl:4",)
    assert found(source, "labels.no_text").samples == ("4.png",)


@pytest.mark.parametrize("name", ["labels.csv", "labels.txt", "labels.jsonl"])
def test_an_empty_text_is_a_finding_and_no_label(tmp_path: Path, name: str) -> None:
    rows = [("1.png", ""), ("2.png", "  "), ("3.png", "AB")]
    write = {
        "labels.csv": "image,text\n" + "".join(f"{i},{t}\n" for i, t in rows),
        "labels.txt": "".join(f"{i}\t{t}\n" for i, t in rows),
        "labels.jsonl": "".join(json.dumps({"image": i, "text": t}) + "\n" for i, t in rows),
    }
    draw(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / name).write_text(write[name])
    source = open_source(tmp_path, TEXT)
    assert texts(source) == {"1.png": None, "2.png": None, "3.png": "AB"}
    assert found(source, "labels.empty_text").samples == ("1.png", "2.png")


def test_a_name_without_a_text_is_empty(tmp_path: Path) -> None:
    source = open_source(draw(tmp_path, "_17.png", "AB.png"), TEXT)
    assert texts(source) == {"AB.png": "AB", "_17.png": None}
    assert found(source, "labels.empty_text").samples == ("_17.png",)


def test_a_decomposed_letter_is_the_same_as_a_composed_one(tmp_path: Path) -> None:
    draw(tmp_path, "1.png")
    (tmp_path / "labels.txt").write_text("1.png Ka\u0308se\n")
    assert texts(open_source(tmp_path, TEXT)) == {"1.png": "K\u00e4se"}


def test_arrays_hold_texts(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 4, 4, 3), np.uint8), y=np.array(["a|b", "c", ""]))
    assert list(texts(open_source(tmp_path, TEXT)).values()) == ["a|b", "c", None]


def test_several_labels_are_not_one_text(tmp_path: Path) -> None:
    y = np.array([[1, 1, 0], [0, 0, 1]])
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 4, 4, 3), np.uint8), y=y)
    source = open_source(tmp_path, TEXT)
    assert texts(source) == {"x/0": None, "x/1": "2"}
    assert found(source, "labels.no_text").samples == ("x/0",)


def test_a_table_comes_before_a_list_and_a_list_before_names(tmp_path: Path) -> None:
    draw(tmp_path, "AB.png")
    assert texts(open_source(tmp_path, TEXT)) == {"AB.png": "AB"}
    (tmp_path / "labels.txt").write_text("AB.png list\n")
    assert texts(open_source(tmp_path, TEXT)) == {"AB.png": "list"}
    (tmp_path / "labels.csv").write_text("image,text\nAB.png,table\n")
    assert texts(open_source(tmp_path, TEXT)) == {"AB.png": "table"}


def test_real_captchas_are_read_from_their_table(shared_data: Path) -> None:
    source = open_source(shared_data / "captcha_wp", TEXT)
    assert source.layout == "2,400 pictures in labels.csv with 2,400 texts"
    assert source.findings == ()
    assert {len(text or "") for text in texts(source).values()} == {4}
