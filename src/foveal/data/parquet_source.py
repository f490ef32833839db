"""A source whose samples are rows of Parquet files with embedded pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from foveal.data.decode import DecodeLimits, decode
from foveal.data.file_facts import facts_of
from foveal.data.parquet_file import ParquetFile
from foveal.data.source import Loaded, Sample, Source
from foveal.errors import DataError, ImageError


@final
@dataclass(frozen=True)
class ParquetSource(Source):
    """Rows of Parquet files; a sample's id is `<file>/<row>`, from 0."""

    files: Mapping[str, ParquetFile]

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Read and decode the picture of a row."""
        data = self.encoded(sample, limits)
        return Loaded(decode(data, limits, min_size=min_size), data, facts_of(data))

    def encoded(self, sample: Sample, limits: DecodeLimits) -> bytes:
        """Return the picture file in a row."""
        name, _, row = sample.id.rpartition("/")
        try:
            data = self.files[name].picture(int(row))
        except DataError as error:
            raise ImageError(error.message, hint=error.hint) from error
        if data is None:
            raise ImageError(f"{sample.id} contains no picture (or only the name of one).")
        limits.check_bytes(len(data))
        return data
