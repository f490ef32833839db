"""What a person writes in a cell: curves, layers and features of a model, shown inline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from foveal.notebook.history import history_html
from foveal.notebook.network import features_html, layers_html


class Trained(Protocol):
    """What is shown of a `foveal.Model`, which renders itself with this package."""

    @property
    def run(self) -> Path | None: ...  # noqa: D102
    def layers(self) -> list[tuple[str, str, tuple[int, ...]]]: ...  # noqa: D102
    def features(self, picture: Any, layer: str) -> NDArray[np.float32]: ...  # noqa: D102


@final
@dataclass(frozen=True)
class Inline:
    """HTML that renders as the value of a cell.

    Attributes:
        html: The markup.
    """

    html: str

    def _repr_html_(self) -> str:
        return self.html


def curves(model: Trained) -> Inline:
    """Show the training curves of a model's run."""
    return Inline(history_html(model.run))


def layers(model: Trained) -> Inline:
    """Show the layers of the trained network with the shapes of what they give. Needs torch."""
    return Inline(layers_html(model.layers()))


def features(model: Trained, picture: Any, layer: str, *, limit: int = 32) -> Inline:
    """Show what a layer makes of a picture: its most varied channels. Needs torch.

    Args:
        model: The model.
        picture: As for calling the model.
        layer: A name that `layers` shows.
        limit: Channels to show, at most.

    Raises:
        UsageError: For a layer that the network does not have, or that has no maps.
    """
    return Inline(features_html(model.features(picture, layer), limit=limit))
