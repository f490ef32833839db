"""Upload a folder to a URL, completely or not at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import final

from foveal.atomic import TEMPORARY
from foveal.listing import names_below
from foveal.machine import read_ahead
from foveal.mirror.state import PARTS, Kept, State, manifest_of, read_state
from foveal.remote import Remote, open_url
from foveal.urls import MANIFEST_NAME

_SIDE_BY_SIDE = 8


@final
class Upload:
    """Uploads a local folder to a URL repeatedly as it changes.

    Args:
        folder: The folder.
        remote: Where it goes.
        skips: Tells of a relative name whether it stays on this machine.
        is_fixed: Tells of a relative name whether its file never changes once it is there.
    """

    def __init__(
        self,
        folder: Path,
        remote: Remote,
        *,
        skips: Callable[[str], bool] = lambda name: False,
        is_fixed: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.folder = folder
        self.remote = remote
        self._skips = skips
        self._is_fixed = is_fixed
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}

    def send(
        self, *, final: bool = False, is_ours: Callable[[], bool] = lambda: True
    ) -> State | None:
        """Upload what changed, then write the manifest; return the new state.

        Args:
            final: Lay every file under its own name, after the state is safe.
            is_ours: Asked right before a manifest is written.

        Returns:
            The state; None when it is not ours to write any more.

        Raises:
            RemoteError: If it cannot be written; the state behind the URL stays as it was.
        """
        before = read_state(self.remote) or State()
        files = self._upload(before)
        state = self._commit(files, before, is_ours)
        if state is None or not final:
            return state
        for name, kept in state.files.items():
            if kept.object != name:
                self.remote.copy(kept.object, name)
        own = {name: Kept(kept.sha256, kept.size, name) for name, kept in state.files.items()}
        return self._commit(own, state, is_ours)

    def _upload(self, before: State) -> dict[str, Kept]:
        """Upload what is new, and return all files."""
        contents = {kept.sha256: kept for kept in before.files.values()}

        def one(name: str) -> tuple[str, Kept] | None:
            try:
                return name, self._one(name, before.files.get(name), contents)
            except FileNotFoundError:
                # An old checkpoint that was removed just now.
                return None

        names = list(self._names())
        found = read_ahead(one, names, workers=_SIDE_BY_SIDE, ahead=2 * _SIDE_BY_SIDE)
        with closing(found) as several:
            return dict(each for each in several if each is not None)

    def _names(self) -> Iterable[str]:
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            is_half = any(part.startswith(TEMPORARY) for part in name.split("/"))
            if not is_half and not self._skips(name) and path.is_file():
                yield name

    def _one(self, name: str, before: Kept | None, contents: Mapping[str, Kept]) -> Kept:
        path = self.folder / name
        status = path.stat()
        mark = (status.st_size, status.st_mtime_ns, status.st_ino)
        if name in self._known and self._known[name][0] == mark and before is not None:
            if before.sha256 == self._known[name][1]:
                return before
        if self._is_fixed(name):
            kept = self._place(path, before, contents)
        else:
            # Read once: a log grows between the digest and the upload.
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "copy"
                shutil.copyfile(path, copy)
                kept = self._place(copy, before, contents)
        self._known[name] = (mark, kept.sha256)
        return kept

    def _place(self, path: Path, before: Kept | None, contents: Mapping[str, Kept]) -> Kept:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if before is not None and before.sha256 == digest:
            return before
        same = contents.get(digest)
        if same is not None and same.object.startswith(f"{PARTS}/"):
            return same
        part = f"{PARTS}/{digest}"
        self.remote.put(path, part)
        return Kept(digest, path.stat().st_size, part)

    def _commit(
        self, files: Mapping[str, Kept], before: State, is_ours: Callable[[], bool]
    ) -> State | None:
        if files == before.files and before.digest:
            return before
        content = manifest_of(files)
        if not is_ours():
            return None
        self.remote.write(content, MANIFEST_NAME)
        state = State(files, hashlib.sha256(content).hexdigest())
        used = {kept.object for kept in files.values()}
        for kept in before.files.values():
            if kept.object not in used:
                self.remote.delete(kept.object)
        return state


def sweep(remote: Remote) -> None:
    """Remove the parts that no manifest names: of uploads that were killed.

    Only for whoever alone writes to the URL.
    """
    state = read_state(remote)
    used = {kept.object for kept in state.files.values()} if state is not None else set()
    for name in names_below(remote.child(PARTS)):
        if f"{PARTS}/{name}" not in used:
            remote.delete(f"{PARTS}/{name}")


def sync_up(folder: Path, url: str) -> None:
    """Upload a folder to a URL, completely or not at all, every file under its own name.

    What is there already is replaced in one step; a killed call is repeated.

    Args:
        folder: The folder.
        url: Where the folder is to be, on any file system of fsspec.

    Raises:
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        RemoteError: If it cannot be written.
        UsageError: If the protocol of the URL is unknown.
    """
    remote = open_url(url)
    Upload(folder, remote).send(final=True)
    sweep(remote)
