"""Stores of every kind, and bundles to put into them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import WithoutRename, write_bundle

from foveal.bundle import Bundle
from foveal.remote import Remote
from foveal.store.files import StoreFiles
from foveal.store.local import LocalFiles
from foveal.store.locations import open_files
from foveal.store.remote import RemoteFiles


@pytest.fixture(params=["folder", "memory", "without rename"])
def files(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StoreFiles:
    """Return an empty store on a disk, behind a URL, or where nothing can be renamed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "folder":
        return LocalFiles(tmp_path / "models")
    if request.param == "memory":
        return open_files(f"memory://{uuid.uuid4().hex}/models")
    root = tmp_path / "bucket"
    return RemoteFiles(Remote(f"without-rename://{root}", WithoutRename(), str(root)))


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """Return a function that gives a bundle of some accuracy; the same one for the same."""
    kept: dict[tuple[float, bool], Bundle] = {}

    def make(accuracy: float = 0.9, *, is_swapped: bool = False) -> Bundle:
        if (accuracy, is_swapped) not in kept:
            path = tmp_path_factory.mktemp("bundles") / "tiny"
            kept[accuracy, is_swapped] = write_bundle(path, accuracy, is_swapped=is_swapped)
        return kept[accuracy, is_swapped]

    return make
