"""Where findings, decisions and quarantined pictures are kept."""

from pathlib import Path
from zipfile import ZipFile

import pytest

from foveal.curation.workspace import Workspace


def test_decisions_stay_with_the_pictures_and_what_can_be_made_again_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = tmp_path / "photos"
    (data / "cat").mkdir(parents=True)
    (data / "labels.csv").touch()

    workspace = Workspace.of(data)

    assert workspace.data == data
    assert workspace.review == data / ".foveal" / "review.jsonl"
    assert workspace.report.is_relative_to(tmp_path / "cache")
    assert Workspace.of(data / "labels.csv").review == workspace.review
    assert Workspace.of(data / "labels.csv").report != workspace.report
    assert not (data / ".foveal").exists()


def test_of_what_cannot_be_changed_everything_is_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ZipFile(tmp_path / "photos.zip", "w").close()
    for location in (tmp_path / "photos.zip", "memory://photos"):
        workspace = Workspace.of(location)
        assert workspace.data is None
        assert workspace.review.is_relative_to(tmp_path / "cache")
