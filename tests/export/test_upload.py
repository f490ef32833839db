"""Exports that go to a URL: whole or not at all."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest

from foveal.bundle.bundle import Bundle
from foveal.cli.main import run
from foveal.errors import RemoteError, UsageError
from foveal.export.upload import check_free, upload
from foveal.remote import open_url


@pytest.fixture
def url() -> str:
    return f"memory://exports-{uuid.uuid4().hex}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("1/saved_model.pb", "1/assets/labels.txt", "1/variables/zeros"):
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text(name)
    return tmp_path / "model"


def test_a_format_is_written_to_a_url(url: str, tiny_bundle: Bundle) -> None:
    target = f"{url}/models/shapes.onnx"

    assert run(["export", str(tiny_bundle.path), "--out", target, "--to", "onnx", "--quiet"]) == 0

    with fsspec.open(target, "rb") as file:
        assert b"logits" in file.read()


def test_what_is_there_already_stays(url: str) -> None:
    fsspec.filesystem("memory").pipe_file(f"{url}/model", b"old")

    with pytest.raises(UsageError, match="it already exists"):
        check_free(f"{url}/model")


def test_the_file_that_completes_a_model_comes_last(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = open_url(f"{url}/model")
    put: list[str] = []
    real = remote.files.put_file

    def put_file(source: str, target: str) -> None:
        put.append(target.removeprefix(remote.root + "/"))
        real(source, target)

    monkeypatch.setattr(remote.files, "put_file", put_file)
    upload(folder, remote, "1/saved_model.pb")

    assert put == ["1/assets/labels.txt", "1/variables/zeros", "1/saved_model.pb"]
    assert remote.files.cat_file(remote.path("1", "variables", "zeros")) == b"1/variables/zeros"


def test_nothing_is_left_of_an_upload_that_fails(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = open_url(f"{url}/model")
    real = remote.files.put_file

    def put_file(source: str, target: str, **options: Any) -> None:
        if target.endswith("saved_model.pb"):
            raise ValueError("the store went away")
        real(source, target)

    monkeypatch.setattr(remote.files, "put_file", put_file)
    with pytest.raises(RemoteError, match="the store went away"):
        upload(folder, remote, "1/saved_model.pb")

    assert not remote.files.exists(remote.root)
