"""The mapping from mask values to classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.findings import plural
from foveal.data.masks.file import MaskFile
from foveal.errors import DataError, ImageError
from foveal.types import IGNORED, Mask

ValueKind: TypeAlias = Literal["ids", "colors"]

MAX_COLORS = 64
"""More are a photograph, or colours that were smeared."""

# Positions are bytes, 255 is taken; one is kept in reserve.
MAX_CLASSES = 254
# Grey pictures have 256 values; the values of a source are counted against the limits above.
_MAX_VALUES_OF_FILE = 256
_BAND_PX = 1 << 20
_GREY = 0x010101
# What a `describe` shows of a long list.
_SHOWN = 12


@final
@dataclass(frozen=True, slots=True, eq=False)
class MaskCount:
    """Value counts of a mask file.

    Attributes:
        name: Name of the file.
        size: (height, width) in pixels.
        is_color: Whether the values are colours, 0xRRGGBB, or else ids.
        has_palette: Whether it stores positions in a palette.
        pixels: Value → number of pixels.
    """

    name: str
    size: tuple[int, int]
    is_color: bool
    has_palette: bool
    pixels: Mapping[int, int]


@final
@dataclass(frozen=True)
class MaskValues:
    """Mapping from mask values to classes.

    Attributes:
        kind: Whether the values are ids or colours, 0xRRGGBB.
        names: Value → name of its class, or None for pixels to be ignored.
    """

    kind: ValueKind
    names: Mapping[int, str | None]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes, by their lowest values."""
        return tuple(dict.fromkeys(name for name in self.names.values() if name is not None))

    @cached_property
    def positions(self) -> Mapping[int, int]:
        """Return value → position in `classes`, or `IGNORED`."""
        of_name = {name: position for position, name in enumerate(self.classes)}
        return {
            value: IGNORED if name is None else of_name[name] for value, name in self.names.items()
        }

    def shown(self, value: int) -> str:
        """Return a value as people write it: `7` or `#ff0000`."""
        return f"#{value:06x}" if self.kind == "colors" else str(value)

    def describe(self) -> str:
        """Return the mapping in words, as `0 → background, 255 → foreground`."""
        pairs = [f"{self.shown(value)} → {name or 'ignored'}" for value, name in self.names.items()]
        more = len(pairs) - _SHOWN
        return ", ".join(pairs[:_SHOWN]) + (f", … {more} more" if more > 0 else "")

    def apply(self, name: str, file: MaskFile) -> Mask:
        """Return (H, W) uint8 positions in `classes`, or `IGNORED`.

        Args:
            name: Name of the file, for errors.
            file: The mask as stored.

        Raises:
            ImageError: If it holds a value that stands for nothing.
        """
        positions = self.positions
        if self.kind == "ids" and file.values.ndim == 3:
            # Ids in a colour file stand in all three channels.
            positions = {value * _GREY: at for value, at in positions.items() if value <= 255}
        mask = np.empty(file.size, np.uint8)
        for top, keys in _bands(file, as_colors=self.kind == "colors"):
            found = _look_up(positions, keys)
            if (found < 0).any():
                raise self._unknown(name, int(keys[found < 0][0]), file.values.ndim == 3)
            mask[top : top + len(keys)] = found
        return mask

    def _unknown(self, name: str, value: int, is_color: bool) -> ImageError:
        shown = f"#{value:06x}" if is_color else self.shown(value)
        return ImageError(
            f"{name} contains {shown}, which is not a known class. Expected: {self.describe()}."
        )


def count_values(name: str, file: MaskFile, *, as_colors: bool = False) -> MaskCount:
    """Count the values of a mask; a colour file in which all is grey holds ids.

    Args:
        name: Name of the file.
        file: The mask as stored.
        as_colors: Look palette positions up, and take grey for a colour too.

    Raises:
        DataError: If it has too many values to be a mask, or lossy compression changed them.
    """
    totals: dict[int, int] = {}
    is_color = as_colors or file.values.ndim == 3
    for _, keys in _bands(file, as_colors=as_colors):
        for value, count in zip(*_histogram(keys), strict=True):
            totals[value] = totals.get(value, 0) + count
        if file.is_lossy and not totals.keys() <= _extremes(is_color):
            raise _smeared(name)
        if len(totals) > _MAX_VALUES_OF_FILE:
            raise too_many(name, is_color)
    if is_color and not as_colors and all(value % _GREY == 0 for value in totals):
        is_color = False
        totals = {value // _GREY: count for value, count in totals.items()}
    has_palette = file.palette is not None
    return MaskCount(name, file.size, is_color, has_palette, dict(sorted(totals.items())))


def _bands(file: MaskFile, *, as_colors: bool) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (top row, values as single numbers) of parts of about a million pixels."""
    values = file.values
    palette = None if file.palette is None else _pack(file.palette)
    rows = max(1, _BAND_PX // values.shape[1])
    for top in range(0, len(values), rows):
        part = values[top : top + rows]
        if part.ndim == 3:
            yield top, _pack(part)
        elif not as_colors:
            yield top, part
        elif palette is not None:
            # A position beyond the palette has no colour: it is black, as decoders show it.
            yield top, np.append(palette, 0)[np.minimum(part, len(palette))]
        else:
            yield top, part.astype(np.int64) * _GREY


def _look_up(positions: Mapping[int, int], keys: NDArray[Any]) -> NDArray[np.int16]:
    """Return the position of each value, -1 where it has none."""
    if keys.dtype in (np.uint8, np.uint16):
        # A table of all values there can be is several times as fast as a search.
        table = np.full(np.iinfo(keys.dtype).max + 1, -1, np.int16)
        for value, position in positions.items():
            if value < len(table):
                table[value] = position
        found: NDArray[np.int16] = table[keys]
        return found
    known = np.array(sorted(positions), np.int64)
    targets = np.array([positions[int(value)] for value in known], np.int16)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, targets[at], np.int16(-1))


def _pack(colors: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return (...) numbers 0xRRGGBB of (..., 3) colours."""
    wide = colors.astype(np.int32)
    packed: NDArray[np.int32] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def _histogram(keys: NDArray[Any]) -> tuple[list[int], list[int]]:
    if keys.dtype in (np.uint8, np.uint16):
        counts = np.bincount(keys.ravel())
        values = np.flatnonzero(counts)
        return values.tolist(), counts[values].tolist()
    found, counts = np.unique(keys, return_counts=True)
    return found.tolist(), counts.tolist()


def _extremes(is_color: bool) -> frozenset[int]:
    return frozenset((0, 0xFFFFFF if is_color else 255))


def too_many(name: str, is_color: bool) -> DataError:
    """Return the error for more values than a mask can have."""
    if is_color:
        return DataError(
            f"The masks contain more than {MAX_COLORS} colours (up to {name}). "
            "Expected one for each class.",
            hint="save masks as PNG, without JPEG compression and resized with nearest-neighbour "
            "interpolation",
        )
    return DataError(
        f"The masks contain more than {MAX_CLASSES} ids (up to {name}). "
        "Expected one for each class.",
        hint=(
            "if each object has a number of its own, use --set task_options.instances=objects, or "
            "save 1 wherever there is an object: numpy.uint8(ids > 0)"
        ),
    )


def _smeared(name: str) -> DataError:
    return DataError(
        f"{name} is lossy (JPEG or WebP), so its values are not exact. Expected 0 and 255 only.",
        hint="save masks as PNG from the start; a mask of two classes can be repaired: "
        "PIL.Image.open(mask).convert('L').point(lambda v: 255 * (v > 127)).save('mask.png')",
    )


def total_pixels(counts: Sequence[MaskCount]) -> dict[int, int]:
    """Return value → pixels in all masks, sorted by value."""
    totals: dict[int, int] = {}
    for count in counts:
        for value, pixels in count.pixels.items():
            totals[value] = totals.get(value, 0) + pixels
    return dict(sorted(totals.items()))


def smeared_ids(count: MaskCount, share: float, total: int) -> DataError:
    """Return the error for two values with smooth edges between them."""
    return DataError(
        f"The masks contain 0, 255 and {plural(total, 'value')} between, in {100 * share:.1f} % of "
        f"the pixels ({count.name}, for example): two classes with smooth edges.",
        hint="save values over 127 as 255 and all others as 0; "
        "if these are ids, name them in classes.txt",
    )
