from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from foveal.errors import DataError, UsageError
from foveal.evaluate import compare


def write_run(
    path: Path, right: dict[str, int], *, task: str = "classify", recipe: str | None = None
) -> Path:
    path.mkdir(parents=True)
    share = sum(right.values()) / len(right)
    values: dict[str, Any] = {
        "schema_version": 1,
        "task": task,
        "samples": len(right),
        "metrics": {"accuracy": {"value": share, "low": share / 2, "high": 1.0}},
    }
    (path / "metrics.json").write_text(json.dumps(values))
    with (path / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "target", "prediction", "confidence", "unsure", "correct"])
        writer.writerows([name, "cat", "cat", "0.9", 0, good] for name, good in right.items())
    if recipe is not None:
        (path / "recipe.yaml").write_text(recipe)
    return path


def pictures(right: int, wrong: int, start: int = 0) -> dict[str, int]:
    return {f"{start + i}.png": int(i < right) for i in range(right + wrong)}


def test_recipe_keys_that_differ_are_shown_and_equal_ones_are_not(tmp_path: Path) -> None:
    one = "seed: 0\nmodel: {dropout: 0.0}\nreasons: {a: b}"
    other = "seed: 0\nmodel: {dropout: 0.5}"
    first = write_run(tmp_path / "plain", pictures(5, 5), recipe=one)
    second = write_run(tmp_path / "dropout", pictures(6, 4), recipe=other)

    comparison = compare([first, second])

    assert comparison.differing == ("model.dropout",)
    assert [run["recipe"] for run in comparison.to_json()["runs"]] == [
        {"model.dropout": 0.0},
        {"model.dropout": 0.5},
    ]
    assert "model.dropout" in comparison.table
    assert "seed" not in comparison.table


def test_the_curves_of_the_runs_are_over_each_other_in_the_page(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, pictures(5, 5)) for name in ("first", "second", "measured")]
    for run, losses in zip(runs, ([0.9, 0.5], [0.8, 0.4, 0.3]), strict=False):
        rows = [f"{epoch},{loss},0.5,1" for epoch, loss in enumerate(losses, 1)]
        (run / "results.csv").write_text(
            "\n".join(["epoch,train_loss,val_accuracy,best", *rows]) + "\n"
        )

    page = compare(runs)._repr_html_()

    # The third has no history, and no run a validation loss.
    assert re.findall(r"<figcaption>([^<]+)<", page) == ["Training loss", "Validation accuracy"]
    loss = page.split("<figure>")[1]
    assert [points.count(",") for points in re.findall(r'polyline points="([^"]+)"', loss)] == [
        2,
        3,
    ]
    assert re.findall(r">(first|second|measured)</text>", loss) == ["first", "second"]


def test_a_history_that_is_no_table_of_epochs_is_named(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, pictures(1, 0)) for name in ("good", "bad")]
    (runs[1] / "results.csv").write_text("epoch,train_loss\n1,high\n")

    with pytest.raises(DataError, match=r"results\.csv"):
        compare(runs)


def test_the_test_is_paired_over_the_pictures_that_both_answered(tmp_path: Path) -> None:
    before = {**{f"{i}.png": 0 for i in range(5)}, "same.png": 1, "only_here.png": 1}
    after = {**{f"{i}.png": 1 for i in range(5)}, "same.png": 1, "only_there.png": 0}
    first, second = write_run(tmp_path / "a", before), write_run(tmp_path / "b", after)

    test = compare([first, second]).tests[0]

    assert (test.run, test.baseline, test.common) == ("b", "a", 6)
    assert (test.gained, test.lost) == (5, 0)
    assert test.difference.value == pytest.approx(5 / 6)
    # Five of five in one direction: 2 · (1/2)⁵.
    assert test.p_value == pytest.approx(0.0625)


def test_several_runs_are_tested_more_strictly(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", pictures(0, 6))
    better = [write_run(tmp_path / name, pictures(6, 0)) for name in ("x", "y")]

    tests = compare([base, *better]).tests

    # 2 · (1/2)⁶, doubled for two questions.
    assert [test.p_value for test in tests] == pytest.approx([0.0625, 0.0625])


def test_runs_without_a_common_picture_are_not_tested(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", pictures(3, 0))
    second = write_run(tmp_path / "b", pictures(3, 0, start=100))

    comparison = compare([first, second])

    assert comparison.tests[0].p_value is None
    assert "no pictures in common" in comparison.table
    assert comparison.to_json()["tests"][0]["difference"] == {
        "value": None,
        "low": None,
        "high": None,
    }


def test_runs_of_one_name_are_shown_by_their_paths(tmp_path: Path) -> None:
    first = write_run(tmp_path / "x" / "run", pictures(3, 0))
    second = write_run(tmp_path / "y" / "run", pictures(3, 0))

    assert [run.name for run in compare([first, second]).runs] == [str(first), str(second)]


def test_the_comparison_is_written_as_json_markdown_and_html(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a|b", pictures(8, 2))
    second = write_run(tmp_path / "<b>", pictures(10, 0))

    compare([first, second]).write(tmp_path / "out")

    values = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert (values["schema_version"], values["task"]) == (1, "classify")
    markdown = (tmp_path / "out" / "compare.md").read_text().splitlines()
    assert markdown[0] == "|  | a\\|b | <b> |"
    assert markdown[3].startswith("| accuracy | 80.00 % (40.0 to 100.0) | 100.00 %")
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_the_table_says_whether_a_difference_is_more_than_chance(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", pictures(0, 40))
    better = write_run(tmp_path / "better", pictures(40, 0))

    assert "more than chance explains" in compare([base, better]).table
    assert "no more than chance explains" in compare([base, base]).table


def test_one_run_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least two runs"):
        compare([write_run(tmp_path / "a", pictures(1, 0))])


def test_a_run_that_is_not_there_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no run at"):
        compare([write_run(tmp_path / "a", pictures(1, 0)), tmp_path / "b"])


def test_runs_of_different_tasks_cannot_be_compared(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", pictures(1, 0))
    second = write_run(tmp_path / "b", pictures(1, 0), task="read")

    with pytest.raises(UsageError, match="different tasks"):
        compare([first, second])


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("metrics.json", None, "metrics.json"),
        ("metrics.json", "{", "metrics.json"),
        ("metrics.json", "[]", "metrics.json"),
        ("metrics.json", '{"task": "classify"}', "metrics.json"),
        ("predictions.csv", None, "predictions.csv"),
        ("predictions.csv", "a,b\n1,2\n", "predictions.csv"),
        ("recipe.yaml", "a: [", "recipe.yaml"),
    ],
)
def test_a_damaged_run_is_named(tmp_path: Path, file: str, content: str | None, named: str) -> None:
    good = write_run(tmp_path / "good", pictures(1, 0))
    bad = write_run(tmp_path / "bad", pictures(1, 0))
    (bad / file).unlink(missing_ok=True)
    if content is not None:
        (bad / file).write_text(content)

    with pytest.raises(DataError, match=named):
        compare([good, bad])
