"""An answer as a picture beside its confidence bars, and a model as a card."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from foveal.bundle import Bundle
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


def answer_html(prediction: Prediction, picture: Picture, overlay: Image) -> str:
    """Return the picture, the answer drawn on or below it, and how sure each part of it is."""
    pixels = original_pixels(picture)
    width = min(_PICTURE_PX, max(_LEAST_PX, pixels.shape[1]))
    # A text's alignment has a size of its own, at which its letters are to be read.
    own = width if overlay.shape == pixels.shape else min(_FIGURE_PX, overlay.shape[1])
    words = f"<p><strong>{escape(prediction.headline)}</strong></p>"
    if prediction.unsure:
        words += "<p>The model is unsure about this picture.</p>"
    return side_by_side(
        (
            image_html(pixels, alternative="the picture", width_px=width),
            image_html(overlay, alternative=f"why: {prediction.headline}", width_px=own),
            words + prediction.to_html(),
        )
    )


def model_html(bundle: Bundle) -> str:
    """Return what a model is and how good it was on its validation pictures."""
    manifest, pipeline = bundle.manifest, bundle.manifest.pipeline
    size = (
        f"{pipeline.height} px high, up to {pipeline.width} px wide"
        if pipeline.is_ragged
        else f"{pipeline.height} x {pipeline.width} px, {pipeline.fit}"
    )
    facts = (
        ("task", manifest.task),
        _labels(manifest.labels, is_alphabet=bundle.task.target_kind == "text"),
        ("backbone", manifest.backbone),
        ("input", size),
        ("version", bundle.version),
        ("bundle", str(bundle.path)),
    )
    metrics = [
        (
            name,
            _number(value.get("value")),
            f"{_number(value.get('low'))} to {_number(value.get('high'))}",
        )
        for name, value in manifest.metrics.items()
    ]
    return f"<strong>{escape(manifest.name)}</strong>" + side_by_side(
        (
            table_html(("", ""), facts),
            table_html(("validation", "value", "95 % interval"), metrics),
        )
    )


def _labels(labels: Sequence[str], *, is_alphabet: bool) -> tuple[str, str]:
    most, between = (60, "") if is_alphabet else (8, ", ")
    named = between.join(labels[:most])
    rest = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ("alphabet" if is_alphabet else "labels"), named + rest


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
