"""An answer as a picture beside its confidence bars, and a model as a card."""

from __future__ import annotations

from html import escape
from typing import Protocol

from foveal.bundle import Bundle
from foveal.notebook.markup import image_html, side_by_side, table_html
from foveal.render import original_pixels
from foveal.tasks.charts import bar_chart
from foveal.types import Image, JsonObject, Picture

# Side of a picture on the page: two and the bars fit beside each other.
_PICTURE_PX = 256
# Below this a small picture's heat map cannot be read.
_LEAST_PX = 128
# More bars than this are noise below the answer.
_BARS = 5


class AnswerLike(Protocol):
    """What is needed of `foveal.model.Answer`."""

    @property
    def record(self) -> JsonObject: ...  # noqa: D102
    @property
    def picture(self) -> Picture: ...  # noqa: D102
    @property
    def overlay(self) -> Image: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102


class ModelLike(Protocol):
    """What is needed of `foveal.model.Model`."""

    @property
    def bundle(self) -> Bundle: ...  # noqa: D102
    @property
    def metrics(self) -> JsonObject: ...  # noqa: D102


def answer_html(answer: AnswerLike) -> str:
    """Return the picture, the same with the answer drawn on it, and the confidence bars.

    Args:
        answer: Of any task; the bars are drawn where the record has `scores`.
    """
    picture = original_pixels(answer.picture)
    width = min(_PICTURE_PX, max(_LEAST_PX, picture.shape[1]))
    words = f"<strong>{escape(answer.text)}</strong>"
    if answer.record.get("unsure"):
        words += "<p>The model is unsure about this picture.</p>"
    scores: dict[str, float] = answer.record.get("scores", {})
    best = sorted(scores.items(), key=lambda item: -item[1])[:_BARS]
    if best:
        words += bar_chart([(n, p, f"{100 * p:.1f} %") for n, p in best], high=1.0)
    return side_by_side(
        (
            image_html(picture, alternative="the picture", width_px=width),
            image_html(answer.overlay, alternative=f"why: {answer.text}", width_px=width),
            words,
        )
    )


def model_html(model: ModelLike) -> str:
    """Return what a model is and how good it was on its validation pictures."""
    bundle, manifest = model.bundle, model.bundle.manifest
    pipeline = manifest.pipeline
    labels = manifest.labels
    named = ", ".join(labels[:8]) + (f" and {len(labels) - 8} more" if len(labels) > 8 else "")
    facts = (
        ("task", manifest.task),
        ("labels", named),
        ("backbone", manifest.backbone),
        ("input", f"{pipeline.height} x {pipeline.width} px, {pipeline.fit}"),
        ("version", bundle.version),
        ("bundle", str(bundle.path)),
    )
    metrics = [
        (
            name,
            _number(value.get("value")),
            f"{_number(value.get('low'))} to {_number(value.get('high'))}",
        )
        for name, value in model.metrics.items()
    ]
    return f"<strong>{escape(manifest.name)}</strong>" + side_by_side(
        (
            table_html(("", ""), facts),
            table_html(("validation", "value", "95 % interval"), metrics),
        )
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
