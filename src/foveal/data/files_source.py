"""A source whose samples are picture files of one storage, with or without masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias, final

from foveal.data.decode import DecodeLimits, decode
from foveal.data.file_facts import facts_of
from foveal.data.opening import open_picture
from foveal.data.source import Loaded, Opened, Sample, Source
from foveal.data.storage import Storage
from foveal.errors import ImageError
from foveal.types import Mask


class Masks(Protocol):
    """The interface of the masks of a source."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names that mask values are positions in."""

    def read(self, id: str) -> Mask | None:
        """Return the mask of a sample, or None where it has none that can be used.

        Raises:
            ImageError: If it cannot be decoded or holds an unknown value.
        """

    def file(self, id: str) -> str | None:
        """Return the name of the file that holds the mask of this sample alone, or None."""

    def list_of(self, id: str) -> str | None:
        """Return the name of the file that lists this sample and others with masks, or None."""


@final
@dataclass(frozen=True, slots=True)
class FolderLabels:
    """Labels that are the names of folders.

    Attributes:
        depth: Which part of a sample's id is its label; 0 for the first.
    """

    depth: int


@final
@dataclass(frozen=True, slots=True)
class TableLabels:
    """Labels in tables.

    Attributes:
        files: Their names in the storage: one, or one for each side of a split.
        column: Which column holds the labels; None finds it by its name.
    """

    files: tuple[str, ...]
    column: str | None = None


@final
@dataclass(frozen=True, slots=True)
class NameLabels:
    """Labels in the names of the pictures.

    Attributes:
        label_regex: Regular expression whose first group is the label; None takes the name without
            its suffix and a number at its end.
    """

    label_regex: str | None


LabelledBy: TypeAlias = FolderLabels | TableLabels | NameLabels
"""Where labels are, so that they can be changed there."""


@final
@dataclass(frozen=True)
class FileSource(Source):
    """Picture files; a sample's id is its name in the storage."""

    storage: Storage
    masks: Masks | None = None
    labelled_by: LabelledBy | None = None

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Read and decode a file."""
        data = self.storage.read(sample.id, limits)
        return Loaded(decode(data, limits, min_size=min_size), data, facts_of(data))

    def expecting(
        self, samples: Iterable[Sample], limits: DecodeLimits
    ) -> AbstractContextManager[None]:
        """Prefetch pictures and masks within the block, if the storage is slow."""
        return self.storage.expecting(self._files_of(samples), limits)

    def _files_of(self, samples: Iterable[Sample]) -> Iterator[str]:
        for sample in samples:
            yield sample.id
            if self.masks is not None and (mask := self.masks.file(sample.id)) is not None:
                yield mask

    def open(self, sample: Sample, limits: DecodeLimits) -> Opened:
        """Open a picture for reading in parts: TIFF as it lies on disk, however large."""
        return open_picture(self.storage, sample.id, limits)

    def encoded(self, sample: Sample, limits: DecodeLimits) -> bytes:
        """Return the file of a sample."""
        return self.storage.read(sample.id, limits)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names that the masks' values are positions in; empty without masks."""
        return self.masks.classes if self.masks else ()

    def mask(self, sample: Sample) -> Mask:
        """Read the mask of a sample; see `Source.mask`."""
        if self.masks is None:
            raise self.no_masks()
        mask = self.masks.read(sample.id)
        if mask is None:
            raise ImageError(
                f"{sample.id} has no mask that can be used.",
                hint=f"foveal check {self.location} --task segment",
            )
        return mask
