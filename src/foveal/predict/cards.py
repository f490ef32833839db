"""Render answers in notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from foveal.render import original_pixels
from foveal.render.markup import image_html, side_by_side, table_html
from foveal.tasks.prediction import Prediction
from foveal.types import Image, Picture

# Side of a picture on the page: two and the bars fit beside each other.
_PICTURE_PX = 256
# Below this a small picture's heat map cannot be read.
_LEAST_PX = 128
# Of a picture that explains by a size of its own.
_FIGURE_PX = 560
# Rows of a table of answers: more are looked at as a data frame.
MOST_ROWS = 20


def answer_html(prediction: Prediction, picture: Picture, overlay: Image) -> str:
    """Return the picture, the drawn answer, and the confidence of each part as HTML."""
    pixels = original_pixels(picture)
    width = min(_PICTURE_PX, max(_LEAST_PX, pixels.shape[1]))
    # A text's alignment has a size of its own, at which its letters are to be read.
    own = width if overlay.shape == pixels.shape else min(_FIGURE_PX, overlay.shape[1])
    words = f"<p><strong>{escape(prediction.headline)}</strong></p>"
    if prediction.unsure:
        words += "<p>The model is unsure about this picture.</p>"
    if "unfamiliar" in prediction.reasons:
        words += "<p>It is unlike the training pictures.</p>"
    return side_by_side(
        (
            image_html(pixels, alternative="the picture", width_px=width),
            image_html(overlay, alternative=f"why: {prediction.headline}", width_px=own),
            words + prediction.to_html(),
        )
    )


def answers_html(rows: Sequence[tuple[str, str]], total: int) -> str:
    """Return a table of the first answers as HTML.

    Args:
        rows: (source, answer) of the first `MOST_ROWS` answers.
        total: Number of all answers.
    """
    more = total - len(rows)
    rest = f"<p>and {more:,} more; answers[i] shows one, with its picture</p>" if more else ""
    return table_html(("picture", "answer"), rows) + rest
