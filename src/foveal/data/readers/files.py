"""Unlabelled pictures in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, final

from foveal.data.findings import about, plural
from foveal.data.names import is_foreign_picture_name
from foveal.data.readers.base import Place, Reader
from foveal.data.source import Sample, Source, SourceOptions
from foveal.types import Finding


@final
class FilesReader(Reader):
    """Every picture below the folder, without a label."""

    name: ClassVar[str] = "files"
    expects: ClassVar[str] = "pictures"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the pictures, or None when there are none."""
        samples = [Sample(name, None) for name in place.pictures]
        if not samples:
            return None
        layout = f"{plural(len(samples), 'picture')} without labels"
        return place.source(layout, samples, foreign_files(place.names))


def foreign_files(names: Iterable[str]) -> tuple[Finding, ...]:
    """Return the finding about pictures of formats that are not supported, if there are any."""
    foreign = [name for name in names if is_foreign_picture_name(name)]
    endings = sorted({name.rpartition(".")[2].lower() for name in foreign})
    words = f"left out: {', '.join(endings)} not supported."
    hint = "convert them to JPEG or PNG"
    return about(foreign, "images.foreign_format", "warning", "picture", words, hint=hint)
