"""A bundle's `unsure` limit on its validation pictures, and why there may be none."""

from dataclasses import replace

import numpy as np
import pytest

from foveal.bundle.promise import promise
from foveal.evaluate.baseline import BaselineComparison, compare_baseline
from foveal.evaluate.limit import below, calibrate_limit, not_better
from foveal.metrics import Interval
from foveal.tasks.classify.task import Classification, ClassifyTask
from foveal.types import NEVER_SURE, Calibration, Frame, Labels

FRAME = Frame((8, 8), (8, 8), (1.0, 1.0), (0.0, 0.0))
WANTED = 0.99


def calibrate(
    task: ClassifyTask,
    logits: list[list[float]],
    truth: list[str],
    wanted: float = WANTED,
    unsure: tuple[int, ...] = (),
) -> Calibration:
    raws = [(name,) for name in truth]
    targets = [task.parse_target(raw) for raw in raws]
    batch = ({"logits": np.array(logits, np.float32)}, [FRAME] * len(truth))
    fitted = task.fit_calibration([batch], targets)
    answers: list[Classification] = [
        replace(answer, unsure=True) if i in unsure else answer
        for i, answer in enumerate(task.decode(*batch, fitted))
    ]
    rows = np.stack([task.measure(a, t) for a, t in zip(answers, targets, strict=True)])
    baseline = compare_baseline(task, raws, rows)
    return calibrate_limit(fitted, task, answers, raws, task.is_correct(rows), baseline, wanted)


def insects() -> ClassifyTask:
    return ClassifyTask.bind(Labels(("ant", "bee")), {})


def test_a_strong_model_promises_what_is_wanted() -> None:
    logits = [[3.0, 0.0], [0.0, 3.0]] * 300

    calibration = calibrate(insects(), logits, ["ant", "bee"] * 300)

    assert (calibration.shown_accuracy, calibration.coverage) == (0.99, 1.0)
    assert calibration.not_usable is None
    assert promise(calibration, ClassifyTask).startswith(
        "At least 99 % of the answers that are not unsure"
    )


def test_a_gain_that_no_report_shows_is_none() -> None:
    def compared(gain: float) -> BaselineComparison:
        return BaselineComparison("ant", {"accuracy": 0.5}, Interval(gain, gain, gain))

    assert not compared(0.0004).is_beaten
    assert "the model gets +0.0 points" in not_better(insects(), compared(-0.0001))
    assert compared(0.001).is_beaten


def test_a_constant_answer_without_a_score_is_given_none() -> None:
    baseline = BaselineComparison("ant", {"accuracy": float("nan")}, Interval(-1.0, -1.0, -0.2))
    assert not_better(insects(), baseline) == (
        "It is not shown to be better than answering “ant” to every picture; the model gets "
        "-100.0 points (-100.0 to -20.0)."
    )


def test_few_pictures_promise_what_they_show_and_name_the_goal() -> None:
    # The size of ants and bees: 48 validation pictures, two mistakes.
    logits = [[3.0, 0.0], [0.0, 3.0]] * 24
    truth = ["ant", "bee"] * 23 + ["bee", "ant"]

    calibration = calibrate(insects(), logits, truth)

    # Clopper and Pearson for 46 of 48 at half of 5 %.
    assert calibration.shown_accuracy == 0.85
    assert calibration.pictures == 48
    assert "The goal of 99 % could not be shown" in promise(calibration, ClassifyTask)


def test_a_coin_flip_is_never_sure() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(400, 2)).tolist()

    calibration = calibrate(insects(), logits, generator.choice(["ant", "bee"], 400).tolist())

    assert calibration.unsure_below == NEVER_SURE
    assert "not shown to be better than answering" in promise(calibration, ClassifyTask)
    assert promise(calibration, ClassifyTask).startswith(
        "Not usable yet: every answer is marked unsure."
    )


def test_thirty_classes_at_three_percent_are_never_sure() -> None:
    names = tuple(f"class {i:02d}" for i in range(30))
    task = ClassifyTask.bind(Labels(names), {})
    generator = np.random.default_rng(1)
    logits = (20 * generator.normal(size=(300, 30))).tolist()

    calibration = calibrate(task, logits, [names[i % 30] for i in range(300)])

    assert calibration.unsure_below == NEVER_SURE


def test_a_model_that_always_says_the_majority_is_never_sure_however_right_it_is() -> None:
    logits = [[4.0, 0.0]] * 1000

    calibration = calibrate(insects(), logits, ["ant"] * 970 + ["bee"] * 30)

    assert calibration.not_usable is not None
    assert "“ant” to every picture, which gets Accuracy 97.0 %" in calibration.not_usable


def test_a_model_that_learned_but_is_too_weak_says_what_can_be_shown() -> None:
    # 65 % right, and equally sure of everything.
    logits = [[2.0, 0.0], [0.0, 2.0]] * 500
    truth = ["ant", "bee"] * 325 + ["bee", "ant"] * 175

    calibration = calibrate(insects(), logits, truth)

    assert calibration.unsure_below == NEVER_SURE
    assert calibration.not_usable == (
        "At least 80 % of the answers that are not unsure must be right. At best, 61 % can be "
        "shown: of all 1000 validation answers, 650 are right."
    )


def test_too_few_pictures_are_named_with_how_many_it_takes() -> None:
    calibration = calibrate(insects(), [[3.0, 0.0], [0.0, 3.0]] * 5, ["ant", "bee"] * 5)

    assert calibration.not_usable == (
        "10 validation pictures are too few to show that 80 % of the answers are right, even if "
        "all of them are; this takes 14."
    )


def test_what_is_required_can_be_less() -> None:
    calibration = calibrate(
        insects(),
        [[3.0, 0.0], [0.0, 3.0]] * 5,
        ["ant", "bee"] * 5,
        0.7,
    )

    assert calibration.shown_accuracy == 0.7


def test_answers_that_are_unsure_for_another_reason_are_not_promised() -> None:
    logits = [[3.0, 0.0], [0.0, 3.0]] * 40
    truth = ["ant", "bee"] * 36 + ["bee", "ant"] * 4

    everything = calibrate(insects(), logits, truth)
    without = calibrate(insects(), logits, truth, unsure=tuple(range(72, 80)))

    assert everything.shown_accuracy is not None
    assert without.shown_accuracy is not None
    assert without.shown_accuracy > everything.shown_accuracy
    assert without.coverage == pytest.approx(0.9)


def test_nothing_is_promised_where_every_answer_is_unsure_already() -> None:
    logits = [[3.0, 0.0], [0.0, 3.0]] * 40

    calibration = calibrate(insects(), logits, ["ant", "bee"] * 40, unsure=tuple(range(80)))

    assert calibration.unsure_below == NEVER_SURE


def test_answers_under_the_limit_become_unsure() -> None:
    answers = insects().decode(
        {"logits": np.array([[3.0, 0.0], [0.5, 0.0]], np.float32)}, [FRAME] * 2, Calibration()
    )

    assert [answer.unsure for answer in below(answers, 0.9)] == [False, True]
    assert [answer.unsure for answer in below(answers, NEVER_SURE)] == [True, True]


def test_bundles_from_before_say_what_they_measured() -> None:
    old = Calibration(unsure_below=0.8, stated_accuracy=0.987, coverage=0.9)

    assert promise(old, ClassifyTask) == (
        "On validation, 98.7 % of the answers that are not unsure were right; 90 % of the pictures "
        "got such an answer."
    )
    assert promise(Calibration(), ClassifyTask) == ""


def test_thresholds_of_labels_are_not_judged_by_the_pictures_they_were_chosen_on() -> None:
    # Ten labels and 48 pictures: what the thresholds fit does not hold for others.
    names = tuple(f"label {i}" for i in range(10))
    task = ClassifyTask.bind(Labels(names), {"multi_label": True})
    generator = np.random.default_rng(0)
    broken = 0
    for _ in range(20):
        truth = generator.random((1048, 10)) < 0.25
        noise = generator.normal(scale=1.6, size=truth.shape)
        logits = (3.5 * (2 * truth - 1) + noise).astype(np.float32)
        raws = [tuple(np.array(names)[row]) for row in truth]
        targets = [task.parse_target(raw) for raw in raws]
        seen = ({"logits": logits[:48]}, [FRAME] * 48)
        fitted = task.fit_calibration([seen], targets[:48])
        answers = task.decode(*seen, fitted)
        rows = np.stack([task.measure(a, t) for a, t in zip(answers, targets, strict=False)])
        baseline = compare_baseline(task, raws[:48], rows)
        right = task.is_correct(rows)
        chosen = calibrate_limit(fitted, task, answers, raws[:48], right, baseline, 0.99)
        others = task.decode({"logits": logits[48:]}, [FRAME] * 1000, chosen)
        kept = [a.labels == raw for a, raw in zip(others, raws[48:], strict=True) if not a.unsure]
        broken += bool(kept) and np.mean(kept) < (chosen.shown_accuracy or 0)

    # At 5 %, more than 4 of 20 happen in one of 400 runs; judged by their own pictures 11 are.
    assert broken <= 4


def test_an_unfamiliar_picture_under_the_limit_has_both_reasons() -> None:
    (answer,) = insects().decode(
        {"logits": np.array([[0.5, 0.0]], np.float32)}, [FRAME], Calibration()
    )

    (judged,) = below([answer.judged(1.5)], 0.9)

    assert judged.reasons == ("confidence", "unfamiliar")
    assert below([judged], 0.9) == (judged,)
