"""The classify task: decoding, targets, agreement and calibration by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.errors import RecipeError, TargetError
from foveal.tasks import get_task
from foveal.tasks.classify.task import ClassifyTask
from foveal.types import Calibration, Frame, Labels, Picture

FRAME = Frame((8, 8), (8, 8), (1.0, 1.0), (0.0, 0.0))


def single() -> ClassifyTask:
    return ClassifyTask.bind(Labels(("ant", "bee", "cat")), {})


def multi() -> ClassifyTask:
    return ClassifyTask.bind(Labels(("ant", "bee", "cat")), {"multi_label": True})


def logits(*rows: list[float]) -> dict[str, np.ndarray]:
    return {"logits": np.array(rows, np.float32)}


def test_the_task_is_found_by_its_folder() -> None:
    assert get_task("classify") is ClassifyTask


def test_a_misspelt_option_names_the_right_one() -> None:
    with pytest.raises(RecipeError, match=r"multilabel.*task_options\.multi_label"):
        ClassifyTask.bind(Labels(("a", "b")), {"multilabel": True})


def test_an_option_of_a_wrong_type_names_its_key() -> None:
    with pytest.raises(RecipeError, match=r"task_options\.multi_label.*Expected true or false"):
        ClassifyTask.bind(Labels(("a", "b")), {"multi_label": "yes"})


def test_the_largest_logit_is_the_label_and_scores_sum_to_one() -> None:
    answer = single().decode(logits([0.0, 2.0, 1.0]), [FRAME], Calibration())[0]
    assert answer.label == "bee"
    assert answer.confidence == pytest.approx(np.exp(2) / (1 + np.e + np.exp(2)))
    assert float(answer.probabilities.sum()) == pytest.approx(1.0)


def test_a_higher_temperature_lowers_the_confidence_and_keeps_the_label() -> None:
    cold = single().decode(logits([0.0, 2.0, 1.0]), [FRAME], Calibration())[0]
    warm = single().decode(logits([0.0, 2.0, 1.0]), [FRAME], Calibration(temperature=3.0))[0]
    assert warm.label == cold.label
    assert warm.confidence < cold.confidence


def test_an_answer_under_the_limit_is_unsure() -> None:
    calibration = Calibration(unsure_below=0.9)
    answers = single().decode(logits([0.0, 1.0, 0.9], [0.0, 9.0, 0.0]), [FRAME] * 2, calibration)
    assert [answer.unsure for answer in answers] == [True, False]


def test_multi_label_uses_each_labels_own_threshold() -> None:
    calibration = Calibration(thresholds=(0.5, 0.9, 0.1))
    answer = multi().decode(logits([1.0, 1.0, -1.0]), [FRAME], calibration)[0]
    assert answer.labels == ("ant", "cat")
    assert answer.label == "ant|cat"


def test_multi_label_may_answer_with_no_label() -> None:
    answer = multi().decode(logits([-3.0, -3.0, -3.0]), [FRAME], Calibration())[0]
    assert answer.labels == ()
    assert answer.headline.startswith("none")


def test_an_unknown_label_names_the_nearest() -> None:
    with pytest.raises(TargetError, match="Did you mean 'cat'"):
        single().parse_target(("cats",))


def test_two_labels_for_a_single_label_task_are_an_error() -> None:
    with pytest.raises(TargetError, match="exactly one"):
        single().parse_target(("ant", "bee"))


def test_several_labels_on_any_picture_choose_multi_label() -> None:
    options, reasons = ClassifyTask.choose_options([("a",), ("a", "b")])
    assert options == {"multi_label": True}
    assert "1 pictures" in reasons["task_options.multi_label"]


def test_the_heat_map_peaks_where_the_evidence_is() -> None:
    evidence = np.zeros((1, 3, 4, 4), np.float32)
    evidence[0, 1, 3, 0] = 16.0
    outputs = {"logits": evidence.mean(axis=(2, 3)), "evidence": evidence}
    task = single()
    answer = task.decode(outputs, [FRAME], Calibration())[0]
    heat = answer.heat()
    assert heat.shape == (8, 8)
    assert np.unravel_index(heat.argmax(), heat.shape)[0] >= 6
    assert np.unravel_index(heat.argmax(), heat.shape)[1] <= 1
    assert heat.max() == pytest.approx(1.0)
    assert answer.draw(Picture.from_array(np.zeros((8, 8, 3), np.uint8))).shape == (8, 8, 3)


def test_a_heat_map_that_was_not_asked_for_says_how_to_ask() -> None:
    task = single()
    answer = task.decode(logits([1.0, 0.0, 0.0]), [FRAME], Calibration())[0]
    with pytest.raises(TargetError, match="no evidence map"):
        answer.heat()


def test_agreement_is_by_labels_and_gives_the_largest_difference() -> None:
    task = single()
    first, second, third = task.decode(
        logits([0.0, 2.0, 1.0], [0.0, 2.1, 1.0], [3.0, 2.0, 1.0]), [FRAME] * 3, Calibration()
    )
    same, difference = task.agreement(first, second)
    assert same
    assert 0 < difference < 0.05
    assert not task.agreement(first, third)[0]


def test_the_baseline_is_the_most_frequent_class() -> None:
    task = single()
    raws = [("bee",)] * 3 + [("ant",)] * 2
    answers = task.decode(
        {"logits": np.eye(3, dtype=np.float32)[[0] * 5]}, [FRAME] * 5, Calibration()
    )
    targets = [task.parse_target(raw) for raw in raws]
    rows = np.stack([task.measure(a, t) for a, t in zip(answers, targets, strict=True)])

    constant = task.baseline(raws, rows)

    assert constant.answer == "bee"
    assert task.summarise(constant.rows)["accuracy"] == pytest.approx(0.6)
    assert task.is_correct(constant.rows).tolist() == [True, True, True, False, False]


def test_the_baseline_of_several_labels_is_the_most_frequent_set() -> None:
    task = ClassifyTask.bind(Labels(("ant", "bee", "cat")), {"multi_label": True})
    raws = [("ant", "cat"), ("bee",), ("ant", "cat"), ()]
    answers = task.decode({"logits": np.zeros((4, 3), np.float32)}, [FRAME] * 4, Calibration())
    targets = [task.parse_target(raw) for raw in raws]
    rows = np.stack([task.measure(a, t) for a, t in zip(answers, targets, strict=True)])

    constant = task.baseline(raws, rows)

    assert constant.answer == "ant|cat"
    assert task.is_correct(constant.rows).tolist() == [True, False, True, False]
    # Of 12 decisions, ant and cat of the picture with neither and bee, ant, cat are wrong.
    assert task.summarise(constant.rows)["label_accuracy"] == pytest.approx(7 / 12)


@given(st.lists(st.floats(-30, 30, width=32), min_size=3, max_size=3), st.floats(0.1, 10))
def test_scores_are_probabilities_in_falling_order(row: list[float], temperature: float) -> None:
    task = single()
    answer = task.decode(logits(row), [FRAME], Calibration(temperature=temperature))[0]
    scores = list(answer.to_json()["scores"].values())
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1.0, abs=1e-5)
