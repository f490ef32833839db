"""The layers of a network as a table, and what a layer makes of a picture as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveal.errors import UsageError
from foveal.notebook.markup import image_html, table_html
from foveal.render import colormap, contact_sheet
from foveal.types import Image

_COLUMNS = 8
_CELL_PX = 96


def layers_html(layers: Sequence[tuple[str, str, tuple[int, ...]]]) -> str:
    """Return the table of `Model.layers()`.

    Args:
        layers: (name, type, output shape without the batch axis) each.
    """
    rows = [(name, kind, " x ".join(str(side) for side in shape)) for name, kind, shape in layers]
    return table_html(("layer", "type", "output"), rows)


def features_html(features: NDArray[np.float32], *, limit: int = 32) -> str:
    """Return the channels of a layer as a picture, with how many of them are shown.

    Args:
        features: (C, H, W) of `Model.features(picture, layer)`.
        limit: Channels to show, at most.

    Raises:
        UsageError: When the layer has no maps.
    """
    sheet = features_figure(features, limit=limit)
    words = f"{min(limit, len(features))} of {len(features)} channels, the most varied first"
    return image_html(sheet, alternative=words, width_px=sheet.shape[1]) + f"<p>{words}</p>"


def features_figure(features: NDArray[np.float32], *, limit: int = 32) -> Image:
    """Draw the channels of a layer that vary most over the picture, each on its own scale.

    Args:
        features: (C, H, W) of `Model.features(picture, layer)`.
        limit: Channels to draw, at most.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UsageError: When the layer has no maps: its features are one number a channel.
    """
    if features.ndim != 3:
        raise UsageError(
            "Only layers with maps can be drawn. Expected features (C, H, W). "
            f"Received: {features.shape}.",
            hint="choose a layer of model.layers() whose output has three numbers",
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
