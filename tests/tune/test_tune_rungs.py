"""A training in parts ends with the weights of one that was never stopped."""

import shutil

import pytest
import torch
from studying import small_recipe

from foveal.console import NoProgress
from foveal.recipe import Recipe, make_recipe
from foveal.train.checkpoint import CheckpointStore
from foveal.tune.folder import StudyFolder
from foveal.tune.laying import Layout
from foveal.tune.resolving import Resolver
from foveal.tune.rungs import PartedTraining, last_stage_epochs, rungs_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory, draw_folder):
    return draw_folder(tmp_path_factory.mktemp("photos"), n=12, size=16)


@pytest.fixture(scope="module")
def laid(photos, tmp_path_factory):
    """Return what lays out runs of one tiny study."""
    folder = StudyFolder(tmp_path_factory.mktemp("study"))
    resolver = Resolver(str(photos), small_recipe(9, seed=3))
    layout = Layout(folder, str(photos))
    layout.begin(resolver, NoProgress())

    def lay(number):
        run = folder.trial(number)
        layout.lay(run, resolver.default)
        layout.take(run)
        return run, resolver.source

    return lay


def never(step):
    return False


def trained(run, source, rungs, stop=never):
    reached = []
    for rung in rungs:
        with PartedTraining(run, source, NoProgress(), stop) as training:
            reached.append(training.train_to(rung, 9))
    return reached


def state_of(run):
    return CheckpointStore(run.checkpoints).load()


def test_rungs_end_where_they_should_and_the_weights_are_those_of_an_undisturbed_training(laid):
    whole, parts = laid(1), laid(2)
    (end,) = trained(*whole, [9])
    first, second, last = trained(*parts, [1, 3, 9])
    assert (first.epoch, second.epoch, last.epoch, last.epochs) == (1, 3, 9, 9)
    assert (first.is_complete, second.is_complete, last.is_complete) == (False, False, True)
    assert first.value <= second.value <= last.value == end.value
    one, two = state_of(whole[0]), state_of(parts[0])
    assert one.state["step"] == two.state["step"]
    for name in ("model", "best"):
        for key, tensor in one.tensors[name].items():
            assert torch.equal(tensor, two.tensors[name][key]), key


def test_a_training_that_is_stopped_within_a_rung_goes_on_to_the_same_weights(laid):
    whole, stopped = laid(3), laid(4)
    trained(*whole, [9])
    steps = iter(range(1000))
    (broken,) = trained(*stopped, [9], lambda step: step is not None and next(steps) == 16)
    assert broken.is_stopped
    assert not broken.is_complete
    trained(*stopped, [9])
    one, two = state_of(whole[0]), state_of(stopped[0])
    assert all(torch.equal(t, two.tensors["best"][k]) for k, t in one.tensors["best"].items())


def test_a_rung_that_is_reached_is_not_trained_again(laid):
    run, source = laid(5)
    trained(run, source, [3])
    before = state_of(run).state
    (again,) = trained(run, source, [1])
    assert again.epoch == 3
    assert state_of(run).state == before


def test_pictures_are_decoded_once_for_each_size(laid):
    run, _ = laid(6)
    assert (run.cache / "header.json").stat().st_nlink > 1
    shutil.rmtree(run.cache)
    assert (laid(7)[0].cache / "header.json").is_file()


@pytest.mark.parametrize(("epochs", "rungs"), [(1, 1), (2, 1), (3, 3), (8, 3), (9, 9), (150, 9)])
def test_there_are_as_many_rungs_as_epochs_allow(epochs, rungs):
    assert rungs_of(epochs) == rungs


def test_a_frozen_backbone_is_judged_by_the_epochs_of_its_head():
    recipe = make_recipe(None, ["train.head_epochs=7"], {"strategy": "frozen", "epochs": 2})
    assert last_stage_epochs(recipe) == 7
    fitted = make_recipe(None, ["train.head_solver=lbfgs"], {"strategy": "frozen", "epochs": 2})
    assert last_stage_epochs(fitted) == 1
    assert last_stage_epochs(make_recipe(None, [], {"strategy": "staged", "epochs": 2})) == 2


def test_what_was_given_survives_being_written_down(tmp_path):
    given = make_recipe(
        None,
        ["train.augment.rotation=10.0", "pipeline.pad_color=[1, 2, 3]", "model.hidden=0"],
        {"epochs": 3, "seed": 5, "task": "classify"},
    )
    path = tmp_path / "given.yaml"
    path.write_text(given.given_yaml())
    again = Recipe.load(path)
    assert again == given
    assert again.given == given.given
