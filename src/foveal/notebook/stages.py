"""The stages of a page's pre-processing as a row of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from foveal.errors import FovealError
from foveal.notebook.markup import image_html, side_by_side
from foveal.page import Stage
from foveal.render import thumbnail

# Two pages fit beside each other; a strip of lines is still to be read.
_STAGE_PX = 420


def stages_html(stages: Sequence[Stage]) -> str:
    """Return every stage with its step and what it found, in order.

    Args:
        stages: Of `foveal.page.show_steps`.
    """
    parts = []
    for number, stage in enumerate(stages, 1):
        # Twice as sharp as it is shown: a screen may have two pixels for one.
        image = thumbnail(stage.image, 2 * _STAGE_PX)
        words = f"<strong>{number} {escape(stage.step)}</strong> {escape(stage.note)}<br>"
        width = min(_STAGE_PX, stage.image.shape[1])
        parts.append(words + image_html(image, alternative=stage.step, width_px=width))
    return side_by_side(parts)


def failed_html(error: FovealError) -> str:
    """Return the sentence that says why there is nothing to show."""
    return f"<p>{escape(error.message)}</p>"
