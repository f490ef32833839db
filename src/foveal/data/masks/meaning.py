"""Determine which mask value stands for which class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from foveal.data.masks.names import MaskNames
from foveal.data.masks.values import (
    MAX_CLASSES,
    MAX_COLORS,
    MaskCount,
    MaskValues,
    smeared_ids,
    too_many,
    total_pixels,
)
from foveal.errors import DataError
from foveal.types import BACKGROUND

FOREGROUND = "foreground"
WHITE = 255
"""Foreground where there is nothing else than 0, and what is ignored among ids."""

_DEEP_WHITE = 65_535
# Fewer pixels than this, in all masks together, are slips of a pen and no class.
_FEW_PX = 4
# Smooth edges of 0 and 255: so many values between, in so small a share of the pixels.
_MANY_BETWEEN, _SMALL_SHARE = 8, 0.05


def find_values(counts: Sequence[MaskCount], names: MaskNames | None) -> MaskValues:
    """Return the meaning of the mask values of a source.

    Without names: nothing but 0 and 255, or 0 and 1, are background and foreground. Other ids are
    `background` for 0 and `class_7` for 7, and 255 among them is ignored. Colours are `background`
    for black and else `#rrggbb`; those of a few stray pixels are ignored.

    Args:
        counts: Counts of all masks that could be read; counted as colours where `needs_colors`.
        names: Names of the values from a file, or None.

    Raises:
        DataError: If the values can be no classes, or can be understood in two ways.
    """
    if names is not None:
        values = _named(counts, names)
    elif any(count.is_color for count in counts):
        values = _colors(counts)
    else:
        values = _ids(counts)
    if len(values.classes) > MAX_CLASSES:
        raise DataError(
            f"There are {len(values.classes)} classes of pixels. Expected at most {MAX_CLASSES}.",
            hint="give values that mean the same the same name in classes.txt",
        )
    return values


def needs_colors(counts: Sequence[MaskCount], names: MaskNames | None) -> bool:
    """Return whether palettes must be looked up: the names, or other masks, are colours."""
    if names is not None:
        return names.are_colors
    return any(count.is_color for count in counts) and any(count.has_palette for count in counts)


def _named(counts: Sequence[MaskCount], names: MaskNames) -> MaskValues:
    known = dict(names.names)
    if names.are_colors:
        # Black is what nobody drew on; it rarely stands in the list of what was drawn.
        if 0 not in known:
            known = {0: BACKGROUND, **known}
        return MaskValues("colors", known)
    colored = next((count.name for count in counts if count.is_color), None)
    if colored is not None:
        raise DataError(
            f"{names.file} names ids, but {colored} contains colours.",
            hint=f"write `#ff0000 tumour` in each line of {names.file}",
        )
    found = set(total_pixels(counts))
    if found <= {0, WHITE} and WHITE in found and known.keys() == {0, 1}:
        known = {0: known[0], WHITE: known[1]}
    elif not found <= {0, WHITE}:
        known.setdefault(WHITE, None)
    return MaskValues("ids", known)


def _colors(counts: Sequence[MaskCount]) -> MaskValues:
    colored = [count for count in counts if count.is_color]
    for count in counts:
        if not count.is_color and not count.pixels.keys() <= {0, WHITE}:
            raise DataError(
                f"{count.name} contains ids, {colored[0].name} colours. Expected one kind.",
                hint="save all masks in the same way",
            )
    grey = [count for count in counts if not count.is_color]
    totals = total_pixels(colored)
    for value, pixels in total_pixels(grey).items():
        color = value * 0x010101
        totals[color] = totals.get(color, 0) + pixels
    if len(totals) > MAX_COLORS:
        raise too_many(max(colored, key=lambda count: len(count.pixels)).name, is_color=True)
    names: dict[int, str | None] = {
        color: None if pixels < _FEW_PX else f"#{color:06x}"
        for color, pixels in sorted(totals.items())
    }
    if 0 in names:
        names[0] = BACKGROUND
    return MaskValues("colors", names)


def _ids(counts: Sequence[MaskCount]) -> MaskValues:
    totals = total_pixels(counts)
    found = set(totals)
    for white in (WHITE, _DEEP_WHITE):
        if found <= {0, white} and white in found:
            return MaskValues("ids", {0: BACKGROUND, white: FOREGROUND})
    if found <= {0, 1, WHITE}:
        _refuse_two_whites(counts)
        names: dict[int, str | None] = {0: BACKGROUND, 1: FOREGROUND}
        return MaskValues("ids", {**names, WHITE: None} if WHITE in found else names)
    _refuse_smooth_edges(counts, totals)
    ids = sorted(found - {WHITE})
    if len(ids) > MAX_CLASSES:
        raise too_many(max(counts, key=lambda count: len(count.pixels)).name, is_color=False)
    names = {value: f"class_{value}" if value else BACKGROUND for value in ids}
    return MaskValues("ids", {**names, WHITE: None} if WHITE in found else names)


def _refuse_two_whites(counts: Sequence[MaskCount]) -> None:
    """Refuse masks of 0 and 1 beside masks of 0 and 255: 255 may be foreground or ignored."""
    one = [count for count in counts if 1 in count.pixels]
    white = [count for count in counts if WHITE in count.pixels]
    if one and white and not any(WHITE in count.pixels for count in one):
        raise DataError(
            f"{one[0].name} contains 1, {white[0].name} 255, and no mask contains both. "
            "Expected one value for the foreground.",
            hint="classes.txt with the lines `0 background`, `1 foreground` and `255 foreground` "
            "(or `255 ignore`)",
        )


def _refuse_smooth_edges(counts: Sequence[MaskCount], totals: Mapping[int, int]) -> None:
    """Refuse two classes whose edges were smoothed by scaling or a lossy format."""
    between = totals.keys() - {0, WHITE}
    share = sum(totals[value] for value in between) / sum(totals.values())
    if {0, WHITE} <= totals.keys() and len(between) > _MANY_BETWEEN and share < _SMALL_SHARE:
        worst = max(counts, key=lambda count: len(count.pixels))
        raise smeared_ids(worst, share, len(between))
