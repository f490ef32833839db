"""Show corrections with their pictures: as a page of its own, and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from foveal.curation.corrections import Correction
from foveal.data.decode import DEFAULT_LIMITS, decode
from foveal.errors import FovealError
from foveal.render import thumbnail
from foveal.render.markup import image_html, side_by_side
from foveal.words import percent

_SIDE_PX = 192
# A page of more would be slow to open, and nobody looks at more at once.
MOST = 120


def really(one: Correction) -> str:
    """Return what was said of an answer, or decided: the label, or whether a mask is right."""
    said = one.feedback.said
    if said.target == "mask":
        words = {True: "right", False: "not right", None: "?"}[said.right]
    elif one.label is None:
        words = "?" if said.right is None else "something else"
    elif set(one.label) == set(said.answer):
        words = "the same"
    else:
        words = "|".join(one.label) or "none of the classes"
    return f"{words} (others disagree)" if one.contradicted else words


def corrections_html(folder: Path, corrections: Iterable[Correction]) -> str:
    """Return the first corrections as HTML, each with its picture; near-duplicates once.

    Args:
        folder: Where they are.
        corrections: In their order.
    """
    shown: set[int] = set()
    figures: list[str] = []
    for one in corrections:
        if one.id in shown or len(figures) == MOST:
            continue
        shown |= {one.id, *one.like}
        figures.append(_figure(folder, one))
    return side_by_side(figures)


def _figure(folder: Path, one: Correction) -> str:
    said = one.feedback.said
    answer = "|".join(said.answer) or "-"
    lines = [
        f"<b>{one.id}</b> {one.state}",
        f"answer: {escape(answer)}, {percent(said.confidence)}",
        f"really: {escape(really(one))}",
    ]
    if said.note:
        lines.append(f"note: {escape(said.note)}")
    if one.like:
        lines.append(f"like it: {', '.join(map(str, one.like))}")
    picture = _picture(folder / one.feedback.image, f"correction {one.id}: {answer}")
    return f"<figure>{picture}<figcaption>{'<br>'.join(lines)}</figcaption></figure>"


def _picture(path: Path, alternative: str) -> str:
    try:
        pixels = decode(path.read_bytes(), DEFAULT_LIMITS, min_size=(_SIDE_PX, _SIDE_PX)).pixels
    except (OSError, FovealError):
        return "<p>The picture cannot be read.</p>"
    return image_html(thumbnail(pixels, _SIDE_PX), alternative=alternative, width_px=_SIDE_PX)
