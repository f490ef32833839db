"""A study from beginning to end: its result, its budget, and what a kill leaves."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from studying import KEYS, folder_in, small_recipe, study, without_comparison

import foveal
from foveal.cli.main import run as run_command
from foveal.console import NoProgress
from foveal.errors import BundleError, DataError, FovealError, UsageError
from foveal.recipe import Recipe
from foveal.tune.journal import Journal
from foveal.tune.limits import Limits
from foveal.tune.processes import work_in_processes
from foveal.tune.run import Asked, resume_tuning
from foveal.tune.rungs import PartedTraining
from foveal.tune.spacefile import space_from_json

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory, draw_folder):
    return draw_folder(tmp_path_factory.mktemp("photos"), n=12, size=16)


@pytest.fixture(scope="module")
def ended(photos, tmp_path_factory):
    """Return a study with its comparison, which takes most of the time of these tests."""
    return study(photos, tmp_path_factory.mktemp("runs"), trials=2)


def test_the_first_trial_is_the_default_recipe(ended, photos):
    first, second = ended.trials
    assert first.is_default
    assert first.state == "trained"
    assert first.values == ended.space.default
    assert not second.is_default


def test_both_recipes_are_compared_on_three_seeds_and_one_split(ended):
    folder = folder_in(ended.study.parents[2])
    names = [f"{name}-{seed}" for seed in (1, 2, 3) for name in ("default", "trial-1")]
    assert len(ended.verdict.default) == len(ended.verdict.best) == 3
    seeds = [Recipe.load(folder.comparison(name).recipe).seed for name in names]
    assert seeds == [1, 1, 2, 2, 3, 3]
    splits = {folder.comparison(name).split.read_bytes() for name in names}
    splits |= {folder.trial(number).split.read_bytes() for number in (0, 1)}
    assert splits == {folder.fixed.split.read_bytes()}


def test_the_study_has_a_table_a_report_a_recipe_and_a_model(ended, photos):
    folder = folder_in(ended.study.parents[2])
    rows = list(csv.DictReader(folder.table.read_text().splitlines()))
    assert [row["trial"] for row in rows] == ["0", "1"]
    assert float(rows[0]["train.lr"]) == ended.space.default["train.lr"]
    page = folder.report.read_text()
    assert ended.verdict.sentence.replace("the", "The", 1) in page
    assert "<svg" in page
    assert json.loads(folder.result.read_text()) == ended.to_json()
    recipe = Recipe.load(folder.recipe)
    winner = folder.trial(1) if ended.is_better else folder.fixed
    assert recipe == Recipe.load(winner.recipe)
    picture = next(photos.rglob("*.png"))
    assert foveal.load(ended.study)(picture).label in ("circle", "square")
    assert not folder.decoded.exists()
    assert "foveal tuning" in ended._repr_html_()


def test_the_same_command_gives_the_result_again(ended, photos):
    again = study(photos, ended.study.parents[2], trials=2)
    assert again.study == ended.study
    assert again.trials == ended.trials
    assert again.verdict == ended.verdict


def test_the_command_says_how_to_go_on_with_the_data_of_the_study(
    ended, photos, monkeypatch, capsys
):
    monkeypatch.chdir(photos.parent)
    assert run_command(["tune", "--resume", str(ended.study)]) == 0
    said = capsys.readouterr()
    assert ended.sentence.split(":")[0] in said.out
    folder = folder_in(ended.study.parents[2])
    assert f"foveal train {photos.name} --recipe {folder.recipe}\n" in said.err


def test_the_default_recipe_is_listed_below_better_ones(ended, capsys, monkeypatch):
    monkeypatch.setattr("foveal.cli.tune._LISTED", 0)
    assert run_command(["tune", "--resume", str(ended.study)]) == 0
    _, first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("default")


def test_the_space_of_a_study_is_in_its_folder(ended, capsys):
    assert run_command(["tune", "--resume", str(ended.study), "--show-space"]) == 2
    assert "space.yaml" in capsys.readouterr().err


def test_another_recipe_is_another_study(ended, photos, monkeypatch):
    without_comparison(monkeypatch)
    other = study(photos, ended.study.parents[2], trials=2, epochs=1)
    assert other.study.name == "tiny-2"


def test_without_a_comparison_the_default_stays(photos, tmp_path, monkeypatch):
    without_comparison(monkeypatch)
    found = study(photos, tmp_path, trials=2, epochs=1)
    assert found.sentence == "the default stays, because no time was left for the comparison"
    assert Recipe.load(found.recipe) == Recipe.load(folder_in(tmp_path).fixed.recipe)


def trials_of(out: Path) -> list[tuple]:
    folder = folder_in(out)
    about = folder.read_about()
    journal = Journal(folder.journal, space_from_json(about["space"]), about["rungs"])
    return [
        (t.number, t.state.name, t.value, t.params, t.intermediate_values) for t in journal.trials()
    ]


@pytest.fixture(scope="module")
def undisturbed(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        without_comparison(patch)
        study(photos, out, trials=3)
    return trials_of(out)


# Saves: at the ends of rungs and of epochs. Lines: one for each value, judgement and fact.
@pytest.mark.parametrize(
    ("what", "count"),
    [("checkpoint", 2), ("line", 8), ("half", 30)],
)
def test_a_study_that_is_killed_ends_as_if_it_had_not_been(
    photos, tmp_path, monkeypatch, undisturbed, what, count
):
    script = Path(__file__).with_name("kill_study.py")
    killed = subprocess.run(
        [sys.executable, script, photos, tmp_path, what, str(count)],
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    without_comparison(monkeypatch)
    study(photos, tmp_path, trials=3)
    assert trials_of(tmp_path) == undisturbed
    for run in (folder_in(tmp_path).path / "trials").iterdir():
        epochs = [
            row["epoch"] for row in csv.DictReader((run / "results.csv").read_text().splitlines())
        ]
        assert epochs == [str(number + 1) for number in range(len(epochs))]


class Interrupting(NoProgress):
    """Presses Ctrl-C in the second training."""

    trainings = 0

    def start(self, title, total):
        self.trainings += title.startswith("train")
        if self.trainings == 2:
            raise KeyboardInterrupt


def test_ctrl_c_ends_with_what_there_is_and_the_study_goes_on(photos, tmp_path, monkeypatch):
    without_comparison(monkeypatch)
    stopped = study(photos, tmp_path, trials=3, progress=Interrupting())
    assert stopped.interrupted
    assert [row.state for row in stopped.trials] == ["unfinished"]
    assert "interrupted" in stopped.sentence
    assert folder_in(tmp_path).report.is_file()
    going = resume_tuning(stopped.study, Asked(), progress=NoProgress())
    assert [row.number for row in going.trials] == [0, 1, 2]
    assert not going.interrupted
    assert going.trials[0].state == "trained"


def test_ctrl_c_while_an_ended_trial_is_tidied_up_leaves_it_ended(photos, tmp_path, monkeypatch):
    without_comparison(monkeypatch)

    def forget(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(PartedTraining, "forget", forget)
    stopped = study(photos, tmp_path, trials=3, epochs=1)
    assert stopped.interrupted
    assert [row.state for row in stopped.trials] == ["trained"]


def test_a_budget_that_is_too_short_says_what_a_trial_takes(photos, tmp_path):
    with pytest.raises(UsageError, match="one trial of the default recipe takes about") as error:
        study(photos, tmp_path, trials=None, budget_s=0.5, epochs=60)
    assert error.value.error_code == "budget_too_short"
    assert f"foveal tune --resume {folder_in(tmp_path).path} --budget" in error.value.hint


def test_workers_share_a_study_and_end_with_their_command(photos, tmp_path, monkeypatch):
    without_comparison(monkeypatch)
    study(photos, tmp_path, trials=2, epochs=1)
    folder = folder_in(tmp_path)

    def look():
        # What comes next, in the workers, is the comparison.
        if [trial[1] for trial in trials_of(tmp_path)] == ["COMPLETE"] * 4:
            raise KeyboardInterrupt

    folder.chosen.unlink()
    with pytest.raises(KeyboardInterrupt):
        work_in_processes(folder, Limits(trials=4, workers=2), look=look)
    assert [trial[0] for trial in trials_of(tmp_path)] == [0, 1, 2, 3]
    assert "Traceback" not in folder.log.read_text()


def test_another_process_on_the_study_is_refused(ended, photos):
    folder = folder_in(ended.study.parents[2])
    with folder.working(), pytest.raises(UsageError, match="process id") as error:
        resume_tuning(folder.path, Asked(), progress=NoProgress())
    assert error.value.error_code == "study_busy"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"budget_s": 0.0}, "budget"),
        ({"trials": 1}, "at least 2"),
        ({"workers": 0}, "workers"),
    ],
)
def test_values_out_of_range_are_refused(asked, message):
    with pytest.raises(UsageError, match=message):
        Asked(**asked)


def test_no_data_is_refused(tmp_path):
    with pytest.raises(DataError):
        study(tmp_path / "nothing", tmp_path, trials=2)


def test_a_study_needs_an_end(photos, tmp_path):
    with pytest.raises(UsageError, match="needs a limit"):
        study(photos, tmp_path, trials=None)


def test_a_space_of_one_recipe_is_refused(photos, tmp_path):
    found = {d.key: d.default for d in study_space(photos)}
    (tmp_path / "space.yaml").write_text(json.dumps(found))
    with pytest.raises(FovealError, match="nothing to search"):
        study(photos, tmp_path, space_file=tmp_path / "space.yaml")


def study_space(photos):
    from foveal.tune.run import show_space

    return show_space(photos, small_recipe(), fixed=KEYS)


def test_what_is_no_study_cannot_go_on(tmp_path):
    with pytest.raises(BundleError, match="no study") as error:
        resume_tuning(tmp_path, Asked(), progress=NoProgress())
    assert error.value.error_code == "study_missing"
