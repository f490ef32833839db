from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from foveal.tasks.classify import analysis, report
from foveal.types import JsonObject

NAMES = ("cat", "dog", "emu")


@dataclass(frozen=True)
class Answer:
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]


def say(names: tuple[str, ...], *chosen: str, sure: float = 0.8) -> Answer:
    probabilities = np.full(len(names), (1 - sure) / max(1, len(names) - 1), np.float32)
    probabilities[[names.index(name) for name in chosen]] = sure
    return Answer(chosen, probabilities)


def vector(names: tuple[str, ...], *true: str) -> NDArray[np.float32]:
    return np.array([name in true for name in names], np.float32)


def rows_of(
    pairs: list[tuple[tuple[str, ...], tuple[str, ...]]], *, multi_label: bool
) -> NDArray[np.float64]:
    return np.stack(
        [
            analysis.row(
                vector(NAMES, *answered), vector(NAMES, *true), 0.8, multi_label=multi_label
            )
            for true, answered in pairs
        ]
    )


def test_a_row_of_one_label_holds_indices_confidence_and_correctness() -> None:
    values = analysis.row(vector(NAMES, "emu"), vector(NAMES, "dog"), 0.7, multi_label=False)

    assert values.tolist() == [1, 2, 0.7, 0]


def test_a_row_of_several_labels_holds_both_vectors() -> None:
    values = analysis.row(
        vector(NAMES, "cat", "emu"), vector(NAMES, "cat", "emu"), 0.7, multi_label=True
    )

    assert values.tolist() == [1, 0, 1, 1, 0, 1, 0.7, 1]


def test_metrics_of_one_label_by_hand() -> None:
    pairs = [("cat", "cat"), ("cat", "cat"), ("cat", "dog"), ("dog", "dog")]
    rows = rows_of([((t,), (a,)) for t, a in pairs], multi_label=False)

    values = analysis.summarise(rows, classes=3, multi_label=False)

    # cat: precision 1, recall 2/3; dog: precision 1/2, recall 1; emu never plays.
    assert values == {
        "accuracy": 0.75,
        "macro_f1": pytest.approx((0.8 + 2 / 3) / 2),
        "precision": pytest.approx(0.75),
        "recall": pytest.approx(5 / 6),
        "weighted_f1": pytest.approx((3 * 0.8 + 2 / 3) / 4),
        "ece": pytest.approx(0.05),
    }


def test_metrics_of_several_labels_by_hand() -> None:
    rows = rows_of(
        [(("cat", "dog"), ("cat", "dog")), (("cat",), ("cat", "dog")), (("emu",), ())],
        multi_label=True,
    )

    values = analysis.summarise(rows, classes=3, multi_label=True)

    # cat: 2 of 2; dog: 1 hit, 1 false; emu: missed. All together 3 hits, 1 false, 1 missed.
    assert values["accuracy"] == pytest.approx(1 / 3)
    assert values["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert values["precision"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert values["recall"] == pytest.approx((1 + 1 + 0) / 3)
    assert values["micro_f1"] == pytest.approx(6 / 8)
    assert values["label_accuracy"] == pytest.approx(7 / 9)


@pytest.mark.parametrize(("multi_label", "columns"), [(False, 4), (True, 8)])
def test_no_rows_give_undefined_metrics_not_an_error(multi_label: bool, columns: int) -> None:
    values = analysis.summarise(np.zeros((0, columns)), classes=3, multi_label=multi_label)

    assert all(math.isnan(value) for value in values.values())


def analyse(pairs: list[tuple[str, str]], names: tuple[str, ...] = NAMES) -> JsonObject:
    return analysis.analyse(
        [say(names, answered) for _, answered in pairs],
        [vector(names, true) for true, _ in pairs],
        names,
        multi_label=False,
    )


def test_the_confusion_and_its_most_frequent_pairs() -> None:
    pairs = [("cat", "dog")] * 3 + [("dog", "cat")] + [("cat", "cat")] * 3 + [("emu", "emu")]

    details = analyse(pairs)

    assert details["confusion"] == {
        "labels": list(NAMES),
        "counts": [[3, 3, 0], [1, 0, 0], [0, 0, 1]],
    }
    assert details["confused"] == [
        {"target": "cat", "prediction": "dog", "count": 3, "share": 0.5},
        {"target": "dog", "prediction": "cat", "count": 1, "share": 1.0},
    ]
    assert "cat is mistaken for dog 3 times (50 % of cat)." in details["highlights"]


def test_undefined_figures_are_null_so_that_the_details_are_json() -> None:
    details = analyse([("cat", "cat")])

    text = json.dumps(details, allow_nan=False)

    assert json.loads(text) == details
    assert details["classes"][1]["precision"] is None


def test_a_confused_pair_of_several_labels_is_one_missed_and_one_made_up() -> None:
    details = analysis.analyse(
        [say(NAMES, "cat", "dog"), say(NAMES, "cat")],
        [vector(NAMES, "cat", "emu"), vector(NAMES, "cat", "dog")],
        NAMES,
        multi_label=True,
    )

    assert details["confused"] == [{"target": "emu", "prediction": "dog", "count": 1, "share": 1.0}]
    assert "confusion" not in details


def test_mean_average_precision_comes_with_its_interval() -> None:
    rng = np.random.default_rng(0)
    targets = [vector(NAMES, *np.array(NAMES)[rng.random(3) < 0.5]) for _ in range(60)]
    answers = [Answer((), (t * 0.5 + rng.random(3) * 0.6).astype(np.float32)) for t in targets]

    value = analysis.analyse(answers, targets, NAMES, multi_label=True)["mean_average_precision"]

    assert 0.8 < value["low"] < value["value"] < value["high"] <= 1


def test_two_classes_get_curves_and_a_threshold_sweep_for_the_second() -> None:
    names = ("cat", "dog")
    answers = [Answer(("dog",), np.array([1 - p, p], np.float32)) for p in (0.9, 0.8, 0.3, 0.2)]
    targets = [vector(names, t) for t in ("dog", "cat", "dog", "cat")]

    binary = analysis.analyse(answers, targets, names, multi_label=False)["binary"]

    assert binary["positive"] == "dog"
    assert binary["roc_auc"]["value"] == pytest.approx(0.75)
    assert binary["average_precision"]["value"] == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert binary["roc"][0] == [0, 0]
    assert binary["roc"][-1] == [1, 1]
    middle = next(row for row in binary["sweep"] if row["threshold"] == 0.5)
    assert (middle["precision"], middle["recall"]) == (0.5, 0.5)


def test_classes_without_or_with_few_pictures_are_said() -> None:
    sentences = " ".join(str(s) for s in analyse([("cat", "cat")] * 3)["highlights"])

    assert "No picture of 2 of 3 classes: dog, emu." in sentences
    assert "1 of 3 classes have under 10 pictures (cat)" in sentences


def test_a_thousand_classes_stay_small_and_keep_the_confused_ones() -> None:
    names = tuple(f"class {i:04}" for i in range(1000))
    pairs = [(name, name) for name in names] + [(names[700], names[900])] * 5

    details = analyse(pairs, names)

    assert len(details["confusion"]["labels"]) == 100
    assert {names[700], names[900]} <= set(details["confusion"]["labels"])
    assert details["confusion"]["left_out"] == 900
    sections = report.report_sections(details, names, multi_label=False)
    figures = [figure for section in sections for _, figure in section.figures]
    rows = [row for section in sections for _, table in section.tables for row in table]
    assert max(len(figure) for figure in figures) < 300_000
    assert len(rows) < 300


def test_the_true_class_may_be_among_the_five_likeliest() -> None:
    names = tuple("abcdefghijkl")
    falling = np.linspace(0.3, 0.01, 12, dtype=np.float32)

    details = analysis.analyse(
        [Answer(("a",), falling)] * 12,
        [vector(names, name) for name in names],
        names,
        multi_label=False,
    )

    # a to e of twelve.
    assert details["top5_accuracy"]["value"] == pytest.approx(5 / 12)


@pytest.mark.parametrize(
    ("pairs", "titles", "reason"),
    [
        (
            [("cat", "cat"), ("dog", "dog")],
            ["Confusion", "Classes", "Class balance"],
            "nothing was confused",
        ),
        (
            [("cat", "dog"), ("dog", "dog")],
            ["Confusion", "Most confused", "Classes", "Class balance"],
            "one pair was",
        ),
    ],
)
def test_sections_of_the_report(
    pairs: list[tuple[str, str]], titles: list[str], reason: str
) -> None:
    sections = report.report_sections(analyse(pairs), NAMES, multi_label=False)

    assert [section.title for section in sections] == titles, reason


def test_two_classes_get_the_section_of_thresholds() -> None:
    names = ("cat", "dog")

    sections = report.report_sections(
        analyse([("cat", "cat"), ("dog", "dog")], names), names, multi_label=False
    )

    assert "Detecting dog" in [section.title for section in sections]
