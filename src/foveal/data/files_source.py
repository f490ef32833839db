"""A source whose samples are picture files of one storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from foveal.data.decode import DecodeLimits, decode
from foveal.data.source import Loaded, Sample, Source, digest_of
from foveal.data.storage import Storage


@final
@dataclass(frozen=True)
class FileSource(Source):
    """Picture files; a sample's id is its name in the storage."""

    storage: Storage

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Read and decode a file."""
        data = self.storage.read(sample.id, limits)
        return Loaded(decode(data, limits, min_size=min_size), digest_of(data))
