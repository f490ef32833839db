import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from holdout import Item, hold_out, list_items, signature_text_group, write_folders, write_table

DrawFolder = Callable[..., Path]


def items_of(groups: dict[str, tuple[str, int]]) -> list[Item]:
    return [
        Item(Path(f"{label}/{group}-{i}.png"), label, group)
        for group, (label, count) in groups.items()
        for i in range(count)
    ]


def test_a_share_of_every_class_is_held_out() -> None:
    items = items_of({f"{label}{i}": (label, 1) for label in "ab" for i in range(30)})

    train, test = hold_out(items, 1 / 3, seed=0)

    assert Counter(item.label for item in test) == {"a": 10, "b": 10}
    assert Counter(item.label for item in train) == {"a": 20, "b": 20}


def test_no_group_is_on_both_sides() -> None:
    items = items_of({f"g{i}": ("a", 1 + i % 5) for i in range(40)})

    train, test = hold_out(items, 1 / 5, seed=3)

    assert not {item.group for item in train} & {item.group for item in test}
    assert len(train) + len(test) == len(items)
    assert 0.15 < len(test) / len(items) < 0.25


def test_same_seed_same_split_and_another_seed_another_one() -> None:
    items = items_of({f"g{i}": ("a", 1) for i in range(50)})

    assert hold_out(items, 0.2, seed=1) == hold_out(items, 0.2, seed=1)
    assert hold_out(items, 0.2, seed=1) != hold_out(items, 0.2, seed=2)


def test_a_group_of_most_pictures_is_not_held_out() -> None:
    items = items_of({"large": ("a", 90), "small": ("a", 10)})

    for seed in range(4):
        _, test = hold_out(items, 0.2, seed)
        assert {item.group for item in test} == {"small"}


def test_files_of_equal_bytes_are_one_group(tmp_path: Path, draw_folder: DrawFolder) -> None:
    root = draw_folder(tmp_path / "data", n=3)
    (root / "circle" / "copy.png").write_bytes((root / "circle" / "0.png").read_bytes())
    (root / "circle" / "notes.txt").write_text("no picture")

    items = list_items(root)

    by_name = {f"{item.label}/{item.path.name}": item.group for item in items}
    assert len(items) == 7
    assert by_name["circle/copy.png"] == by_name["circle/0.png"]
    assert len(set(by_name.values())) == 6


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("cn_001_25.jpg", "cn_001"),
        ("receipt_561_0.jpg", "receipt_561"),
        ("iiit5k_2599_1.jpg", "iiit5k_2599"),
        ("print1500_1476_0014__000__paragraph__002.jpg", "print1500_1476"),
        ("arabic_IbnFaqihHamadhani.Buldan_a_000073.jpg", "arabic_IbnFaqihHamadhani.Buldan"),
        ("arabic_IbnFaqihHamadhani.Buldan_b_000002.jpg", "arabic_IbnFaqihHamadhani.Buldan"),
        ("arabic_Jahiz.Hayawan_000073.jpg", "arabic_Jahiz.Hayawan"),
        ("ic13_word_996.jpg", "ic13_word_996"),
        ("ic03_0007.jpg", "ic03_0007"),
    ],
)
def test_a_name_tells_writer_receipt_photograph_or_book(name: str, group: str) -> None:
    assert signature_text_group(Path("text") / name) == group


def test_written_folders_and_tables_hold_every_picture(
    tmp_path: Path, draw_folder: DrawFolder
) -> None:
    items = list_items(draw_folder(tmp_path / "data", n=2))

    folders = write_folders(items, tmp_path / "folders")
    table = write_table(items, tmp_path / "table")

    assert list_items(folders) == [
        Item(folders / i.label / i.path.name, i.label, i.group) for i in items
    ]
    with (table / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["group"]) for row in rows] == [(i.label, i.group) for i in items]
    assert all((table / row["image"]).is_file() for row in rows)
