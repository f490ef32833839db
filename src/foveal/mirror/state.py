"""The manifest of a mirrored folder: its files, and the location of their contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import final

from foveal.errors import RemoteError
from foveal.remote import Remote
from foveal.types import JsonObject
from foveal.urls import MANIFEST_NAME, below, shown

PARTS = ".parts"
SCHEMA_VERSION = 1


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """A file in a manifest.

    Attributes:
        sha256: sha256 of its content, in hexadecimal digits.
        size: In bytes.
        object: Name of the object that holds it, relative to the URL.
    """

    sha256: str
    size: int
    object: str


@final
@dataclass(frozen=True, slots=True)
class State:
    """The contents of a manifest.

    Attributes:
        files: Name → what is kept of it.
        digest: Digest of the manifest itself: another state has another one.
    """

    files: Mapping[str, Kept] = field(default_factory=dict)
    digest: str = ""

    @property
    def is_final(self) -> bool:
        """Whether every file lies under its own name."""
        return all(kept.object == name for name, kept in self.files.items())


def read_state(remote: Remote) -> State | None:
    """Return the state at a URL, or None where there is none.

    Raises:
        RemoteError: If it cannot be read, or is no manifest of ours.
    """
    try:
        content = remote.read(MANIFEST_NAME)
    except FileNotFoundError:
        return None
    return _parsed(content, remote)


def _parsed(content: bytes, remote: Remote) -> State:
    where = shown(below(remote.url, MANIFEST_NAME))
    try:
        manifest = json.loads(content)
        version = manifest["schema_version"]
        if version != SCHEMA_VERSION:
            raise RemoteError(
                f"{where} was written by another version of foveal ({version}).",
                hint="pip install --upgrade foveal",
            )
        files = {name: Kept(**kept) for name, kept in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RemoteError(f"{where} is damaged: {error!r}.") from error
    for name in files:
        # What was written elsewhere must not lead out of the folder that it is fetched to.
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise RemoteError(f"{where} lists a file outside its folder: {name!r}.")
    return State(files, hashlib.sha256(content).hexdigest())


def manifest_of(files: Mapping[str, Kept]) -> bytes:
    """Return the bytes of the manifest of some files."""
    entries: JsonObject = {
        name: {"sha256": kept.sha256, "size": kept.size, "object": kept.object}
        for name, kept in sorted(files.items())
    }
    return json.dumps({"schema_version": SCHEMA_VERSION, "files": entries}, indent=1).encode()
