import pickle
from pathlib import Path

import pytest
from stored import write_bundle

import foveal
from foveal.bundle import Bundle
from foveal.errors import BundleError, DataError, StoreError, UsageError
from foveal.workflow.locate import find_model
from foveal.workflow.names import located
from foveal.workflow.predicted import predictions_file
from foveal.workflow.rundir import RunDirectory


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_run(task: str, name: str) -> Path:
    run = RunDirectory.create(Path("runs"), task, name)
    run.recipe.write_text("task: read\n")
    return run.path


def test_a_run_is_found_by_its_name_beside_the_data_it_is_named_after(place: Path) -> None:
    (place / "ants" / "queens").mkdir(parents=True)
    run = make_run("classify", "ants")
    assert located("ants") == run
    assert located("classify/ants") == run
    assert RunDirectory.open(Path("ants")).path == run


def test_a_model_that_is_there_comes_before_a_run_of_its_name(
    place: Path, tiny_bundle: Bundle
) -> None:
    make_run("classify", "ants")
    (place / "ants").symlink_to(tiny_bundle.path)
    assert located("ants") == Path("ants")


def test_one_name_in_two_tasks_is_refused_with_both(place: Path) -> None:
    first, second = make_run("classify", "ants"), make_run("read", "ants")
    with pytest.raises(UsageError, match=f"name of 2 runs: {first}, {second}") as caught:
        located("ants")
    assert str(first) in str(caught.value.hint)


def test_what_is_no_run_stays_a_path(place: Path) -> None:
    make_run("classify", "ants")
    assert located("photos/x.foveal") == Path("photos/x.foveal")
    assert located(place / "ants") == place / "ants"


def test_a_near_name_is_shown(place: Path) -> None:
    make_run("classify", "butterflies")
    with pytest.raises(BundleError) as caught:
        find_model("buterflies")
    assert caught.value.hint == "did you mean butterflies?"
    with pytest.raises(BundleError, match=r"no run at buterflies\.") as caught:
        RunDirectory.open(Path("buterflies"))
    assert caught.value.hint == "did you mean butterflies?"
    with pytest.raises(BundleError, match="There is no bundle at moths"):
        foveal.load("moths")


def test_a_stored_model_is_found_by_name_alias_and_version(place: Path) -> None:
    store = foveal.open_store()
    for accuracy in (0.7, 0.8, 0.9):
        store.push(write_bundle(place / str(accuracy), accuracy), "ants")
    assert foveal.load("ants").metrics["accuracy"] == 0.9
    store.promote("ants:2")
    named = ["ants", "ants@live", "ants:2", "models/ants", "models/ants:2", place / "models/ants"]
    assert {float(foveal.load(name).metrics["accuracy"]) for name in named} == {0.8}
    assert foveal.load("ants").info()["stored"] == "ants:2"
    assert foveal.load("models/ants/3").metrics["accuracy"] == 0.9


def test_the_variable_says_where_the_store_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEAL_STORE", str(place / "elsewhere"))
    foveal.open_store().push(write_bundle(place / "tiny"), "ants")
    assert (place / "elsewhere" / "ants" / "1" / "model.onnx").is_file()
    assert repr(foveal.load("ants:1").stored) == "ants:1"


def test_a_path_comes_before_a_stored_model_and_says_so(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_bundle(place / "ants", 0.6)
    foveal.open_store().push(write_bundle(place / "tiny", 0.9), "ants")
    assert foveal.load("ants").metrics["accuracy"] == 0.6
    assert caplog.messages == ["ants means ants here; the one in the store is models/ants"]
    assert foveal.load("models/ants").metrics["accuracy"] == 0.9
    assert foveal.load("ants:1").metrics["accuracy"] == 0.9


def test_pictures_beside_do_not_hide_a_stored_model(place: Path) -> None:
    (place / "ants" / "queens").mkdir(parents=True)
    foveal.open_store().push(write_bundle(place / "tiny"), "ants")
    assert repr(foveal.load("ants").stored) == "ants:1"


def test_near_names_are_those_of_the_store_too(place: Path) -> None:
    foveal.open_store().push(write_bundle(place / "tiny"), "butterflies")
    with pytest.raises(BundleError) as caught:
        foveal.load("buterflies")
    assert caught.value.hint == "did you mean butterflies?"
    with pytest.raises(StoreError, match="There is no model 'buterflies'") as other:
        foveal.load("buterflies@live")
    assert other.value.hint == "did you mean butterflies?"


def test_stored_models_vote_and_are_pickled(place: Path) -> None:
    store = foveal.open_store()
    for accuracy in (0.7, 0.8):
        store.push(write_bundle(place / str(accuracy), accuracy), "ants")
    model = foveal.load("ants:1,ants:2")
    assert "vote" in repr(model)
    with pytest.raises(UsageError, match="cannot be published together"):
        model.push("bees")
    again = pickle.loads(pickle.dumps(foveal.load("ants:1")))
    assert again.metrics["accuracy"] == 0.7


def test_a_study_is_continued_as_a_study(place: Path) -> None:
    study = place / "study"
    study.mkdir()
    (study / "recipe.yaml").write_text("task: classify\n")
    (study / "study.json").write_text("{}")
    again = f"foveal tune --resume {study}"
    with pytest.raises(BundleError, match=r"no bundle in .*study yet") as caught:
        find_model(study)
    assert caught.value.hint == again
    with pytest.raises(BundleError, match="study of foveal tune, not a run") as caught:
        foveal.resume(study, verbose=False)
    assert caught.value.hint == again
    with pytest.raises(DataError, match="study is no run"):
        predictions_file(study)


def test_a_run_without_its_state_is_said_without_numbers(place: Path) -> None:
    run = make_run("classify", "ants")
    with pytest.raises(BundleError, match=r"resumed. run\.json: No such file or directory\."):
        foveal.resume(run, verbose=False)


def test_a_model_may_be_named_as_data_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    bundle = write_bundle(tmp_path / "tiny")
    for name in (f"file://{tmp_path}/tiny", "~/tiny"):
        assert foveal.load(name).bundle.version == bundle.version
