"""The paths of findings, decisions and quarantined pictures of a source."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

from foveal.data.names import WORKSPACE, is_archive
from foveal.destination import cache_directory
from foveal.urls import is_url, local_path


@final
@dataclass(frozen=True, slots=True)
class Workspace:
    """The workspace of a source, beside the pictures and in the user's cache.

    Folders are made by what writes to them first: a check leaves the data as they are.

    Attributes:
        data: The folder of pictures that can be changed; None for an archive, a URL, and a folder
            that cannot be written to.
        path: What must not be lost: decisions, and pictures in quarantine. In the folder of the
            pictures, where readers pass it over since its name is hidden; or else in the cache.
        cache: What can be made again: the report of the last check, features, thumbnails.
    """

    data: Path | None
    path: Path
    cache: Path

    @classmethod
    def of(cls, location: str | Path) -> Self:
        """Return the workspace of data that are given as for `foveal train`."""
        name, data = str(location), None
        if not is_url(location):
            path = local_path(location).absolute()
            folder = path if path.is_dir() else path.parent
            name = str(path)
            if not (path.is_file() and is_archive(path)) and os.access(folder, os.W_OK):
                data = folder
        digest = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
        cache = cache_directory() / "curation" / digest
        return cls(data, cache if data is None else data / WORKSPACE, cache)

    @property
    def report(self) -> Path:
        """Return the report of the last check; see `foveal.checks.report.CheckReport`."""
        return self.cache / "check.json"

    @property
    def review(self) -> Path:
        """Return the log of decisions; see `foveal.curation.decisions`."""
        return self.path / "review.jsonl"
