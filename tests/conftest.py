"""Fixtures for the whole suite: drawn pictures, a tiny bundle, and the real pictures if there."""

from __future__ import annotations

import fcntl
import functools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colored import color_model, reader_manifest
from discs import draw_disc_folder
from drawing import DrawFolder, brightness_model, draw_shape, tiny_manifest
from hypothesis import settings

import foveal
from foveal.bundle import Bundle

# How long an example takes says how busy the machine is.
settings.register_profile("foveal", deadline=None)
settings.load_profile("foveal")

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

# What takes minutes, the longest first.
_LONGEST = (
    "tests/cluster/",
    "tests/notebook/test_reading_notebook.py",
    "tests/export/test_tensorflow_network.py",
    "tests/notebook/test_course.py",
    "tests/test_docs.py",
    "tests/contracts/",
    "tests/notebook/",
)
# Files whose tests share nothing but their code.
_APART = (
    "tests/notebook/test_course.py",
    "tests/contracts/test_backbones.py",
    "tests/contracts/test_tasks.py",
)


@pytest.fixture(scope="session", autouse=True)
def _no_keys_of_the_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep servers from asking for the API keys of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FOVEAL_KEYS", raising=False)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what checks and reviews remember out of the cache of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _runtime_of_web_apps() -> Iterator[None]:
    """Take the onnxruntime-web that `make setup` installed, wherever a test works."""
    folder = Path(sys.prefix) / "npm" / "node_modules" / "onnxruntime-web"
    with pytest.MonkeyPatch.context() as patch:
        if folder.is_dir():
            patch.setenv("FOVEAL_ONNXRUNTIME_WEB", str(folder))
        yield


@pytest.fixture(scope="session", autouse=True)
def _exports_in_less_time() -> Iterator[None]:
    """Take half of the time of an export to ONNX, with which each of hundreds of trainings ends.

    The exporter makes its table of operators anew for every network: a third of the time of a small
    one. And `coverage` is called for each line that is run, also in packages that it does not
    measure; the exporter is so many lines of Python that this doubles its time.
    """
    # Where tests are collected that train, torch has been imported by now.
    if "torch" not in sys.modules:
        yield
        return
    import torch
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    export, table = torch.onnx.export, functools.cache(ONNXRegistry.from_torchlib)

    @functools.wraps(export)
    def untraced(*args: Any, **options: Any) -> Any:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return export(*args, **options)
        finally:
            sys.settrace(tracer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(table))
        patch.setattr(torch.onnx, "export", untraced)
        yield


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Hear Ctrl-C, and start processes that do, also in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real pictures, or skip."""
    if not _SHARED.is_dir():
        pytest.skip("the real pictures (../shared/data) are not on this machine")
    return _SHARED


@pytest.fixture(scope="session")
def draw_folder() -> DrawFolder:
    """Return a function that draws class folders and returns their root."""

    def draw(
        root: Path,
        classes: Sequence[str] = ("circle", "square"),
        n: int = 12,
        size: int = 16,
        seed: int = 0,
    ) -> Path:
        rng = np.random.default_rng(seed)
        for name in classes:
            (root / name).mkdir(parents=True, exist_ok=True)
            for i in range(n):
                draw_shape(name, rng, size).save(root / name / f"{i}.png")
        return root

    return draw


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle that tells drawn circles from squares; it needs no torch."""
    path = tmp_path_factory.mktemp("bundles") / "tiny"
    return Bundle.write(path, tiny_manifest(), {"model.onnx": brightness_model()})


@pytest.fixture(scope="session")
def tiny_reader(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle that reads A, B and C from blocks of three colours; it needs no torch."""
    path = tmp_path_factory.mktemp("bundles") / "reader"
    return Bundle.write(path, reader_manifest(), {"model.onnx": color_model()})


@pytest.fixture(scope="session")
def tiny_sums(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return the same for expressions of `/`, 0 and 1, which have a value."""
    path = tmp_path_factory.mktemp("bundles") / "sums"
    manifest = reader_manifest("/01", "sums", {"grammar": "arithmetic"})
    return Bundle.write(path, manifest, {"model.onnx": color_model()})


@pytest.fixture(scope="session")
def tiny_masks(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle that marks red and blue discs; trained for some seconds, it needs torch."""
    root = tmp_path_factory.getbasetemp()
    # The folder that all pytest-xdist workers share: the first trains, the others wait for it.
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    with (root / "discs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        trained = root / "discs-trained"
        if not trained.exists():
            foveal.train(
                draw_disc_folder(root / "discs-data", 16),
                task="segment",
                name="discs",
                out=root / "discs-runs",
                backbone="fovea",
                image_size=64,
                epochs=6,
                device="cpu",
            )
            trained.touch()
    return Bundle.open(root / "discs-runs" / "segment" / "discs" / "bundle")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep each file in one worker, and in one of them all that share a Ray.

    Long tests that share nothing go to the workers one by one.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            if file in _APART:
                return nodeid
            return "tests/cluster" if file.startswith("tests/cluster/") else file

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long: at the end, the other workers would wait for them."""
    marks = ("slow", "browser", "index")
    long = {item.path for item in items if any(map(item.get_closest_marker, marks))}

    def place(item: pytest.Item) -> tuple[int, bool]:
        ranks = (i for i, start in enumerate(_LONGEST) if item.nodeid.startswith(start))
        return next(ranks, len(_LONGEST)), item.path not in long

    items.sort(key=place)


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Turn a skip for want of a browser or an index into a failure where all must run (CI)."""
    if os.environ.get("FOVEAL_REQUIRE_ALL") != "1" or call.excinfo is None:
        return
    wants = [name for name in ("browser", "index") if item.get_closest_marker(name)]
    if wants and call.excinfo.errisinstance(pytest.skip.Exception):
        reason = str(call.excinfo.value)
        call.excinfo = pytest.ExceptionInfo.from_exception(
            AssertionError(f"a test that needs the {wants[0]} was skipped: {reason}")
        )
