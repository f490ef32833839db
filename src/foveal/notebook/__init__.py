"""Rendering of answers, models, curves, layers and features in notebooks, and magics.

from foveal import notebook
notebook.curves(model)
notebook.features(model, "cat.jpg", "backbone.stem.0")
"""

from __future__ import annotations

from typing import Any

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
    "load_ipython_extension",
    "model_html",
    "unload_ipython_extension",
]


_LOADED: dict[int, Any] = {}


def load_ipython_extension(shell: Any) -> None:
    """Register the magics: `%load_ext foveal.notebook`."""
    # Imported late: IPython is there when it calls this.
    from foveal.notebook.magics import NotebookMagics

    magics = _LOADED[id(shell)] = NotebookMagics(shell)
    magics.register()


def unload_ipython_extension(shell: Any) -> None:
    """Unregister the magics, and drop the collected cells: `%unload_ext foveal.notebook`."""
    _LOADED.pop(id(shell)).unregister()
