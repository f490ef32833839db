"""The mask files of a source's pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from foveal.data.decode import DecodeLimits
from foveal.data.masks.apart import set_apart
from foveal.data.masks.file import read_mask_file
from foveal.data.masks.values import MaskValues
from foveal.data.storage import Storage
from foveal.types import Mask


@final
@dataclass(frozen=True)
class MaskFiles:
    """At most one mask file for each picture.

    Attributes:
        storage: Where they are.
        files: Sample id → name of its mask, of those that can be used.
        values: Meaning of the masks' values.
        limits: Limits of a mask that is no TIFF: those of the pictures.
        objects: Whether each value is an object of its own.
    """

    storage: Storage
    files: Mapping[str, str]
    values: MaskValues
    limits: DecodeLimits
    objects: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names that the masks' values are positions in."""
        return self.values.classes

    def read(self, id: str) -> Mask | None:
        """Return the mask of a sample; see `foveal.data.files_source.Masks`."""
        name = self.files.get(id)
        if name is None:
            return None
        file = read_mask_file(self.storage, name, self.limits)
        return self.values.apply(name, set_apart(file) if self.objects else file)

    def file(self, id: str) -> str | None:
        """Return the name of the mask of a sample."""
        return self.files.get(id)

    def list_of(self, id: str) -> None:
        """Return None: each mask has a file of its own."""
