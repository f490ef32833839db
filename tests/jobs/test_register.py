"""The jobs that a machine knows: several processes write, and each may be killed."""

import multiprocessing
from pathlib import Path

import pytest

from foveal.errors import UsageError
from foveal.jobs import Target
from foveal.jobs.register import Record, Register

LOCAL = Target("local")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    register = Register(tmp_path)
    target = Target.parse("vertex:my-project/europe-west4")
    written = Record("photos", target, "2026-11-29T06:00:00+00:00", ("a", "b"), "gs://x", {"n": 1})
    assert register.add(written) == written
    assert register.read("photos") == written


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    register = Register(tmp_path)
    names = [register.add(Record.new("photos", LOCAL)).name for _ in range(3)]
    assert names == ["photos", "photos-2", "photos-3"]
    assert sorted(register.names()) == names


def test_facts_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    register = Register(tmp_path)
    register.add(Record.new("photos", LOCAL))
    register.update("photos", first=1)
    assert register.update("photos", second=2).facts == {"first": 1, "second": 2}


def test_an_unknown_job_names_those_that_there_are(tmp_path: Path) -> None:
    register = Register(tmp_path)
    with pytest.raises(UsageError, match="There is no job 'photos'"):
        register.read("photos")
    register.add(Record.new("photos", LOCAL))
    with pytest.raises(UsageError, match="Did you mean 'photos'"):
        register.read("potos")


@pytest.mark.parametrize("name", ["../photos", "", ".tmp-photos", "a/b"])
def test_no_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no job"):
        Register(tmp_path / "jobs").read(name)


def test_what_a_killed_process_left_is_no_job(tmp_path: Path) -> None:
    (tmp_path / ".tmp-half").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    assert Register(tmp_path).names() == []


def test_a_damaged_record_is_said_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "job.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"job\.json is damaged"):
        Register(tmp_path).read("photos")


def _add(folder: Path) -> list[str]:
    register = Register(folder)
    return [register.add(Record.new("same", LOCAL)).name for _ in range(5)]


def test_processes_that_add_at_once_get_names_of_their_own(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        given = [name for names in pool.map(_add, [tmp_path] * 3) for name in names]
    assert len(given) == len(set(given)) == 15
    assert sorted(Register(tmp_path).names()) == sorted(given)
