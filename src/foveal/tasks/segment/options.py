"""The options of a segmenter, and the order of its labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from foveal.errors import RecipeError, unknown_name
from foveal.types import BACKGROUND

DECODERS = ("unet", "fpn", "fcn8s")
# Farther than this is not near a boundary.
_WIDEST_PX = 64


@final
@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """What a segmenter is, beside its labels.

    Attributes:
        decoder: `unet`, `fpn` or `fcn8s`: how the backbone's maps become one at full size.
        boundary_px: How far, in original pixels, an answered boundary may lie from the true one
            to count as found (metric `boundary_f1`).
        postprocess: Whether the smallest area and the holes to fill are chosen on validation.
    """

    decoder: str = "unet"
    boundary_px: int = 2
    postprocess: bool = True


def check_options(options: SegmentOptions) -> None:
    """Check the values that plain types do not.

    Raises:
        RecipeError: For an unknown decoder (names the nearest) or a distance out of range.
    """
    if options.decoder not in DECODERS:
        raise RecipeError(
            unknown_name("decoder", options.decoder, DECODERS),
            hint="--set task_options.decoder=unet",
        )
    if not 0 <= options.boundary_px <= _WIDEST_PX:
        raise RecipeError(
            f"Invalid value for 'task_options.boundary_px'. Expected 0 to {_WIDEST_PX}. "
            f"Received: {options.boundary_px}.",
            hint="--set task_options.boundary_px=2",
        )


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetition, background first, `class_2` before `class_10`."""
    return tuple(sorted(set(names), key=_rank))


def counted_labels(names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the positions of the labels that count in means: all but the background.

    Where there is nothing but background, that counts.
    """
    return tuple(i for i, name in enumerate(names) if name != BACKGROUND) or tuple(
        range(len(names))
    )


def _rank(name: str) -> tuple[bool, list[tuple[bool, int, str]], str]:
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    # Numbers before words, so that the two are never compared with each other.
    keys = [
        (False, int(part), "") if part[0] in "0123456789" else (True, 0, part) for part in parts
    ]
    return name != BACKGROUND, keys, name
