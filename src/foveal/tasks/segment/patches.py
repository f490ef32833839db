"""Remove small patches and holes from a mask, exactly, in strips of rows.

A patch of a label is 8-connected, a hole in it 4-connected: so a line of pixels at 45 degrees is
one patch, and no hole leaks through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.segment.components import Components, find_components
from foveal.types import Mask

Kind: TypeAlias = Literal["smallest", "holes"]

LARGEST_AREA = 1024
"""A patch of fewer pixels spans fewer rows: with as many below it, a strip shows it whole."""

# Labelling takes 3 bytes a pixel and some 100 bytes a run of pixels in a row: 200 MB for this and
# the rows below of a picture of 20,000 pixels width. Shorter strips would look at these rows as
# often as at their own.
_STRIP_PX = 1 << 24


@final
@dataclass(frozen=True, slots=True)
class Patches:
    """The patches of one strip that are small enough to be cleared.

    Attributes:
        window: View of the mask, (h, W), in which `places` are counted.
        top: The window's first row in the mask.
        places: (M,) flat positions in the window of all pixels of the patches.
        owner: (M,) which patch each pixel is of, in [0, P).
        areas: (P,) pixels of each patch.
        becomes: (P,) the label that each patch is given.
    """

    window: Mask
    top: int
    places: NDArray[np.int64]
    owner: NDArray[np.int64]
    areas: NDArray[np.int64]
    becomes: NDArray[np.uint8]


def tidy(mask: Mask, smallest: Sequence[int], holes: Sequence[int], classes: int) -> None:
    """Clear small patches, then small holes, label by label; the mask is changed in place.

    A patch of a label with fewer than `smallest` pixels is given to the label with which it
    shares the longest border (of two labels, the other). A hole of fewer than `holes` pixels,
    wholly enclosed by one label and not touching the picture's edge, is filled with that label.

    Args:
        mask: (H, W) label positions.
        smallest: Smallest patch of each label, in pixels, at most `LARGEST_AREA`; empty or 0 for
            none.
        holes: Smallest hole of each label, in pixels, at most `LARGEST_AREA`; empty or 0 for none.
        classes: Number of labels.
    """
    steps: tuple[tuple[Kind, Sequence[int]], ...] = (("smallest", smallest), ("holes", holes))
    for kind, limits in steps:
        for label, limit in enumerate(limits):
            if limit > 1:
                clear(mask, kind, label, limit, classes)


def clear(mask: Mask, kind: Kind, label: int, limit: int, classes: int) -> None:
    """Do one step of `tidy` in place; see there."""
    for patches in find_patches(mask, kind, label, limit, classes):
        _write(patches.window, patches.places, patches.becomes[patches.owner])


def find_patches(
    mask: Mask,
    kind: Kind,
    label: int,
    limit: int,
    classes: int,
    *,
    strip_px: int = _STRIP_PX,
) -> Iterator[Patches]:
    """Yield the patches or holes of a label of fewer than `limit` pixels, each exactly once.

    They may be cleared while this runs: two patches of a label are never adjacent, so clearing one
    changes neither the extent nor the border of another.

    Args:
        mask: (H, W) label positions.
        kind: `smallest` for the label's patches, `holes` for the holes in them.
        label: Whose.
        limit: In pixels, from 1 to `LARGEST_AREA`.
        classes: Number of labels.
        strip_px: Pixels in a strip, for tests.

    Raises:
        ValueError: For a limit over `LARGEST_AREA`.
    """
    if limit > LARGEST_AREA:
        raise ValueError(f"Invalid area {limit}. Expected at most {LARGEST_AREA} pixels.")
    height, width = mask.shape
    rows = max(1, strip_px // max(1, width))
    for start in range(0, height, rows):
        end = min(height, start + rows)
        # A patch belongs to the strip that its first row is in. One row above tells whether it
        # goes on there; `limit` rows below show all of one that is small, and its border.
        top, bottom = max(0, start - 1), min(height, end + limit)
        window = mask[top:bottom]
        if not (window == label).any():
            continue
        is_patch = kind == "smallest"
        inside = np.equal(window, label) if is_patch else np.not_equal(window, label)
        parts = find_components(inside, diagonal=is_patch)
        wanted = (parts.areas < limit) & (parts.top >= start - top) & (parts.top < end - top)
        wanted &= _is_whole(parts, window.shape, is_patch=is_patch, is_last=bottom == height)
        places, owner = _pixels(parts, wanted, width)
        becomes = np.full(int(wanted.sum()), label, np.uint8)
        if is_patch:
            becomes = _neighbours(window, places, owner, becomes, classes)
        yield Patches(window, top, places, owner, parts.areas[wanted], becomes)


def _is_whole(
    parts: Components, size: tuple[int, ...], *, is_patch: bool, is_last: bool
) -> NDArray[np.bool_]:
    """Return which small components of a window of this size are patches, or holes, as a whole.

    What a window cuts off below is taller than it may be. What reaches the edge of the picture is
    whole there, but no hole.
    """
    height, width = size
    is_cut = parts.row == height - 1
    if is_patch:
        return np.asarray(~parts.any_of(is_cut) | is_last)
    at_edge = is_cut | (parts.row == 0) | (parts.start == 0) | (parts.end == width)
    return ~parts.any_of(at_edge)


def _pixels(
    parts: Components, wanted: NDArray[np.bool_], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `places` and `owner` of the wanted components; see `Patches`."""
    runs = wanted[parts.owner]
    first = parts.row[runs] * width + parts.start[runs]
    lengths = parts.end[runs] - parts.start[runs]
    before = np.cumsum(lengths) - lengths
    places = np.arange(lengths.sum()) + np.repeat(first - before, lengths)
    owner = (np.cumsum(wanted) - 1)[parts.owner[runs]]
    return places, np.repeat(owner, lengths)


def _neighbours(
    window: Mask,
    places: NDArray[np.int64],
    owner: NDArray[np.int64],
    labels: NDArray[np.uint8],
    classes: int,
) -> NDArray[np.uint8]:
    """Return the label with which each patch shares most sides of pixels; the first of equals.

    Args:
        window: Where the patches lie.
        places: See `Patches`.
        owner: See `Patches`.
        labels: (P,) what the patches are; one that fills the picture has no border and stays so.
        classes: Number of labels.
    """
    count = len(labels)
    height, width = window.shape
    row, column = np.divmod(places, max(1, width))
    borders = np.zeros(count * classes, np.int64)
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y, x = row + down, column + right
        there = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        beside = window[y[there], x[there]].astype(np.int64)
        borders += np.bincount(owner[there] * classes + beside, minlength=count * classes)
    shared = borders.reshape(count, classes)
    shared[np.arange(count), labels] = 0
    found = np.where(shared.any(axis=1), shared.argmax(axis=1), labels)
    return found.astype(np.uint8)


def _write(window: Mask, places: NDArray[np.int64], values: NDArray[np.uint8]) -> None:
    row, column = np.divmod(places, max(1, window.shape[1]))
    window[row, column] = values
