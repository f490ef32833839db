"""The options of a segmenter, and the order of its labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, final

from foveal.settings import About
from foveal.types import BACKGROUND


@final
@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """Options of a segmenter besides its labels."""

    decoder: Annotated[
        Literal["unet", "fpn", "fcn8s"],
        About("How the backbone's maps become one of full size."),
    ] = "unet"
    boundary_px: Annotated[
        int,
        # Farther than this is not near a boundary.
        About(
            "How far, in original pixels, an answered boundary may lie from the true one to "
            "count as found (metric `boundary_f1`).",
            ge=0,
            le=64,
        ),
    ] = 2
    postprocess: Annotated[
        bool,
        About(
            "Choose the offsets between labels, the smallest area and the holes to fill on "
            "validation."
        ),
    ] = True
    count_background: Annotated[
        bool,
        About(
            "Let the background count in the means over labels; chosen where it is the smaller "
            "part of the masks."
        ),
    ] = False
    instances: Annotated[
        Literal["none", "patches", "objects"],
        About(
            "Tell objects that touch apart. What an object is in the masks: `patches`, a connected "
            "patch of a label; `objects`, a value of its own in each mask, or an outline."
        ),
    ] = "none"
    core_px: Annotated[
        int,
        About(
            "How far, in pixels of the model input, the core of an object is from its edge.",
            ge=1,
            le=32,
        ),
    ] = 3


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetition, background first, `class_2` before `class_10`."""
    return tuple(sorted(set(names), key=_rank))


def counted_labels(names: tuple[str, ...], *, with_background: bool) -> tuple[int, ...]:
    """Return the positions of the labels that count in means: all, or all but the background.

    Where there is nothing but background, that counts.
    """
    everything = tuple(range(len(names)))
    if with_background:
        return everything
    return tuple(i for i in everything if names[i] != BACKGROUND) or everything


def _rank(name: str) -> tuple[bool, list[tuple[bool, int, str]], str]:
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    # Numbers before words, so that the two are never compared with each other.
    keys = [
        (False, int(part), "") if part[0] in "0123456789" else (True, 0, part) for part in parts
    ]
    return name != BACKGROUND, keys, name
