"""Training curves inline."""

from __future__ import annotations

from html import escape
from pathlib import Path

from foveal.evaluate.history import training_section
from foveal.notebook.markup import side_by_side


def history_html(run: Path | None) -> str:
    """Return the losses and the validation metrics over the epochs, as two figures.

    Args:
        run: The run directory, `Model.run`; None says that there is none.
    """
    section = training_section(run / "results.csv") if run is not None else None
    if section is None:
        return "<p>There are no curves: the run of this model is not at hand.</p>"
    figures = (
        f"<div><strong>{escape(title)}</strong></div>{svg}" for title, svg in section.figures
    )
    return side_by_side(figures) + f"<p>{escape(section.note)}</p>"
