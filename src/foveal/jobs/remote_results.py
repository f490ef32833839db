"""Results of a job at a URL."""

from __future__ import annotations

from pathlib import Path

from foveal.jobs.results import NothingYet
from foveal.listing import names_below
from foveal.mirror import sync_down
from foveal.remote import open_url
from foveal.urls import MANIFEST_NAME, below, shown


def fetched(url: str, folder: Path, job: str) -> None:
    """Copy everything below a URL to a folder, which is made here.

    Runs that were kept there come as their manifests say, verified.

    Args:
        url: Where the job put its results.
        folder: Where they go.
        job: Whose they are, for messages.

    Raises:
        NothingYet: If nothing is there.
        RemoteError: If it cannot be read.
    """
    remote = open_url(url)
    folder.mkdir(parents=True, exist_ok=True)
    names = names_below(remote)
    runs = [name.removesuffix(MANIFEST_NAME) for name in names if name.endswith(MANIFEST_NAME)]
    for run in runs:
        sync_down(below(url, run.rstrip("/")), folder / run)
    for name in names:
        if not name.startswith(tuple(runs)):
            remote.get(folder / name, name)
    if not names:
        raise NothingYet(job, f": {shown(url)} is empty")
