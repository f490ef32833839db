"""Parquet with embedded pictures: one file, shards, and what can be wrong with them."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage

from foveal.cli.main import run
from foveal.data import parquet_file
from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything
from foveal.data.stamp import stamp_of
from foveal.errors import DataError, FovealError, ImageError, ImageTooLargeError

LIMITS = DecodeLimits(max_bytes=100_000, max_pixels=1_000_000)


def png(shade: int) -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", (8, 8), (shade, shade, shade)).save(file, "PNG")
    return file.getvalue()


def structs(shades: list[int]) -> pa.Array:
    """Return pictures as Hugging Face data sets hold them."""
    rows = [{"bytes": png(shade), "path": f"{shade}.png"} for shade in shades]
    return pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def with_names(table: pa.Table, names: list[str]) -> pa.Table:
    """Return a table that names its classes as Hugging Face data sets do."""
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    kept = json.dumps({"info": {"features": features}})
    return table.replace_schema_metadata({"huggingface": kept})


def shade_of(source: object, i: int) -> int:
    sample = source.samples[i]  # type: ignore[attr-defined]
    return int(source.load(sample, LIMITS).picture.pixels[0, 0, 0])  # type: ignore[attr-defined]


def test_shards_of_a_hugging_face_data_set_are_one_source(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, shades, labels in (
        ("train-00000-of-00002", [10, 20], [0, 1]),
        ("train-00001-of-00002", [30], [1]),
        ("validation-00000-of-00001", [40, 50], [0, -1]),
    ):
        table = with_names(pa.table({"image": structs(shades), "label": labels}), ["cat", "dog"])
        pq.write_table(table, tmp_path / "data" / f"{name}.parquet", row_group_size=1)
    source = open_source(tmp_path)
    assert [(s.id, s.raw, s.split) for s in source.samples] == [
        ("data/train-00000-of-00002.parquet/0", ("cat",), "train"),
        ("data/train-00000-of-00002.parquet/1", ("dog",), "train"),
        ("data/train-00001-of-00002.parquet/0", ("dog",), "train"),
        ("data/validation-00000-of-00001.parquet/0", ("cat",), "val"),
        ("data/validation-00000-of-00001.parquet/1", None, "val"),
    ]
    assert source.layout == (
        "5 pictures in 3 Parquet files with 2 labels, split as given (train 3, val 2)"
    )
    assert [shade_of(source, i) for i in range(5)] == [10, 20, 30, 40, 50]
    assert source.encoded(source.samples[2], LIMITS) == png(30)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_plain_bytes_and_other_columns_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    columns = {
        "Picture": pa.array([png(1), png(2), png(3)], kind),
        "Class": ["a|b", "b", None],
        "split": ["train", "test", None],
        "group": ["x", None, "y"],
        "weight": [1.0, 2.0, 0.5],
        "note": ["-", "-", "-"],
    }
    pq.write_table(pa.table(columns), tmp_path / "all.parquet")
    source = open_source(tmp_path / "all.parquet")
    assert [(s.raw, s.split, s.group, s.weight) for s in source.samples] == [
        (("a", "b"), "train", "x", 1.0),
        (("b",), "test", None, 2.0),
        (None, None, "y", 0.5),
    ]
    assert shade_of(source, 1) == 2


def test_labels_may_be_texts_lists_and_numbers_without_names(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"image": structs([1, 2]), "tags": [[0, 1], [1]], "text": ["A b", "C|d"]})
    features = {"tags": {"feature": {"names": ["red", "round"]}, "_type": "Sequence"}}
    kept = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": kept}), path)
    tagged = open_source(path, ReadAnything(label_column="tags"))
    assert [s.raw for s in tagged.samples] == [("red", "round"), ("round",)]
    read = open_source(path, ReadAnything(target="text"))
    assert [s.raw for s in read.samples] == [("A b",), ("C|d",)]
    pq.write_table(pa.table({"image": structs([1, 2]), "label": [3, 7]}), path)
    assert [s.raw for s in open_source(path).samples] == [("3",), ("7",)]


def test_rows_are_read_from_many_threads_in_any_order(tmp_path: Path) -> None:
    shades = list(range(0, 200, 4))
    table = pa.table({"image": structs(shades), "label": ["x"] * len(shades)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    source = open_source(tmp_path)
    order = np.random.default_rng(0).permutation(len(shades))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: shade_of(source, int(i)), order))
    assert found == [shades[i] for i in order]


def test_a_row_without_a_picture_is_an_error_of_that_row(tmp_path: Path) -> None:
    rows = [
        {"bytes": png(1), "path": None},
        {"bytes": None, "path": "elsewhere.png"},
        None,
        {"bytes": b"no picture", "path": None},
        {"bytes": bytes(200_000), "path": None},
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, kind), "label": ["x"] * 5})
    pq.write_table(table, tmp_path / "a.parquet")
    source = open_source(tmp_path)
    assert shade_of(source, 0) == 1
    for i in (1, 2):
        with pytest.raises(ImageError, match="contains no picture"):
            shade_of(source, i)
    with pytest.raises(ImageError, match="Not a picture"):
        shade_of(source, 3)
    with pytest.raises(ImageTooLargeError):
        shade_of(source, 4)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["a.png"], "label": ["x"]}, "no column of picture files"),
        ({"image": [b"1"]}, "no column for the label"),
        ({"image": [b"1"], "lable": ["x"]}, "Did you mean 'lable'"),
        ({"left": [b"1"], "right": [b"2"], "label": ["x"]}, "several columns of picture files"),
    ],
)
def test_columns_that_are_missing_are_named(
    tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message) as caught:
        open_source(tmp_path / "a.parquet")
    assert caught.value.hint


def test_numbers_without_a_name_and_bad_rows_are_said(tmp_path: Path) -> None:
    table = with_names(pa.table({"image": structs([1]), "label": [2]}), ["cat", "dog"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"the class number 2\. Expected 0 to 1"):
        open_source(tmp_path)
    columns = {"image": structs([1, 2]), "label": ["x", "y"], "weight": [1.0, -2.0]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    source = open_source(tmp_path)
    assert [found.id for found in source.findings] == ["table.bad_row"]
    assert len(source.samples) == 1


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": structs([1]), "label": ["x"]}), path)
    whole = path.read_bytes()
    for data in (b"", b"PAR1", whole[: len(whole) // 2], b"x" * 100):
        path.write_bytes(data)
        with pytest.raises(DataError, match="cannot be read as Parquet") as caught:
            open_source(path)
        assert "\n" not in caught.value.message


def test_a_group_of_rows_that_no_memory_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"image": structs([1]), "label": ["x"]}), tmp_path / "a.parquet")
    monkeypatch.setattr(parquet_file, "_MAX_GROUP_BYTES", 10)
    source = open_source(tmp_path)
    with pytest.raises(ImageError, match=r"row group of [0-9,]+ bytes") as caught:
        shade_of(source, 0)
    assert "row_group_size" in str(caught.value.hint)


@given(st.integers(0, 1_000), st.binary(min_size=1, max_size=30))
def test_any_damage_gives_pictures_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, place: int, noise: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.parquet"
    pq.write_table(pa.table({"image": structs([1, 2]), "label": ["x", "y"]}), path)
    data = path.read_bytes()
    place %= len(data)
    path.write_bytes(data[:place] + noise + data[place + len(noise) :])
    try:
        source = open_source(path)
    except FovealError:
        return
    for i in range(len(source.samples)):
        try:
            shade_of(source, i)
        except ImageError:
            pass


def test_pictures_beside_a_parquet_file_come_first(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(png(1))
    pq.write_table(pa.table({"id": [1]}), tmp_path / "index.parquet")
    assert open_source(tmp_path).layout.startswith("1 picture in 1 class folder")


def test_a_check_takes_parquet_and_its_report_is_renewed_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": structs([1, 90, 200]), "label": list("xyx")}), path)
    assert run(["check", str(path), "--json"]) in (0, 3)
    assert json.loads(capsys.readouterr().out)["layout"] == "3 pictures in a.parquet with 2 labels"
    before = stamp_of(open_source(path))
    pq.write_table(pa.table({"image": structs([1, 91, 200]), "label": list("xyx")}), path)
    assert stamp_of(open_source(path)) != before
