"""One Ray for all tests of this folder, which one worker process of the suite runs."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_ray import RunningRay

from foveal.cluster.connect import import_ray


@pytest.fixture(scope="session")
def running_ray() -> Iterator[RunningRay]:
    """Start Ray once, with its dashboard, asking for a token."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'foveal[ray]'")
    token = secrets.token_hex(32)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="r") as folder:
        # Sockets lie in there, and their paths must be short.
        patch.setenv("RAY_TMPDIR", os.environ.get("RAY_TMPDIR", folder))
        patch.setenv("RAY_AUTH_TOKEN", token)
        # The entry points of jobs begin with `python`.
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        # Ray reads it once, perhaps before this, and sets it itself for a cluster that it starts.
        patch.setenv("RAY_AUTH_MODE", "")
        patch.delenv("RAY_AUTH_MODE")
        patch.delenv("RAY_ADDRESS", raising=False)
        with warnings.catch_warnings():
            # Of its own making: sockets that are closed late, names that are deprecated.
            warnings.simplefilter("ignore")
            ray = import_ray()
            # More cores than there are: they only count what may run at once.
            context = ray.init(
                address="local",
                num_cpus=4,
                include_dashboard=True,
                dashboard_host="127.0.0.1",
                object_store_memory=200 * 1024 * 1024,
                log_to_driver=False,
                logging_level="ERROR",
            )
        try:
            yield RunningRay(
                context.address_info["gcs_address"], f"http://{context.dashboard_url}", token
            )
        finally:
            ray.shutdown()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Ray warn of itself: of names that it deprecates and still uses, of open sockets."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End Ray after the last test of this folder: its idle processes take a part of a core."""
    folder = Path(__file__).parent
    if (nextitem is None or folder not in nextitem.path.parents) and "ray" in sys.modules:
        sys.modules["ray"].shutdown()
