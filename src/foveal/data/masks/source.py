"""A source of picture files with a mask file for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from foveal.data.decode import DecodeLimits, decode
from foveal.data.masks.file import MASK_LIMITS, read_mask_file
from foveal.data.masks.values import MaskValues
from foveal.data.opening import open_picture
from foveal.data.source import Loaded, Opened, Sample, Source, digest_of
from foveal.data.storage import Storage
from foveal.errors import ImageError
from foveal.types import Mask


@final
@dataclass(frozen=True)
class MaskSource(Source):
    """Picture files, each with at most one mask file.

    Attributes:
        storage: Where they are; a sample's id is its name there.
        masks: Sample id → name of its mask, of those that can be used.
        values: What the masks' values mean.
        pixels: Of each class in all those masks.
        limits: Of a mask that is no TIFF.
    """

    storage: Storage
    masks: Mapping[str, str]
    values: MaskValues
    pixels: tuple[int, ...]
    limits: DecodeLimits = MASK_LIMITS

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Read and decode a picture."""
        data = self.storage.read(sample.id, limits)
        return Loaded(decode(data, limits, min_size=min_size), digest_of(data))

    def open(self, sample: Sample, limits: DecodeLimits) -> Opened:
        """Open a picture for reading in parts: TIFF as it lies on disk, however large."""
        return open_picture(self.storage, sample.id, limits)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names that the masks' values are positions in."""
        return self.values.classes

    def mask(self, sample: Sample) -> Mask:
        """Read the mask of a sample; see `Source.mask`."""
        name = self.masks.get(sample.id)
        if name is None:
            raise ImageError(
                f"{sample.id} has no mask that can be used.",
                hint=f"foveal check {self.location} --task segment",
            )
        return self.values.apply(name, read_mask_file(self.storage, name, self.limits))
