"""Download models from URLs: runs, bundles, `.foveal` files."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from foveal.atomic import TEMPORARY, atomic_path, locked
from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.destination import cache_directory
from foveal.listing import names_below
from foveal.mirror import read_state, sync_down
from foveal.remote import Remote, open_url
from foveal.urls import shown
from foveal.workflow.rundir import note_kept_at

_SUFFIX = ".foveal"
# Copies of states that are there no more; a process that opened one may still read it.
_FORGOTTEN_AFTER_S = 7 * 24 * 3600.0


def fetched(url: str) -> Path | None:
    """Return a copy of the model at a URL, or None where there is none; it is fetched once.

    Of a run it has all but its checkpoints and curves. A copy never changes: another state behind
    the URL is another copy.

    Raises:
        BundleError: If what arrived is damaged.
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        RemoteError: If it cannot be fetched.
        UsageError: If the protocol of the URL is unknown.
    """
    remote = open_url(url.rstrip("/"))
    if (state := read_state(remote)) is not None:
        return _copy(remote, state.digest, lambda folder: _fetch_run(remote, folder))
    try:
        manifest = remote.read(MANIFEST_NAME)
    except (FileNotFoundError, NotADirectoryError):
        return _loose(remote)
    digest = hashlib.sha256(manifest).hexdigest()
    return _copy(remote, digest, lambda folder: _fetch_bundle(remote, folder))


def _loose(remote: Remote) -> Path | None:
    """Return a copy of a `.foveal` file, of a folder with one, or of a run without a manifest."""
    found = remote.info()
    if found is None:
        return None
    if not found.is_folder:
        name = Path(remote.root).name
        folder = _copy(remote, found.stamp.hex(), lambda folder: remote.get(folder / name))
        return folder / name
    bundle = remote.child("bundle")
    if bundle.kind(MANIFEST_NAME) == "file":
        return fetched(bundle.url)
    archives = [each for each in remote.names() if each.endswith(_SUFFIX)]
    return fetched(remote.child(archives[0]).url) if len(archives) == 1 else None


def _fetch_run(remote: Remote, folder: Path) -> None:
    sync_down(remote.url, folder, skips=_is_not_needed)
    note_kept_at(folder, remote.url)


def _is_not_needed(name: str) -> bool:
    # Of a study, its trainings.
    mine = ("checkpoints/", "tensorboard/", "start/", "watch/", "trials/", "compared/")
    return name.startswith(mine)


def _fetch_bundle(remote: Remote, folder: Path) -> None:
    for name in names_below(remote):
        remote.get(folder / name, name)
    # What arrived damaged must not stay.
    Bundle.open(folder)


def _copy(remote: Remote, digest: str, fetch: Callable[[Path], None]) -> Path:
    """Return the copy of a state, made by `fetch` in an empty folder unless it is there."""
    place = hashlib.sha256(shown(remote.url).encode()).hexdigest()[:16]
    # The last part of the URL names the model where its manifest does not.
    folder = cache_directory() / "models" / place / digest[:16] / Path(remote.root).name
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    # Several processes of one server want the same model at the same moment.
    with locked(folder.parent.parent / "lock"):
        if not folder.is_dir():
            folder.parent.mkdir(exist_ok=True)
            with atomic_path(folder) as temporary:
                temporary.mkdir()
                fetch(temporary)
        os.utime(folder.parent)
        _forget(folder.parent)
    return folder


def _forget(current: Path) -> None:
    """Remove copies of other states that nobody asked for in a week."""
    for other in current.parent.iterdir():
        is_old = other.stat().st_mtime < time.time() - _FORGOTTEN_AFTER_S
        if other != current and other.is_dir() and is_old and not other.name.startswith(TEMPORARY):
            shutil.rmtree(other, ignore_errors=True)
