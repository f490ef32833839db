"""A source whose samples are rows of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.array_file import ArrayFile
from foveal.data.decode import DecodeLimits, decode_array
from foveal.data.source import Loaded, Sample, Source
from foveal.errors import DataError, ImageError

_CHANNELS = (1, 3, 4)
# Rows looked at together when the range of an array is taken.
_CHUNK_BYTES = 16_000_000


@final
@dataclass(frozen=True)
class PictureArray:
    """An array of pictures with the conversion of its values to 0-255.

    Attributes:
        array: (N, H, W), (N, H, W, C) or, with `is_channels_first`, (N, C, H, W).
        is_channels_first: As torch has it.
        scale: Numbers times this are 0-255.
    """

    array: ArrayFile
    is_channels_first: bool
    scale: float

    @classmethod
    def open(cls, array: ArrayFile) -> Self:
        """Determine the layout and value range of an array.

        Raises:
            DataError: If it cannot be pictures.
        """
        shape = array.shape
        is_first = len(shape) == 4 and shape[3] not in _CHANNELS and shape[1] in _CHANNELS
        is_last = len(shape) == 4 and shape[3] in _CHANNELS
        if not (len(shape) == 3 or is_first or is_last) or 0 in shape[1:]:
            raise DataError(
                f"{array.name} does not have the shape of pictures. Expected (N, H, W), (N, H, W, "
                f"C) or (N, C, H, W) with 1, 3 or 4 channels. Received: {shape}."
            )
        return cls(array, is_first, _scale(array))

    @property
    def count(self) -> int:
        """Return the number of pictures."""
        return self.array.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) of every picture."""
        shape = self.array.shape
        return (shape[2], shape[3]) if self.is_channels_first else (shape[1], shape[2])

    def row(self, index: int) -> NDArray[Any]:
        """Return one picture as it is stored."""
        row: NDArray[Any] = self.array.rows(index, index + 1)[0]
        return row

    def to_uint8(self, row: NDArray[Any]) -> NDArray[np.uint8]:
        """Return a stored picture as (H, W) or (H, W, C) uint8."""
        if self.is_channels_first:
            row = row.transpose(1, 2, 0)
        if row.dtype == np.uint8 and self.scale == 1:
            return row
        return np.clip(np.rint(row * self.scale), 0, 255).astype(np.uint8)


def _scale(array: ArrayFile) -> float:
    kind, bits = array.dtype.kind, 8 * array.dtype.itemsize
    if kind == "b":
        return 255.0
    if kind == "u" and bits in (8, 16):
        return 1.0 if bits == 8 else 1 / 257
    if kind not in "uif":
        raise DataError(f"{array.name} has elements of type {array.dtype}. Expected numbers.")
    low, high = _range(array)
    if not (low >= 0 and high <= 255):
        raise DataError(
            f"{array.name} has values out of range. Expected 0 to 1, or 0 to 255. Received: "
            f"{low:g} to {high:g}.",
            hint="save the pictures as uint8",
        )
    return 255.0 if kind == "f" and high <= 1 else 1.0


def _range(array: ArrayFile) -> tuple[float, float]:
    rows = max(1, _CHUNK_BYTES // max(1, array.dtype.itemsize * int(np.prod(array.shape[1:]))))
    low, high = np.inf, -np.inf
    for start in range(0, array.shape[0], rows):
        part = array.rows(start, min(start + rows, array.shape[0]))
        # NaN spreads to both, and is refused as out of range.
        low, high = np.minimum(low, part.min()), np.maximum(high, part.max())
    return float(low), float(high)


@final
@dataclass(frozen=True)
class ArraySource(Source):
    """Rows of arrays; a sample's id is `<array>/<row>`."""

    arrays: Mapping[str, PictureArray]

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Read a row; it is never scaled down."""
        key, _, index = sample.id.rpartition("/")
        array = self.arrays[key]
        try:
            row = array.row(int(index))
        except DataError as error:
            raise ImageError(error.message) from error
        pixels = array.to_uint8(row)
        return Loaded(decode_array(pixels, limits), np.ascontiguousarray(row).data)
