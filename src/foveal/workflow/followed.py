"""Follow a run at a URL that another machine trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from foveal.destination import cache_directory
from foveal.errors import BundleError
from foveal.mirror import sync_down
from foveal.remote import open_url
from foveal.urls import is_url, shown
from foveal.workflow.keeper import STOP_NAME
from foveal.workflow.remote_run import digest_of_url, no_worse, stays
from foveal.workflow.rundir import RunDirectory

LOOK_S = 5.0


@contextmanager
def followed(location: str | Path) -> Iterator[Path]:
    """Give a copy of a run at a URL that is brought up to date in the block, to be looked at.

    A request to stop that is put into the copy goes to whoever works on the run. A path is given
    back as it is.

    Raises:
        BundleError: If there is no such run.
    """
    if not is_url(location):
        yield Path(location)
        return
    url = str(location).rstrip("/")
    remote = open_url(url)
    folder = cache_directory() / "watched" / digest_of_url(url)
    ended = Event()
    run = RunDirectory(folder)

    def follow() -> None:
        while not ended.wait(LOOK_S):
            with no_worse(url):
                if run.stop_request.exists():
                    remote.write(b"", STOP_NAME)
                    run.stop_request.unlink()
                sync_down(url, folder, skips=_is_heavy, keeps=stays)

    try:
        sync_down(url, folder, skips=_is_heavy, keeps=stays)
    except FileNotFoundError as error:
        raise BundleError(f"There is no run at {shown(url)}.") from error
    thread = Thread(target=follow, name="foveal-follow", daemon=True)
    thread.start()
    try:
        yield folder
    finally:
        ended.set()
        thread.join()


def _is_heavy(name: str) -> bool:
    return name.startswith("start/") or any(
        f"/{folder}/" in f"/{name}" for folder in ("checkpoints", "tensorboard")
    )
