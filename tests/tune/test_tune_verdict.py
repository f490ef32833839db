"""The verdict: pairs of trainings by seed, picture by picture."""

import json

import pytest

from foveal.tune.folder import StudyFolder
from foveal.tune.verdict import judge


@pytest.fixture
def folder(tmp_path):
    return StudyFolder(tmp_path)


def answered(folder, name, correct):
    run = folder.comparison(name).path
    run.mkdir(parents=True)
    lines = ["image,target,prediction,confidence,unsure,correct,trained_on"]
    lines += [f"{i}.png,a,a,0.9,0,{int(right)},0" for i, right in enumerate(correct)]
    (run / "predictions.csv").write_text("\n".join(lines) + "\n")
    folder.compared(name).write_text(json.dumps({"seconds": 1.0}))


def both(folder, seeds, default, best):
    for seed in range(1, seeds + 1):
        answered(folder, f"default-{seed}", default(seed))
        answered(folder, f"trial-4-{seed}", best(seed))


def test_a_best_recipe_that_is_better_every_time_is_better(folder):
    both(
        folder, 3, lambda s: [i % 2 for i in range(400)], lambda s: [i % 10 > 0 for i in range(400)]
    )
    verdict = judge(folder, 4, "accuracy")
    assert verdict.is_better
    assert verdict.default == pytest.approx((0.5, 0.5, 0.5))
    assert verdict.best == pytest.approx((0.9, 0.9, 0.9))
    assert verdict.pictures == 400
    assert verdict.sentence.startswith("the best recipe is better by +40.00 points (+3")
    assert json.loads(json.dumps(verdict.to_json()))["better"] is True


def test_seeds_that_disagree_leave_the_default(folder):
    both(
        folder,
        3,
        lambda s: [i >= 40 for i in range(400)],
        lambda s: [i >= (60 if s == 1 else 20) for i in range(400)],
    )
    verdict = judge(folder, 4, "accuracy")
    assert float(verdict.difference) > 0
    assert not verdict.is_better
    assert verdict.sentence.startswith("the default stays: the best other recipe differs by +1.67")


def test_equal_answers_leave_the_default(folder):
    both(folder, 3, lambda s: [1] * 50, lambda s: [1] * 50)
    verdict = judge(folder, 4, "accuracy")
    assert not verdict.is_better
    assert verdict.difference.low < 0 < verdict.difference.high


def test_pairs_that_are_not_whole_do_not_count_and_that_is_said(folder):
    both(folder, 2, lambda s: [0, 1] * 200, lambda s: [1, 1] * 200)
    answered(folder, "default-3", [1, 1] * 200)
    verdict = judge(folder, 4, "accuracy")
    assert len(verdict.best) == 2
    assert verdict.sentence.endswith("on 2 of 3 seeds")


def test_nothing_to_compare_leaves_the_default(folder):
    assert judge(folder, None, "accuracy").sentence == (
        "the default stays, because no other recipe was trained to the end"
    )
    verdict = judge(folder, 4, "accuracy")
    assert verdict.sentence == "the default stays, because no time was left for the comparison"
    assert verdict.to_json()["difference"] == {"value": None, "low": None, "high": None}


def test_the_column_of_the_metric_is_compared_where_answers_are_right_to_a_degree(folder):
    for seed in (1, 2, 3):
        for name, value in (("default", 0.5), ("trial-4", 0.75)):
            answered(folder, f"{name}-{seed}", [1] * 5)
            path = folder.comparison(f"{name}-{seed}").path / "predictions.csv"
            head, *rows = path.read_text().splitlines()
            path.write_text("\n".join([head + ",mean_iou", *(f"{r},{value}" for r in rows)]))
    assert float(judge(folder, 4, "mean_iou").difference) == pytest.approx(0.25)
