"""A study whose workers are tasks of Ray."""

import pytest

from foveal.console import NoProgress
from foveal.jobs.target import Target
from foveal.recipe import make_recipe
from foveal.tune.folder import StudyFolder
from foveal.tune.journal import Journal
from foveal.tune.limits import Limits
from foveal.tune.on_ray import work_on_ray
from foveal.tune.run import Asked, run_tuning
from foveal.tune.spacefile import space_from_json
from foveal.tune.work import Worker

pytestmark = pytest.mark.slow


def test_tasks_of_ray_share_a_study(running_ray, draw_folder, tmp_path, monkeypatch):
    photos = draw_folder(tmp_path / "photos", n=12, size=16)
    given = make_recipe(
        None,
        ["split.val_share=0.3"],
        {"backbone": "fovea", "image_size": 16, "batch_size": 4, "epochs": 1},
    )
    # What takes most of the time, and has nothing to do with Ray.
    monkeypatch.setattr(Worker, "_compare", lambda *about, **more: None)
    begun = run_tuning(
        photos,
        given,
        Asked(trials=2),
        fixed=frozenset({"model.backbone", "pipeline.image_size"}),
        space_file=None,
        out=tmp_path / "runs",
        name="tiny",
        progress=NoProgress(),
    )
    folder = StudyFolder(begun.study)
    folder.chosen.unlink()
    about = folder.read_about()
    journal = Journal(folder.journal, space_from_json(about["space"]), about["rungs"])

    def look():
        # What comes next, in the tasks, is the comparison: Ctrl-C ends them.
        if [t.state.name for t in journal.trials()] == ["COMPLETE"] * 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_on_ray(folder, Limits(trials=4, workers=2), Target("ray", address="auto"), look=look)
    assert [trial.number for trial in journal.trials()] == [0, 1, 2, 3]
