"""The read task: targets, decoding of logits made by hand, agreement, explanations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from foveal.errors import RecipeError, TargetError
from foveal.pipeline import Pipeline
from foveal.tasks import get_task
from foveal.tasks.read.prediction import Reading
from foveal.tasks.read.task import ReadTask
from foveal.types import Calibration, Frame, Labels, Outputs, Picture

PIPELINE = Pipeline(32, 640, "line")
PLAIN = Calibration()
# Far enough from 0 that the other classes together have a probability under 1e-8.
SURE = 20.0


def task(alphabet: str = "abc", **options: object) -> ReadTask:
    return ReadTask.bind(Labels.of(alphabet), options)


def columns(path: str, alphabet: str = "abc", height: float = SURE) -> Outputs:
    """Return (1, T, K) logits that say one class a column; `-` is the blank."""
    classes = ["-", *sorted(alphabet)]
    logits = np.zeros((1, len(path), len(classes)), np.float32)
    for column, character in enumerate(path):
        logits[0, column, classes.index(character)] = height
    return {"logits": logits}


def shares(*rows: tuple[float, ...]) -> Outputs:
    """Return (1, T, K) logits whose softmax are these probabilities."""
    return {"logits": np.log(np.array([rows]) + 1e-12).astype(np.float32)}


def read(
    bound: ReadTask, outputs: Outputs, frame: Frame | None = None, calibration: Calibration = PLAIN
) -> Reading:
    (reading,) = bound.decode(outputs, [frame or PIPELINE.frame(32, 96)], calibration)
    return reading


def test_the_task_is_found_by_its_folder() -> None:
    assert get_task("read") is ReadTask


def test_the_alphabet_is_every_character_of_the_texts_in_order() -> None:
    assert ReadTask.fit_labels([("b流a",), ("1b",)]).names == ("1", "a", "b", "流")


@pytest.mark.parametrize("raw", [("",), (), ("a", "b")])
def test_a_target_is_one_text_that_is_not_empty(raw: tuple[str, ...]) -> None:
    with pytest.raises(TargetError, match="one text that is not empty"):
        task().parse_target(raw)


def test_a_character_outside_the_alphabet_is_named_with_its_code() -> None:
    with pytest.raises(TargetError, match=r"'é' \(U\+00E9\) is not in the alphabet.*'abc'"):
        task().parse_target(("abé",))


def test_a_text_longer_than_the_positions_names_both_lengths_and_a_way_out() -> None:
    bound = task(head="positions", length=3)
    assert bound.parse_target(("abc",)) == "abc"
    with pytest.raises(TargetError, match=r"'abca' has 4 characters.*at most 3") as caught:
        bound.parse_target(("abca",))
    assert "head=ctc" in str(caught.value.hint)


@pytest.mark.parametrize("head", ["ctc", "gru"])
def test_texts_of_columns_may_be_of_any_length(head: str) -> None:
    assert task(head=head, length=3).parse_target(("abcabc",)) == "abcabc"


def test_an_unknown_head_names_those_there_are() -> None:
    with pytest.raises(RecipeError, match="one of ctc, gru, positions"):
        task(head="lstm")


def test_positions_must_be_counted() -> None:
    with pytest.raises(RecipeError, match="number of positions") as caught:
        task(head="positions")
    assert "task_options.length" in str(caught.value.hint)


@pytest.mark.parametrize(
    "options",
    [
        {"pattern": "[abc]+", "words": ["abc"]},
        {"pattern": "[abc]+", "grammar": "arithmetic"},
        {"grammar": "formula", "words": ["abc"]},
    ],
)
def test_two_constraints_at_once_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="at most one of grammar, pattern and words"):
        task(**options)


def test_a_bad_pattern_is_known_when_the_task_is_bound() -> None:
    with pytest.raises(RecipeError, match="Invalid pattern"):
        task(pattern="(")


def test_a_misspelt_option_names_the_right_one() -> None:
    with pytest.raises(RecipeError, match=r"decodr.*task_options\.decoder"):
        task(decodr="beam")


def test_columns_collapse_and_a_blank_parts_equal_neighbours() -> None:
    answer = read(task(), columns("-aa-ab-bc---"))
    assert answer.text == "aabbc"
    assert answer.spans == ((1, 3), (4, 5), (5, 6), (7, 8), (8, 9))
    assert answer.confidence == pytest.approx(1.0, abs=1e-5)
    assert not answer.unsure


def test_the_confidence_is_that_of_the_whole_text_over_all_its_alignments() -> None:
    # Two columns, blank .4 and a .6: "a" by aa, a-, -a is .36 + 2 * .24, though its best path
    # has .36 and no character more than .6.
    answer = read(task("a"), shares((0.4, 0.6), (0.4, 0.6)))
    assert answer.text == "a"
    assert answer.confidence == pytest.approx(0.84, abs=1e-6)
    assert answer.characters[0].confidence == pytest.approx(0.6, abs=1e-6)


def test_the_beam_finds_the_text_that_the_best_path_hides() -> None:
    # Blank .6, a .4: the best path is empty (.36), but "a" has .16 + 2 * .24 = .64.
    outputs = shares((0.6, 0.4), (0.6, 0.4))
    assert read(task("a"), outputs).text == ""
    answer = read(task("a", decoder="beam"), outputs)
    assert (answer.text, answer.confidence) == ("a", pytest.approx(0.64, abs=1e-6))


def test_a_temperature_lowers_the_confidence_of_the_text() -> None:
    # Logits of 4 against 0: e^4 / (e^4 + 1) for each column, and e^2 / (e^2 + 1) at 2.
    outputs = {"logits": np.array([[[0, 4], [4, 0]]], np.float32)}
    p, q = 1 / (1 + math.exp(-4)), 1 / (1 + math.exp(-2))
    cold = read(task("a"), outputs)
    warm = read(task("a"), outputs, calibration=Calibration(temperature=2.0))
    # "a" by a-, aa and -a.
    assert cold.confidence == pytest.approx(p * p + 2 * p * (1 - p) - p * (1 - p) + (1 - p) ** 2)
    assert warm.confidence == pytest.approx(q * q + q * (1 - q) + (1 - q) ** 2)


def test_an_answer_under_the_limit_is_unsure() -> None:
    outputs = shares((0.1, 0.9))
    for limit, unsure in ((0.85, False), (0.95, True)):
        answer = read(task("a"), outputs, calibration=Calibration(unsure_below=limit))
        assert answer.unsure is unsure


def test_positions_say_a_character_or_nothing_and_repeats_are_two() -> None:
    bound = task(head="positions", length=4)
    answer = read(bound, columns("aa-b"))
    assert answer.text == "aab"
    assert answer.spans == ((0, 1), (1, 2), (3, 4))


def test_characters_of_positions_stand_where_their_classifiers_looked() -> None:
    bound = task(head="positions", length=2)
    attention = np.zeros((1, 2, 12), np.float32)
    attention[0, 0, 1], attention[0, 1, 4] = 1.0, 1.0
    # 50 px became 80: columns of 5 px, of which 10 show the picture. Centres 1.5 and 4.5, and
    # half of three columns and a half again.
    frame = PIPELINE.frame(20, 50)
    answer = read(bound, {**columns("ba"), "attention": attention}, frame)
    assert [(c.char, c.x0, c.x1) for c in answer.characters] == [
        ("b", pytest.approx(0.0), pytest.approx(15.0)),
        ("a", pytest.approx(15.0), pytest.approx(33.75)),
    ]


def test_only_texts_of_the_list_are_read_from_positions() -> None:
    # Freely "ac" (.7 * .8); of the words "ab" has .7 * .2 and "cc" .3 * .8.
    outputs = shares((0, 0.7, 0, 0.3), (0, 0, 0.2, 0.8))
    bound = task(head="positions", length=2, words=["ab", "cc"])
    assert read(task(head="positions", length=2), outputs).text == "ac"
    answer = read(bound, outputs)
    assert (answer.text, answer.unsure) == ("cc", False)
    assert answer.confidence == pytest.approx(0.24, abs=1e-5)


def test_only_texts_of_the_list_are_read_from_columns() -> None:
    # As above with a column of blank between.
    outputs = shares((0, 0.7, 0, 0.3), (1, 0, 0, 0), (0, 0, 0.2, 0.8))
    answer = read(task(words=["ab", "cc"]), outputs)
    assert (answer.text, answer.spans) == ("cc", ((0, 1), (2, 3)))
    assert answer.confidence == pytest.approx(0.24, abs=1e-5)


def test_a_pattern_is_followed_from_end_to_end() -> None:
    # The last column is a or b; two letters of one kind are asked for.
    outputs = shares((0, 0.9, 0.1), (1, 0, 0), (0, 0.4, 0.6))
    assert read(task("ab"), outputs).text == "ab"
    assert read(task("ab", pattern="aa|bb"), outputs).text == "aa"


@pytest.mark.parametrize("head", ["ctc", "positions"])
def test_every_answer_under_a_grammar_is_an_expression_whatever_the_logits(head: str) -> None:
    alphabet = "0123456789()+-*"
    bound = task(alphabet, head=head, length=9, grammar="arithmetic")
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20, 9 if head == "positions" else 20, 16)).astype(np.float32)
    answers = bound.decode({"logits": logits}, [PIPELINE.frame(32, 96)] * 20, PLAIN)
    sure = [answer for answer in answers if answer.value is not None]
    assert len(sure) == len(answers)
    assert not any(answer.value_error for answer in answers)
    free = task(alphabet, head=head, length=9)
    assert [a.text for a in free.decode({"logits": logits}, [PIPELINE.frame(32, 96)] * 20, PLAIN)]


def test_when_no_allowed_text_is_within_reach_the_answer_is_unsure() -> None:
    # Two columns cannot hold the only word.
    answer = read(task(words=["abc"]), columns("ab"))
    assert (answer.text, answer.unsure) == ("ab", True)


def test_an_allowed_text_is_taken_as_it_stands() -> None:
    assert read(task("12+", grammar="arithmetic"), columns("1-+2", "12+")).value == "3"


def test_expressions_have_a_value_or_the_reason_why_not() -> None:
    bound = task("10/", grammar="arithmetic")
    answer = read(bound, columns("1/0", "10/"))
    assert answer.value is None
    assert answer.value_error is not None and "zero" in answer.value_error
    assert answer.to_json()["value_error"] == answer.value_error
    assert answer.headline == f"1/0 ({answer.value_error}) 100.0 %"


def test_the_headline_says_text_value_and_confidence() -> None:
    assert read(task(), columns("a-b")).headline == "ab 100.0 %"
    arithmetic = task("1+", grammar="arithmetic")
    assert read(arithmetic, columns("1+1", "1+")).headline == "1+1 = 2 100.0 %"
    unsure = read(task("a"), shares((0.4, 0.6)), calibration=Calibration(unsure_below=0.9))
    assert unsure.headline == "unsure: a 60.0 %"
    assert read(task(), columns("--")).headline == "nothing 100.0 %"


def test_a_picture_without_text_reads_as_nothing() -> None:
    answer = read(task(), columns("----"))
    assert (answer.text, answer.characters, answer.spans) == ("", (), ())
    assert answer.confidence == pytest.approx(1.0, abs=1e-6)
    assert answer.draw(Picture.from_array(np.zeros((32, 96, 3), np.uint8))).shape[2] == 3
    assert answer.main_label is None
    with pytest.raises(TargetError, match="Nothing was read"):
        answer.heat()


def test_the_metrics_of_hand_made_answers() -> None:
    bound = task()
    pairs = [("abc", "abc"), ("ab-", "abc"), ("-c-", "a")]
    answers = [read(bound, columns(path)) for path, _ in pairs]
    rows = np.stack([bound.measure(a, t) for a, (_, t) in zip(answers, pairs, strict=True)])
    metrics = bound.summarise(rows)
    assert bound.is_correct(rows).tolist() == [True, False, False]
    assert metrics["exact_match"] == pytest.approx(1 / 3)
    # One character missing, one wrong, of seven.
    assert metrics["character_accuracy"] == pytest.approx(1 - 2 / 7)
    # All are sure, one in three is right.
    assert metrics["ece"] == pytest.approx(2 / 3, abs=1e-4)
    assert bound.primary_metric in metrics


def test_a_right_value_counts_though_the_text_is_wrong() -> None:
    bound = task("123+", grammar="arithmetic")
    answer = read(bound, columns("1+2", "123+"))
    rows = np.stack([bound.measure(answer, "2+1"), bound.measure(answer, "1+3")])
    metrics = bound.summarise(rows)
    assert (metrics["exact_match"], metrics["value_accuracy"]) == (0.0, 0.5)
    assert metrics["parse_failures"] == 0.0


def test_agreement_is_by_text_and_gives_the_largest_difference() -> None:
    bound = task("a")
    first, second = read(bound, shares((0.4, 0.6))), read(bound, shares((0.3, 0.7)))
    assert bound.agreement(first, second) == (True, pytest.approx(0.1, abs=1e-6))
    other = read(bound, shares((0.6, 0.4)))
    assert bound.agreement(first, other) == (False, pytest.approx(0.2, abs=1e-6))


def test_answers_of_another_number_of_columns_never_agree() -> None:
    bound = task("a")
    first, second = read(bound, columns("a-", "a")), read(bound, columns("a--", "a"))
    assert bound.agreement(first, second) == (False, math.inf)


def test_the_least_sure_character_is_explained() -> None:
    answer = read(task("ab"), shares((0, 0.9, 0.1), (1, 0, 0), (0, 0.3, 0.7)))
    assert answer.main_label == "b"


def test_support_is_the_largest_probability_of_a_character() -> None:
    bound = task("ab")
    answer = read(bound, shares((0.5, 0.5, 0), (0.25, 0.75, 0)))
    assert answer.support("a") == pytest.approx(0.75)
    assert answer.support("b") == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(TargetError, match="not in the alphabet"):
        answer.support("z")


def test_the_heat_is_over_the_columns_of_a_character_in_the_original() -> None:
    bound = task()
    # Columns of 8 px; the picture is 20 x 60 and fills the model input of 32 x 96.
    heat = read(bound, columns("---a--------"), PIPELINE.frame(20, 60)).heat("a")
    assert heat.shape == (20, 60)
    assert heat.max() == pytest.approx(1.0)
    # Column 3 is px 24 to 32 of the model input, 15 to 20 of the original.
    assert 15 <= heat[10].argmax() < 20
    assert heat[:, 30:].max() < 1e-6


def test_the_heat_of_positions_is_where_they_looked() -> None:
    bound = task(head="positions", length=2)
    attention = np.full((1, 2, 12), 0.0, np.float32)
    attention[0, 0, 1], attention[0, 1, 10] = 1.0, 1.0
    answer = read(bound, {**columns("ba"), "attention": attention})
    assert 8 <= answer.heat("b")[16].argmax() < 16
    assert 80 <= answer.heat("a")[16].argmax() < 88


def test_the_baseline_is_the_most_frequent_text() -> None:
    bound = task("ab")
    raws = [("ab",), ("ba",), ("ba",), ("bb",)]
    rows = np.stack([bound.measure(read(bound, columns("a-b-", "ab")), raw[0]) for raw in raws])

    constant = bound.baseline(raws, rows)

    assert constant.answer == "ba"
    assert bound.is_correct(constant.rows).tolist() == [False, True, True, False]
    # Two edits from ab, one from bb, of eight characters.
    assert bound.summarise(constant.rows)["character_accuracy"] == pytest.approx(1 - 3 / 8)


def test_batches_of_several_widths_calibrate_together() -> None:
    bound = task("ab")
    batches = [
        (columns("a-b-", "ab"), [PIPELINE.frame(32, 32)]),
        (columns("--b-a---", "ab"), [PIPELINE.frame(32, 64)]),
    ]
    calibration = bound.fit_calibration(batches, ["ab", "ba"])
    assert 0.25 <= calibration.temperature <= 8


def test_constrained_positions_are_calibrated_on_the_text_that_was_read() -> None:
    # Each says freely "a" with .8 each, which is no word; of the words "ba" is read with .16.
    bound = task("ab", head="positions", length=2, words=["ba", "bb"])
    outputs = shares(*([(0.0, 0.8, 0.2)] * 2))
    many = {"logits": np.repeat(outputs["logits"], 100, axis=0)}
    frames = [PIPELINE.frame(32, 96)] * 100
    calibration = bound.fit_calibration([(many, frames)], ["ba"] * 100)
    # Every answer is right, so a temperature that makes it more probable is asked for: flatter.
    assert calibration.temperature > 1.5
