"""A store of models in a bucket: pushed, promoted, found and opened there, also while it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from drawing import brightness_model, draw_shape, tiny_manifest
from failing import HALF, LOST, RESET, FailingProxy

import foveal
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.errors import StoreError
from foveal.listing import names_below
from foveal.remote import open_url


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def cats(folder: Path) -> Bundle:
    manifest = tiny_manifest(name=f"cats-{uuid.uuid4().hex[:4]}")
    return Bundle.write(folder, manifest, {"model.onnx": brightness_model()})


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, object]:
    """Run a command that succeeds, and return what it prints for programs."""
    assert run([*args, "--json"]) == 0
    values: dict[str, object] = json.loads(capsys.readouterr().out)
    return values


def test_versions_live_in_a_bucket(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    place = f"{bucket}/models"
    given = ("--store", place)
    for number in (1, 2):
        bundle = cats(tmp_path / f"cats-{number}")
        assert run(["models", "push", str(bundle.path), "cats", *given, "--quiet"]) == 0
    capsys.readouterr()
    assert run(["models", "promote", "cats:1", *given, "--quiet"]) == 0
    assert run(["models", "promote", "cats:2", *given, "--quiet"]) == 0
    assert run(["models", "rollback", "cats", *given, "--quiet"]) == 0
    capsys.readouterr()
    shown = printed(capsys, "models", "show", "cats", *given)
    assert shown["aliases"] == {"live": 1}
    assert [version["version"] for version in shown["versions"]] == [1, 2]

    draw_shape("circle", np.random.default_rng(0), 16).save(tmp_path / "picture.png")
    answered = printed(capsys, "predict", f"{place}/cats@live", "picture.png")
    assert answered["version"] == Bundle.open(tmp_path / "cats-1").version
    assert foveal.load(f"{place}/cats:2").bundle.version == Bundle.open(tmp_path / "cats-2").version

    assert run(["models", "remove", "cats:2", *given, "--quiet"]) == 0
    with pytest.raises(StoreError, match="cats:2"):
        foveal.load(f"{place}/cats:2")
    assert not [name for name in names_below(open_url(place)) if "/2/" in name]


# Pushes a bundle several times.
PUSH = """
import sys
import foveal
from foveal.bundle import Bundle
for _ in range(3):
    print(foveal.open_store(sys.argv[1]).push(Bundle.open(sys.argv[2]), "cats").version)
"""


@pytest.mark.slow
def test_two_machines_that_push_at_once_get_numbers_of_their_own(s3: str, tmp_path: Path) -> None:
    bundle = cats(tmp_path / "cats")
    pushing = [
        subprocess.Popen(
            [sys.executable, "-c", PUSH, f"{s3}/models", str(bundle.path)],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / f"machine-{number}")},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    told = [process.communicate()[0].split() for process in pushing]
    assert [process.returncode for process in pushing] == [0, 0]
    assert sorted(int(number) for numbers in told for number in numbers) == [1, 2, 3, 4, 5, 6]
    store = foveal.open_store(f"{s3}/models")
    assert all(
        store.bundle("cats", number).version == bundle.version
        for number in store.state("cats").versions
    )


@pytest.mark.parametrize("failure", [503, RESET, LOST, HALF])
def test_what_fails_for_a_moment_is_asked_for_again(
    s3: str, s3_proxy: FailingProxy, tmp_path: Path, failure: int | str
) -> None:
    store = foveal.open_store(f"{s3}/models")
    bundle = cats(tmp_path / "cats")
    s3_proxy.fail(failure, failure)
    assert store.push(bundle, "cats").version == 1
    s3_proxy.fail(failure, failure)
    store.promote("cats:1", "live")
    s3_proxy.fail(failure, failure)
    assert foveal.load(f"{s3}/models/cats@live").bundle.version == bundle.version


def test_a_push_that_cannot_be_ended_leaves_no_version(
    s3: str, s3_proxy: FailingProxy, tmp_path: Path
) -> None:
    store = foveal.open_store(f"{s3}/models")
    bundle = cats(tmp_path / "cats")
    store.push(bundle, "cats")
    s3_proxy.fail(*[503] * 1000, only="PUT")
    with pytest.raises(foveal.errors.FovealError):
        store.push(bundle, "cats")
    s3_proxy.heal()
    assert store.state("cats").versions == (1,)
    assert store.push(bundle, "cats").version > 1
    assert store.bundle("cats", 1).version == bundle.version


def test_a_bucket_that_is_not_there_is_said(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if bucket.startswith("memory:"):
        pytest.skip("the memory has no buckets")
    bundle = cats(tmp_path / "cats")
    place = f"{bucket}-mistyped/models"
    assert run(["models", "push", str(bundle.path), "cats", "--store", place]) == 4
    assert f"the bucket {bucket}-mistyped does not exist" in capsys.readouterr().err
