import csv
import json
from pathlib import Path

import pytest
import yaml

from captcha_own import claim
from ddddocr_compare import accuracy, further_ms, is_same
from expressions import value_share
from heldout_claim import Claim, parts
from holdout import Item, choose, hold_out, list_texts, write_texts
from other_program import Other
from plain_captchas import write_labels
from reader_run import exact, minutes, pictures_seen, run_facts, seconds_to, worst
from reader_throughput import rates, ratios


def results(*epochs: tuple[int, float, float]) -> list[dict[str, str]]:
    return [
        {"step": str(step), "seconds": str(seconds), "val_exact_match": str(reached)}
        for step, seconds, reached in epochs
    ]


def texts(count: int) -> list[Item]:
    return [Item(Path(f"{i}.png"), f"T{i}", f"g{i}") for i in range(count)]


@pytest.mark.parametrize(
    ("steps", "seen", "why"),
    [
        ((), 0, "no epoch was finished"),
        ((4,), 100, "4 steps of 32 are a whole epoch of 100"),
        ((4, 8, 12), 300, "three whole epochs"),
        ((4, 8, 10), 264, "the last epoch ended after 2 of its 4 steps"),
        ((2,), 64, "the only epoch ended after 2 steps"),
    ],
)
def test_a_cut_epoch_counts_as_far_as_it_went(steps: tuple[int, ...], seen: int, why: str) -> None:
    rows = results(*((step, 1.0, 0.0) for step in steps))

    assert pictures_seen(rows, per_epoch=100, batch_size=32) == seen, why


def test_the_time_to_a_target_is_that_of_the_first_epoch_that_reaches_it() -> None:
    rows = results((1, 10.0, 0.5), (2, 5.5, 0.995), (3, 5.0, 0.99))

    assert seconds_to(rows, "val_exact_match", 0.995) == 15.5
    assert seconds_to(rows, "val_exact_match", 0.999) is None


def test_the_facts_of_a_run_come_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    manifest = {
        "created": "2026-01-01T00:05:00+00:00",
        "data": {"train": 100},
        "metrics": {},
        "task_options": {"head": "positions"},
    }
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(manifest))
    recipe = {"train": {"batch_size": 50}, "model": {"backbone": "reader"}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    environment = {"time": "2026-01-01T00:00:00+00:00", "command": ["foveal", "train", "DATA"]}
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    (tmp_path / "results.csv").write_text(
        "step,seconds,pictures_per_s,val_exact_match\n2,20,10,0.5\n4,20,11,1.0\n"
    )

    facts = run_facts(tmp_path)

    assert facts["head"] == "positions"
    assert facts["pictures_seen"] == 200
    assert facts["loop_per_s"] == 5.0
    assert facts["seconds_to_99.5"] == 40.0
    assert facts["options"] == ["train", "DATA"]
    assert minutes([facts]) == 5.0
    assert minutes([facts, facts | {"wall_s": 360.0}]) == 6.0


def test_a_bundle_alone_says_nothing_of_its_training(tmp_path: Path) -> None:
    assert run_facts(tmp_path) == {}
    assert minutes([{}]) is None


def test_what_could_not_be_measured_is_misread() -> None:
    measured = {"samples": 8, "correct": 6, "failures": {"count": 2}}

    found = exact(measured)

    assert (found["right"], found["count"], found["value"]) == (6, 10, 0.6)
    assert found["low"] < 0.6 < found["high"]


def test_the_worst_are_the_first_of_each_table() -> None:
    confused = [{"target": "0", "prediction": "O", "count": 30 - i} for i in range(20)]
    measured = {
        "details": {"confused": confused, "edits": {}, "lengths": [], "mistakes": []},
        "failures": {"codes": {"target_invalid": 3}},
    }

    found = worst(measured)

    assert found["confused"] == confused[:12]
    assert found["failures"] == {"target_invalid": 3}


def test_values_are_shared_over_the_pictures_that_have_one() -> None:
    values = {
        "right": {"right": 9, "count": 9},
        "parse_failures": {"right": 0, "count": 9},
        "right_though_misread": 2,
        "without_true_value": 1,
    }

    found = value_share({"details": {"values": values}, "failures": {"count": 1}})

    assert (found["right"], found["count"]) == (9, 10)
    assert found["right_though_misread"] == 2
    with pytest.raises(SystemExit, match="no grammar"):
        value_share({"details": {}, "failures": {"count": 0}})


def test_pictures_of_texts_are_held_out_as_one_stratum_and_then_thinned() -> None:
    few = Claim("c", "w", "d", 1 / 5, None, None, is_text=True, pictures=30)

    train, test = parts(few, texts(100), seed=1)

    assert (len(train), len(test)) == (30, 20)
    assert not {item.group for item in train} & {item.group for item in test}
    assert test == hold_out(texts(100), 1 / 5, 1, stratum_of=lambda item: "")[1]


def test_chosen_items_depend_on_the_seed_alone_and_cannot_be_more_than_there_are() -> None:
    items = texts(50)

    assert choose(items, None, 0) == items
    assert choose(items, 10, 0) == choose(items, 10, 0) != choose(items, 10, 1)
    with pytest.raises(SystemExit, match="51 pictures"):
        choose(items, 51, 0)


def test_fewer_training_pictures_make_a_claim_without_a_target() -> None:
    assert claim(None, "10m").accuracy == 0.98
    assert (claim(300, "10m").name, claim(300, "10m").accuracy) == ("captcha_own_300", None)


def test_a_table_of_texts_is_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        (tmp_path / "images" / f"{name}.png").write_bytes(name.encode())
    (tmp_path / "labels.csv").write_text("filename,label\na.png,NA\nb.png,0O\n")

    items = list_texts(tmp_path)
    copied = list_texts(write_texts(items, tmp_path / "copy"))

    assert [(item.path.name, item.label) for item in items] == [("a.png", "NA"), ("b.png", "0O")]
    assert [(item.label, item.group) for item in copied] == [(i.label, i.group) for i in items]


def test_the_last_drawn_pictures_are_the_validation_part(tmp_path: Path) -> None:
    rows = [(f"images/{i}.png", "AB12") for i in range(4)]

    write_labels(tmp_path / "split.csv", rows, val=1)
    write_labels(tmp_path / "plain.csv", rows)

    with (tmp_path / "split.csv").open(newline="") as file:
        assert [row["split"] for row in csv.DictReader(file)] == ["train", "train", "train", "val"]
    assert (tmp_path / "plain.csv").read_text().splitlines()[0] == "image,text"


def test_rates_leave_the_first_epoch_out_but_not_of_the_whole_process() -> None:
    found = rates(100, epochs_s=[50.0, 10.0, 10.0], trainings_s=[40.0, 8.0, 8.0], wall_s=75.0)

    assert found["loop_per_s"] == 10.0
    assert found["train_per_s"] == 12.5
    assert found["process_per_s"] == 4.0
    assert rates(100, [50.0], [40.0], 100.0)["loop_per_s"] == 2.0


def test_ratios_are_taken_within_each_round() -> None:
    rounds = [
        {"keras": {"loop_per_s": 50.0}, "foveal": {"loop_per_s": 400.0}},
        {"keras": {"loop_per_s": 40.0}, "foveal": {"loop_per_s": 400.0}},
    ]

    assert ratios(rounds, "foveal", "loop_per_s") == (8.0, 10.0)


def test_texts_are_compared_without_case_and_no_answer_is_wrong() -> None:
    assert is_same("ab3k", "AB3K")
    assert not is_same("ab3k ", "AB3K")

    found = accuracy({"a.png": "ab", "b.png": "xx"}, {"a.png": "AB", "b.png": "CD", "c.png": ""})

    assert (found["right"], found["count"]) == (1, 3)


def test_a_further_picture_costs_what_the_folder_takes_beyond_one() -> None:
    assert further_ms([1.0, 1.0, 5.0], [2.0, 2.0, 9.0], pictures=101) == pytest.approx(10.0)


def test_an_environment_without_the_packages_is_refused_with_how_to_make_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(SystemExit, match="pip install tensorflow-cpu pillow"):
        Other(tmp_path / "python", ("tensorflow-cpu", "pillow")).check()
