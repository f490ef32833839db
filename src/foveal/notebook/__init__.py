"""How answers, models, curves, layers and features render inline in a notebook.

from foveal import notebook
notebook.curves(model)
notebook.features(model, "cat.jpg", "backbone.stem.0")
"""

from foveal.notebook.cards import model_html
from foveal.notebook.inline import (
    Inline,
    curves,
    features,
    features_figure,
    features_html,
    history_html,
    layers,
    layers_html,
)

__all__ = [
    "Inline",
    "curves",
    "features",
    "features_figure",
    "features_html",
    "history_html",
    "layers",
    "layers_html",
    "model_html",
]
