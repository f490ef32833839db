"""The trials of a study as rows: for `trials.csv`, the terminal and the report."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from foveal.tune.journal import Journal, is_default
from foveal.tune.space import Space, Value
from foveal.types import JsonObject

STATES = {
    "COMPLETE": "trained",
    "PRUNED": "given up",
    "FAIL": "failed",
    "RUNNING": "unfinished",
}


@final
@dataclass(frozen=True)
class Row:
    """A trial.

    Attributes:
        number: From 0, the default recipe.
        state: `trained`, `given up`, `failed` or `unfinished`.
        value: The best value of the primary metric on validation; None before there was one.
        epoch: Epochs that were trained.
        epochs: Epochs of the whole training.
        seconds: How long it took.
        values: What it tried.
        note: Why it was given up or failed, where that is not its value.
        rungs: Rung → value at its end.
    """

    number: int
    state: str
    value: float | None
    epoch: int
    epochs: int
    seconds: float
    values: Mapping[str, Value]
    note: str
    rungs: Mapping[int, float]

    @property
    def is_default(self) -> bool:
        """Whether it is the default recipe."""
        return self.number == 0

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "trial": self.number,
            "state": self.state,
            "value": self.value,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "values": dict(self.values),
            "note": self.note,
        }


def rows_of(journal: Journal, space: Space) -> list[Row]:
    """Return all trials, by number."""
    return [_row(trial, space) for trial in journal.trials()]


def _row(trial: Any, space: Space) -> Row:
    about, rungs = trial.user_attrs, trial.intermediate_values
    same = about.get("same_as")
    return Row(
        number=trial.number,
        state=STATES[trial.state.name],
        value=max(rungs.values(), default=None),
        epoch=about.get("epoch", 0),
        epochs=about.get("epochs", 0),
        seconds=about.get("seconds", 0.0),
        values=space.default if is_default(trial) else trial.params,
        note=about.get("why", "") if same is None else f"the same recipe as trial {same}",
        rungs=rungs,
    )


def trials_csv(rows: Sequence[Row], space: Space) -> str:
    """Return the trials as CSV, a column for each setting that is searched."""
    keys = [dimension.key for dimension in space]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "value", "epoch", "epochs", "seconds", *keys, "note"])
    for row in rows:
        value = "" if row.value is None else f"{row.value:.6f}"
        tried = [row.values.get(key, "") for key in keys]
        writer.writerow(
            [row.number, row.state, value, row.epoch, row.epochs, row.seconds, *tried, row.note]
        )
    return text.getvalue()
