"""Download the folder that a manifest at a URL describes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from foveal.atomic import atomic_path, sync
from foveal.errors import RemoteError
from foveal.machine import read_ahead
from foveal.mirror.state import Kept, State, read_state
from foveal.remote import Remote, open_url
from foveal.urls import MANIFEST_NAME, below, shown

_SIDE_BY_SIDE = 8
# A reader who came just before a new state finds objects of the old one gone.
_STATES = 5


def sync_down(
    url: str,
    folder: Path,
    *,
    skips: Callable[[str], bool] = lambda name: False,
    keeps: Callable[[str], bool] = lambda name: False,
) -> State:
    """Download the folder that a manifest at a URL describes.

    Files that are there already are not fetched again; files that the manifest does not name are
    removed. Every file is verified before it takes its place.

    Args:
        url: As for `sync_up`.
        folder: Made when it is missing.
        skips: Tells of a relative name whether it is not fetched.
        keeps: Tells of a relative name whether it stays although no manifest names it.

    Returns:
        The state that was fetched.

    Raises:
        FileNotFoundError: If there is no manifest.
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        RemoteError: If it cannot be read, or a file is not what the manifest says.
        UsageError: If the protocol of the URL is unknown.
    """
    remote = open_url(url)
    for attempt in range(1, _STATES + 1):
        state = read_state(remote)
        if state is None:
            raise FileNotFoundError(below(remote.url, MANIFEST_NAME))
        wanted = {name: kept for name, kept in state.files.items() if not skips(name)}
        try:
            _fetch(remote, folder, wanted)
        except (FileNotFoundError, RemoteError):
            newer = read_state(remote)
            if attempt < _STATES and newer is not None and newer.digest != state.digest:
                continue
            raise
        _remove_others(folder, wanted, keeps)
        return state
    raise RemoteError(f"{shown(url)} changes faster than it can be downloaded.")


def _fetch(remote: Remote, folder: Path, files: Mapping[str, Kept]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    one = partial(_fetch_one, remote, folder)
    found = read_ahead(one, files.items(), workers=_SIDE_BY_SIDE, ahead=2 * _SIDE_BY_SIDE)
    with closing(found) as several:
        for _ in several:
            pass


def _fetch_one(remote: Remote, folder: Path, item: tuple[str, Kept]) -> None:
    name, kept = item
    path = folder / name
    if path.is_file() and path.stat().st_size == kept.size and _sha256(path) == kept.sha256:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        try:
            remote.get(temporary, kept.object)
        except FileNotFoundError as error:
            raise RemoteError(
                f"{shown(below(remote.url, name))} is missing, although the manifest lists it."
            ) from error
        if temporary.stat().st_size != kept.size or _sha256(temporary) != kept.sha256:
            raise RemoteError(
                f"{shown(below(remote.url, name))} does not match the manifest: expected "
                f"{kept.size} bytes of sha256 {kept.sha256[:12]}…, received "
                f"{temporary.stat().st_size} bytes."
            )
        sync(temporary)


def _remove_others(folder: Path, files: Mapping[str, Kept], keeps: Callable[[str], bool]) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if keeps(name) or name in files:
            continue
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        else:
            path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
