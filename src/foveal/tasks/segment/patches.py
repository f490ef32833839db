"""Clear small patches and holes out of a mask, exactly, in strips of rows.

A patch of a label is 8-connected, a hole in it 4-connected: so a line of pixels at 45 degrees is
one patch, and no hole leaks through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import MissingExtraError
from foveal.extras import import_extra
from foveal.types import Mask

Kind: TypeAlias = Literal["smallest", "holes"]

LARGEST_AREA = 1024
"""A patch of fewer pixels spans fewer rows: with as many below it, a strip shows it whole."""

# Labelling takes some 6 bytes a pixel: 200 MB for this and the rows below of a picture of 20,000
# pixels width. Shorter strips would look at these rows as often as at their own.
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
        classes: How many labels there are.

    Raises:
        MissingExtraError: When there is something to do and OpenCV is not installed.
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

    They may be cleared while this runs: two patches of a label are never beside each other, so
    clearing one changes neither the extent nor the border of another.

    Args:
        mask: (H, W) label positions.
        kind: `smallest` for the label's patches, `holes` for the holes in them.
        label: Whose.
        limit: In pixels, from 1 to `LARGEST_AREA`.
        classes: How many labels there are.
        strip_px: Pixels in a strip, for tests.

    Raises:
        ValueError: For a limit over `LARGEST_AREA`.
        MissingExtraError: When OpenCV is not installed.
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
        ids, stats = _components(inside, 8 if is_patch else 4)
        wanted = _small(stats, limit, start - top, end - top)
        wanted &= _is_whole(stats, window.shape, is_patch=is_patch, is_last=bottom == height)
        places = np.flatnonzero(wanted[ids]) if wanted.any() else np.empty(0, np.int64)
        owner = (np.cumsum(wanted) - 1)[ids.ravel()[places]]
        areas = stats[wanted, 4].astype(np.int64)
        becomes = np.full(len(areas), label, np.uint8)
        if is_patch:
            becomes = _neighbours(window, places, owner, becomes, classes)
        yield Patches(window, top, places, owner, areas, becomes)


def _is_whole(
    stats: NDArray[np.int32], size: tuple[int, ...], *, is_patch: bool, is_last: bool
) -> NDArray[np.bool_]:
    """Return which small components of a window of this size are patches, or holes, as a whole.

    What a window cuts off below is taller than it may be. What reaches the edge of the picture is
    whole there, but no hole.
    """
    left, upper, wide, high, _ = stats.T
    is_cut = upper + high == size[0]
    if is_patch:
        return np.asarray(~is_cut | is_last)
    return np.asarray(~is_cut & (upper > 0) & (left > 0) & (left + wide < size[1]))


def _components(
    inside: NDArray[np.bool_], connectivity: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the number of each pixel's component, (h, W), and (left, top, width, height, area)
    of each, (P, 5); number 0 is what is not inside."""
    cv2 = require_opencv()
    _, ids, stats, _ = cv2.connectedComponentsWithStats(
        inside.view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return ids, stats


def _small(stats: NDArray[np.int32], limit: int, first: int, end: int) -> NDArray[np.bool_]:
    """Return which components are small and begin in the rows from `first` to before `end`."""
    wanted: NDArray[np.bool_] = (stats[:, 4] < limit) & (stats[:, 1] >= first)
    wanted &= stats[:, 1] < end
    wanted[0] = False
    return wanted


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
        classes: How many labels there are.
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


def has_opencv() -> bool:
    """Return whether masks can be tidied here."""
    try:
        require_opencv()
    except MissingExtraError:
        return False
    return True


def require_opencv() -> Any:
    """Return `cv2`, imported on first use: only bundles that clear patches need it.

    Raises:
        MissingExtraError: When it is not installed.
    """
    return import_extra("cv2", "segment", "Clearing small patches out of masks needs OpenCV")
