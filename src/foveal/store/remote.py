"""A store at an fsspec URL, such as an object store, without atomic renames.

A number is claimed by a file that only one publisher can create; the version is seen when its
`bundle.json` is there, which is written last.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import final

from foveal.atomic import atomic_path, locked
from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.destination import cache_directory
from foveal.errors import RemoteError, StoreError
from foveal.remote import Remote
from foveal.store.files import Content, StoreFiles, numbers_of, publishing_order
from foveal.urls import shown

_CLAIM_NAME = ".claim"
_LOCK_NAME = ".lock"
# A change of aliases takes some requests; whoever holds the lock for longer has died.
_LOCK_DIES_AFTER_S = 60.0
_LOCK_ASK_EVERY_S = 0.2
# Far longer than any upload.
_CLAIM_DIES_AFTER_S = 24 * 3600.0


@final
class RemoteFiles(StoreFiles):
    """A folder at an fsspec URL (`s3://`, `gs://`, `memory://`, …).

    Args:
        remote: The folder.
    """

    def __init__(self, remote: Remote) -> None:
        self.location = shown(remote.url)
        self._remote = remote

    def names(self) -> list[str]:
        """Return the folders, in sorted order."""
        below = (PurePosixPath(path).parts for path in self._find("", 3))
        return sorted({parts[0] for parts in below if len(parts) > 1})

    def numbers(self, name: str) -> dict[int, bool]:
        """Return the version numbers that are taken → whether the version is whole."""
        entries: dict[str, bool] = {}
        for path in self._find(name, 2):
            entry, _, file = path.partition("/")
            entries[entry] = entries.get(entry, False) or file == MANIFEST_NAME
        return numbers_of(entries)

    def sizes(self, name: str, number: int) -> dict[str, int]:
        """Return file name → bytes of a version's files."""
        return self._find(f"{name}/{number}", 1)

    def read(self, name: str, path: str) -> bytes | None:
        """Return a file below the folder of a name; None where there is none."""
        try:
            with self._asking():
                return self._remote.read(f"{name}/{path}")
        except FileNotFoundError:
            return None

    def write(self, name: str, path: str, content: bytes) -> None:
        """Write a file; object stores show it whole or not at all."""
        with self._asking():
            self._remote.write(content, f"{name}/{path}")

    def publish(self, name: str, content: Content, above: Callable[[], int]) -> int:
        """Claim the next number that is free, then write the files, `bundle.json` last."""
        self._sweep(name)
        while True:
            taken = self.numbers(name)
            number = max([above(), *taken]) + 1
            if self._create(name, f"{number}/{_CLAIM_NAME}"):
                break
        try:
            for file in publishing_order(content):
                self.write(name, f"{number}/{file}", content[file]())
        except BaseException:
            # Only the claim stays, so that nobody takes the number for this half.
            for file in publishing_order(content):
                with suppress(FileNotFoundError, StoreError):
                    self.delete(name, f"{number}/{file}")
            raise
        return number

    def _sweep(self, name: str) -> None:
        """Remove what publishers left that were killed; nobody has seen these numbers."""
        for number, is_whole in self.numbers(name).items():
            claim = None if is_whole else self.read(name, f"{number}/{_CLAIM_NAME}")
            if claim is not None and time.time() - _created(claim) > _CLAIM_DIES_AFTER_S:
                self.delete(name, str(number))

    def _create(self, name: str, path: str) -> bool:
        """Create a file that only its creator wrote; False when somebody else has."""
        mine = json.dumps({"id": uuid.uuid4().hex, "when": time.time()}).encode()
        with self._asking():
            return self._remote.claim(mine, f"{name}/{path}")

    def delete(self, name: str, path: str) -> None:
        """Remove a file or a folder, its `bundle.json` first, so that no half is ever seen."""
        with self._asking():
            self._remote.delete(f"{name}/{path}/{MANIFEST_NAME}")
            self._remote.delete(f"{name}/{path}", recursive=True)

    def fetch(self, name: str, number: int, digest: str) -> Path:
        """Return a copy in the cache of this machine, which is made once."""
        folder = cache_directory() / "store"
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / digest
        # Several processes of one server want the same version at the same moment.
        with locked(folder / f".lock-{digest[:12]}"):
            if not (copy / MANIFEST_NAME).is_file():
                with atomic_path(copy) as temporary:
                    temporary.mkdir()
                    self._copy(name, number, temporary)
                    # What arrived damaged must not stay.
                    Bundle.open(temporary)
        return copy

    def _copy(self, name: str, number: int, folder: Path) -> None:
        for file in self.sizes(name, number):
            content = self.read(name, f"{number}/{file}")
            if content is None:
                raise StoreError(
                    f"{self.location}/{name}/{number} was removed while it was being read."
                )
            (folder / file).write_bytes(content)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep others from changing what is under a name, except by publishing."""
        while not self._create(name, _LOCK_NAME):
            held = self.read(name, _LOCK_NAME)
            if held is not None and time.time() - _created(held) > _LOCK_DIES_AFTER_S:
                self.delete(name, _LOCK_NAME)
                continue
            time.sleep(_LOCK_ASK_EVERY_S)
        try:
            yield
        finally:
            self.delete(name, _LOCK_NAME)

    def _find(self, below: str, depth: int) -> dict[str, int]:
        """Return relative name → bytes of the files below a folder, asked anew."""
        root = self._remote.path(below)
        with self._asking():
            self._remote.forget()
            try:
                found = self._remote.ask("list", "find", root or "/", maxdepth=depth, detail=True)
            except FileNotFoundError:
                # Some say so of a bucket that does not exist, others find nothing there.
                return {}
        prefix = root.strip("/") + "/"
        return {
            path.strip("/").removeprefix(prefix): int(info.get("size") or 0)
            for path, info in found.items()
            if path.strip("/").startswith(prefix)
        }

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Name the store when its file system fails."""
        try:
            yield
        except RemoteError as error:
            raise StoreError(
                f"Cannot use the store {self.location}: {error.why}.",
                hint=error.hint,
                code="store_unreachable",
            ) from error


def _created(claim: bytes) -> float:
    try:
        return float(json.loads(claim)["when"])
    except (ValueError, TypeError, KeyError):
        return 0.0
