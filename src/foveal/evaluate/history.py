"""Training curves from a run's `results.csv`."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from foveal.render.charts import Axis, Series, curve_chart
from foveal.tasks.base import ReportSection

# More lines in one figure cannot be told apart.
_LINES = 4


def training_section(results: Path) -> ReportSection | None:
    """Return the section with the losses and the validation metrics over the epochs.

    Args:
        results: `results.csv`: losses are called `train_…`, metrics `val_…`.

    Returns:
        None when there is no file or not one epoch in it.
    """
    if not results.is_file():
        return None
    with results.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return None
    epochs = [float(row["epoch"]) for row in rows]
    names = list(rows[0])
    losses = [n for n in names if n.startswith("train_") or n == "val_loss"]
    # Errors, smaller is better, would squeeze the scale of the others.
    shares = [n for n in names if n.startswith("val_") and n not in ("val_loss", "val_ece")]
    across = Axis("epoch", min(1.0, epochs[0]), max(epochs[-1], 2.0), percent=False, whole=True)
    figures = []
    for title, columns, percent in (("Loss", losses, False), ("Validation", shares, True)):
        series = [_series(rows, epochs, name) for name in columns[:_LINES]]
        values = [value for one in series for _, value in one.points if math.isfinite(value)]
        if not values:
            continue
        low = 0.0 if not percent else max(0.0, math.floor(10 * min(values)) / 10)
        high = max(values) * 1.05 if not percent else 1.0
        axis = Axis("", low, high or 1.0, percent=percent)
        figures.append((title, curve_chart(series, across, axis)))
    best = [row["epoch"] for row in rows if row.get("best") == "1"]
    kept = f" The weights of epoch {best[-1]} were kept." if best else ""
    seconds = sum(float(row.get("seconds") or 0) for row in rows)
    took = f" It took {seconds:.0f} s." if seconds else ""
    return ReportSection(
        title="Training",
        note=f"{len(rows)} epochs.{kept}{took}",
        figures=tuple(figures),
    )


def _series(rows: list[dict[str, str]], epochs: list[float], name: str) -> Series:
    points = [
        (epoch, float(row[name])) for epoch, row in zip(epochs, rows, strict=True) if row[name]
    ]
    return Series(name.replace("_", " ", 1), points)
