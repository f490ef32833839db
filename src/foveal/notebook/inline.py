"""Show curves, layers, features and page stages in a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import FovealError, UsageError
from foveal.evaluate.history import training_section
from foveal.page import Stage
from foveal.render import colormap, contact_sheet, thumbnail
from foveal.render.markup import image_html, side_by_side, table_html
from foveal.types import Image
from foveal.words import table

_LAYERS = ("layer", "type", "output")
_COLUMNS = 8
_CELL_PX = 96
# Two pages fit beside each other; a strip of lines is still to be read.
_STAGE_PX = 420


class Trained(Protocol):
    """The part of `foveal.Model` that is rendered."""

    @property
    def run(self) -> Path | None: ...  # noqa: D102
    def layers(self) -> list[tuple[str, str, tuple[int, ...]]]: ...  # noqa: D102
    def features(self, picture: Any, layer: str) -> NDArray[np.float32]: ...  # noqa: D102


@final
@dataclass(frozen=True, repr=False)
class Inline:
    """HTML that a notebook renders, and text for a terminal.

    Attributes:
        html: The markup.
        text: What a terminal shows instead, as far as text can say it.
    """

    html: str
    text: str

    def __repr__(self) -> str:
        """Return the text."""
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def curves(model: Trained) -> Inline:
    """Show the learning curves of a model's run."""
    return Inline(history_html(model.run), "Learning curves are drawn in notebooks.")


def layers(model: Trained) -> Inline:
    """Show the layers of the trained network with their output shapes. Requires torch."""
    listed = model.layers()
    return Inline(layers_html(listed), table(_LAYERS, _layer_rows(listed)))


def features(model: Trained, picture: Any, layer: str, *, limit: int = 32) -> Inline:
    """Show the output of a layer for a picture: its most varied channels. Requires torch.

    Args:
        model: The model.
        picture: As for calling the model.
        layer: Name of a layer, as shown by `layers`.
        limit: Largest number of channels to show.

    Raises:
        UsageError: If the network has no such layer, or the layer has no maps.
    """
    maps = model.features(picture, layer)
    shape = " x ".join(str(side) for side in maps.shape)
    return Inline(
        features_html(maps, limit=limit),
        f"{layer}: {shape}. Its channels are drawn in notebooks.",
    )


def history_html(run: Path | None) -> str:
    """Return the losses and the validation metrics over the epochs, as two figures.

    Args:
        run: Run directory, `Model.run`, or None.
    """
    section = training_section(run / "results.csv") if run is not None else None
    if section is None:
        return "<p>No learning curves: the run of this model is not available.</p>"
    figures = (
        f"<div><strong>{escape(title)}</strong></div>{svg}" for title, svg in section.figures
    )
    return side_by_side(figures) + f"<p>{escape(section.note)}</p>"


def layers_html(layers: Sequence[tuple[str, str, tuple[int, ...]]]) -> str:
    """Return the result of `Model.layers()` as an HTML table.

    Args:
        layers: (name, type, output shape without the batch axis) each.
    """
    return table_html(_LAYERS, _layer_rows(layers))


def _layer_rows(layers: Sequence[tuple[str, str, tuple[int, ...]]]) -> list[tuple[str, str, str]]:
    return [(name, kind, " x ".join(str(side) for side in shape)) for name, kind, shape in layers]


def features_html(features: NDArray[np.float32], *, limit: int = 32) -> str:
    """Return the channels of a layer as a picture with a caption.

    Args:
        features: (C, H, W) from `Model.features(picture, layer)`.
        limit: Largest number of channels to show.

    Raises:
        UsageError: If the layer has no maps.
    """
    sheet = features_figure(features, limit=limit)
    words = f"{min(limit, len(features))} of {len(features)} channels, the most varied first"
    return image_html(sheet, alternative=words, width_px=sheet.shape[1]) + f"<p>{words}</p>"


def features_figure(features: NDArray[np.float32], *, limit: int = 32) -> Image:
    """Draw the channels of a layer with the largest variance, each on its own scale.

    Args:
        features: (C, H, W) from `Model.features(picture, layer)`.
        limit: Largest number of channels to draw.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UsageError: If the layer has no maps, only one number per channel.
    """
    if features.ndim != 3:
        raise UsageError(
            "Only layers with feature maps can be drawn. Expected features (C, H, W). Received: "
            f"{features.shape}.",
            hint="choose a layer of model.layers() whose output has three dimensions",
        )
    order = np.argsort(-features.std(axis=(1, 2)), kind="stable")[:limit]
    images = [colormap(_stretched(features[channel])) for channel in order]
    captions = [f"channel {channel}" for channel in order]
    return contact_sheet(images, captions, columns=min(_COLUMNS, len(images)), cell=_CELL_PX)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, span = values.min(), values.max() - values.min()
    if span <= 0:
        return np.zeros_like(values)
    scaled: NDArray[np.float32] = (values - low) / span
    return scaled


def stages_html(stages: Sequence[Stage]) -> str:
    """Return all stages in order, with their steps and findings.

    Args:
        stages: Result of `foveal.page.show_steps`.
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
    """Return an error message as HTML."""
    return f"<p>{escape(error.message)}</p>"
