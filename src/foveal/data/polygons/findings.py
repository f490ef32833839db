"""Findings about the shapes of a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from foveal.data.findings import about, finding, plural
from foveal.data.polygons.regions import Drawing, count_outside
from foveal.data.polygons.source import SIZE_MISMATCH
from foveal.errors import ImageError
from foveal.types import Finding, Severity


@final
@dataclass(frozen=True, slots=True)
class ShapeLook:
    """Scan of a picture and its shapes.

    Attributes:
        picture: Name of the picture.
        file: Name of the file with its shapes, or None when there is none.
        size: (height, width) of the picture, or None when it was not looked at.
        drawing: Shapes of the picture, or None if they cannot be used.
        error: Reason why the shapes cannot be used, or None.
    """

    picture: str
    file: str | None
    size: tuple[int, int] | None = None
    drawing: Drawing | None = None
    error: ImageError | None = None


def shape_findings(looks: Sequence[ShapeLook], alone: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings about the shapes.

    Args:
        looks: At every picture.
        alone: Names of shapes without a picture.
    """
    missing = [look.picture for look in looks if look.file is None]
    words = f"without shapes, left out: {_first(missing)}."
    hint = "draw its shapes, or add an empty drawing where there is nothing to outline"
    yield from about(missing, "polygons.missing", "warning", "picture", words, hint=hint)
    words = f"without a picture: {_first(alone)}."
    hint = "give the picture and the drawing the same name, or add the picture"
    yield from about(alone, "polygons.without_picture", "warning", "drawing", words, hint=hint)
    yield from _errors(looks)
    yield from _passed_over(looks)
    yield from _outside(looks)


def _first(names: Sequence[str]) -> str:
    return "".join(names[:1]) + (", …" if len(names) > 1 else "")


def _errors(looks: Sequence[ShapeLook]) -> Iterator[Finding]:
    failed = [(look.picture, look.error) for look in looks if look.error is not None]
    mismatched = [(name, error) for name, error in failed if error.error_code == SIZE_MISMATCH]
    unreadable = [(name, error) for name, error in failed if error.error_code != SIZE_MISMATCH]
    if mismatched:
        words = "of another size than the picture"
        yield from _failed(mismatched, "polygons.size_mismatch", "error", words)
    if unreadable:
        severity: Severity = "error" if len(unreadable) == len(looks) else "warning"
        words = "that cannot be used, left out"
        yield from _failed(unreadable, "polygons.unreadable", severity, words)


def _failed(
    failed: Sequence[tuple[str, ImageError]], id: str, severity: Severity, words: str
) -> tuple[Finding, ...]:
    names, first = [name for name, _ in failed], failed[0][1]
    return about(names, id, severity, "drawing", f"{words}: {first.message}", hint=first.hint)


def _passed_over(looks: Sequence[ShapeLook]) -> Iterator[Finding]:
    found = [look for look in looks if look.drawing is not None and look.drawing.degenerate]
    if found:
        count = sum(look.drawing.degenerate for look in found if look.drawing is not None)
        yield finding(
            "polygons.degenerate",
            "warning",
            f"{plural(count, 'shape')} without an area (fewer than three corners) left out, "
            f"in {plural(len(found), 'picture')}.",
            [look.picture for look in found],
            hint="remove them, or draw them again",
        )


def _outside(looks: Sequence[ShapeLook]) -> Iterator[Finding]:
    counts = {
        look.picture: count
        for look in looks
        if look.drawing is not None
        and look.size is not None
        and (count := count_outside(look.drawing.regions, *look.size))
    }
    if counts:
        total = sum(counts.values())
        yield finding(
            "polygons.outside",
            "warning",
            f"{plural(total, 'point')} outside the picture, clipped to its edge, in "
            f"{plural(len(counts), 'picture')}.",
            list(counts),
            hint="check that shapes and pictures have the same scale",
        )
