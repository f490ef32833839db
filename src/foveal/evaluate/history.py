"""Training curves from a run's `results.csv`, of one run or of several over each other."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from foveal.data.findings import plural
from foveal.errors import DataError
from foveal.render.charts import Axis, Series, curve_chart
from foveal.tasks.base import ReportSection

# More lines in one figure cannot be told apart.
_LINES, _RUNS = 4, 5
# Three figures beside each other on a wide page.
_NARROW_PX = 344

History: TypeAlias = Sequence[dict[str, str]]
"""The rows of a `results.csv`: losses are called `train_…`, metrics `val_…`."""


def read_history(results: Path) -> History:
    """Return the rows of a run's `results.csv`; none where there is no such file.

    Raises:
        DataError: If the file is no table of epochs.
    """
    if not results.is_file():
        return ()
    try:
        with results.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            for name in row:
                if name.startswith(("train_", "val_")):
                    float(row[name] or "nan")
            float(row["epoch"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        raise DataError(f"Cannot read {results}: {error!r}") from error
    return rows


def history_figures(
    histories: Sequence[tuple[str, History]], columns: Sequence[tuple[str, str, bool]]
) -> tuple[tuple[str, str], ...]:
    """Return one figure for each column, with a line for each run.

    Args:
        histories: (name of the run, its rows); runs without rows, and all after the first five,
            are left out.
        columns: (column, title, whether its values are shares).

    Returns:
        (title, SVG); a column that no run has is left out.
    """
    known = [(name, rows) for name, rows in histories if rows][:_RUNS]
    figures = []
    for column, title, percent in columns:
        drawn = [Series(name, _points(rows, column)) for name, rows in known if column in rows[0]]
        if any(one.points for one in drawn):
            figures.append((title, _figure(drawn, percent=percent, width=_NARROW_PX)))
    return tuple(figures)


def training_section(results: Path) -> ReportSection | None:
    """Return the section with the losses and the validation metrics over the epochs.

    Args:
        results: `results.csv` of a run.

    Returns:
        None when there is no file or not one epoch in it.
    """
    rows = read_history(results)
    if not rows:
        return None
    names = list(rows[0])
    losses = [n for n in names if n.startswith("train_") or n == "val_loss"]
    # Errors, smaller is better, would squeeze the scale of the others.
    shares = [n for n in names if n.startswith("val_") and n not in ("val_loss", "val_ece")]
    figures = []
    for title, columns, percent in (("Loss", losses, False), ("Validation", shares, True)):
        drawn = [Series(n.replace("_", " ", 1), _points(rows, n)) for n in columns[:_LINES]]
        if any(one.points for one in drawn):
            figures.append((title, _figure(drawn, percent=percent)))
    best = [row["epoch"] for row in rows if row.get("best") == "1"]
    # In words that hold while the training runs as well as afterwards.
    kept = f" The weights of epoch {best[-1]} are kept." if best else ""
    seconds = sum(float(row.get("seconds") or 0) for row in rows)
    took = f" in {seconds:.0f} s" if seconds else ""
    return ReportSection(
        title="Training",
        note=f"{plural(len(rows), 'epoch')}{took}.{kept}",
        figures=tuple(figures),
    )


def _points(rows: History, name: str) -> list[tuple[float, float]]:
    points = [(float(row["epoch"]), float(row[name])) for row in rows if row[name]]
    return [point for point in points if math.isfinite(point[1])]


def _figure(series: Sequence[Series], *, percent: bool, width: int = 440) -> str:
    epochs = [epoch for one in series for epoch, _ in one.points]
    values = [value for one in series for _, value in one.points]
    across = Axis("epoch", min(1.0, *epochs), max(2.0, *epochs), percent=False, whole=True)
    low = max(0.0, math.floor(10 * min(values)) / 10) if percent else 0.0
    high = 1.0 if percent else max(values) * 1.05
    return curve_chart(series, across, Axis("", low, high or 1.0, percent=percent), width=width)
