"""What a person writes in a cell: curves, layers and features of a model, shown inline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from foveal.notebook.history import history_html
from foveal.notebook.network import features_html, layers_html

if TYPE_CHECKING:
    from foveal.model import Model, PictureLike


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


def curves(model: Model) -> Inline:
    """Show the training curves of a model's run."""
    return Inline(history_html(model.run))


def layers(model: Model) -> Inline:
    """Show the layers of the trained network with the shapes of what they give. Needs torch."""
    return Inline(layers_html(model.layers()))


def features(model: Model, picture: PictureLike, layer: str, *, limit: int = 32) -> Inline:
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
