"""Where a URL leads, and what is said when it cannot be opened."""

from pathlib import Path

import pytest
from fsspec.registry import known_implementations

from foveal.errors import MissingExtraError, UsageError
from foveal.extras import install_extra
from foveal.remote import open_url
from foveal.urls import is_url, local_path


def test_paths_and_urls_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert is_url("gs://bucket/photos")
    assert not is_url("photos")
    assert not is_url(Path("photos"))
    assert not is_url("file:///data/photos")
    assert local_path("file:///data/photos") == Path("/data/photos")
    assert local_path("~/photos") == Path("/home/ada/photos")


def test_names_below_and_above() -> None:
    remote = open_url("memory://bucket/photos/")
    assert (remote.root, remote.path("cat", "1.png")) == (
        "/bucket/photos",
        "/bucket/photos/cat/1.png",
    )
    assert remote.path("") == "/bucket/photos"
    folder, name = remote.parent()
    assert (folder.url, folder.root, name) == ("memory://bucket", "/bucket", "photos")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        known_implementations, "s3a", {"class": "no_such_module.Files", "err": "Install s3fs"}
    )
    with pytest.raises(MissingExtraError, match="s3a://bucket needs a package") as raised:
        open_url("s3a://bucket")
    assert raised.value.hint == install_extra("cloud")


def test_an_unknown_kind_is_said() -> None:
    with pytest.raises(UsageError, match="Cannot open nonsense://photos"):
        open_url("nonsense://photos")
