"""Pictures without labels: whatever lies in the folder."""

from __future__ import annotations

from typing import ClassVar, final

from foveal.data.files_source import FileSource
from foveal.data.findings import about, plural
from foveal.data.names import is_foreign_picture_name, is_picture_name
from foveal.data.readers.base import Reader
from foveal.data.source import Sample, Source, SourceOptions
from foveal.data.storage import Listing, Storage
from foveal.types import Finding


@final
class FilesReader(Reader):
    """Every picture below the folder, without a label."""

    name: ClassVar[str] = "files"
    expects: ClassVar[str] = "pictures"

    def read_folder(
        self, storage: Storage, listing: Listing, options: SourceOptions
    ) -> Source | None:
        """Return the pictures, or None when there are none."""
        pictures = [name for name in listing.files if is_picture_name(name)]
        if not pictures:
            return None
        return FileSource(
            location=storage.location,
            layout=f"{plural(len(pictures), 'picture')} without labels",
            samples=tuple(Sample(name, None) for name in pictures),
            findings=foreign_files(listing),
            storage=storage,
        )

    def read_file(self, storage: Storage, name: str, options: SourceOptions) -> Source | None:
        """Return a source of one picture."""
        if not is_picture_name(name):
            return None
        return FileSource(
            location=storage.locate(name),
            layout="1 picture without a label",
            samples=(Sample(name, None),),
            findings=(),
            storage=storage,
        )


def foreign_files(listing: Listing) -> tuple[Finding, ...]:
    """Return the finding about pictures of formats that are not supported, if there are any."""
    foreign = [name for name in listing.files if is_foreign_picture_name(name)]
    endings = sorted({name.rpartition(".")[2].lower() for name in foreign})
    words = f"left out: {', '.join(endings)} not supported."
    hint = "convert them to JPEG or PNG"
    return about(foreign, "images.foreign_format", "warning", "picture", words, hint=hint)
