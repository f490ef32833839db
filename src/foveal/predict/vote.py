"""Common requirements of bundles that vote."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.bundle.bundle import Bundle
from foveal.errors import UsageError
from foveal.predict.copies import whole_picture
from foveal.types import Raster


def check_question(first: Bundle, other: Bundle) -> None:
    """Raise unless both bundles have the same task and labels.

    Raises:
        UsageError: If they differ in task or labels.
    """
    if (first.manifest.task, first.task.labels) != (other.manifest.task, other.task.labels):
        raise UsageError(
            f"{other.path} cannot vote with {first.path}: they differ in task or labels.",
            hint="use bundles that were trained on data with the same labels",
        )


def smallest_size(bundles: Sequence[Bundle]) -> tuple[int, int] | None:
    """Return the (height, width) that decoding must keep for all, or None for every pixel."""
    sizes = [bundle.pipeline.decode_size for bundle in bundles]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return None
    return max(height for height, _ in known), max(width for _, width in known)


def check_widths(bundles: Sequence[Bundle], raster: Raster) -> None:
    """Raise if a picture is too wide for one of the bundles.

    Checked before batching, because the whole batch would fail.

    Raises:
        ImageError: If it is too wide.
    """
    for bundle in bundles:
        if bundle.pipeline.is_ragged:
            bundle.pipeline.apply(whole_picture(raster))
