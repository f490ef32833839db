from pathlib import Path

import pytest

import foveal
from foveal.bundle import Bundle
from foveal.errors import BundleError, UsageError
from foveal.workflow.locate import find_bundle
from foveal.workflow.names import located
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
        find_bundle("buterflies")
    assert caught.value.hint == "did you mean butterflies?"
    with pytest.raises(BundleError, match="There is no bundle at moths"):
        foveal.load("moths")
