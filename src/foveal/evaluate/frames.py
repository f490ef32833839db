"""Data frames, mistakes and the confusion plot of an evaluation."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple, final

import numpy as np

from foveal import metrics
from foveal.errors import UsageError
from foveal.evaluate.results import Results
from foveal.evaluate.table import target_text
from foveal.extras import import_extra
from foveal.render.markup import table_html

# Rows of a table in a notebook: more are looked at as a data frame.
_ROWS = 20


@final
class Mistake(NamedTuple):
    """A picture that was answered wrongly.

    Attributes:
        image: The sample's id: its path inside the data.
        target: What is right.
        answer: What the model said.
        confidence: How sure it was, in [0, 1].
        unsure: Whether it said that it is unsure.
    """

    image: str
    target: str
    answer: str
    confidence: float
    unsure: bool


@final
class Mistakes(tuple[Mistake, ...]):
    """The wrong answers, the surest first."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return one line: how many, and the first."""
        first = f": {self[0].image} is {self[0].target!r}, not {self[0].answer!r}" if self else ""
        return f"Mistakes({len(self)}{first}{', …' if len(self) > 1 else ''})"

    def to_pandas(self) -> Any:
        """Return a data frame with a row for each mistake.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        return _pandas().DataFrame(list(self), columns=Mistake._fields)

    def _repr_html_(self) -> str:
        if not self:
            return "<p>There are no mistakes.</p>"
        rows = [(m.image, m.target, m.answer, f"{100 * m.confidence:.1f} %") for m in self[:_ROWS]]
        more = len(self) - len(rows)
        return table_html(("picture", "target", "answer", "confidence"), rows) + (
            f"<p>{escape(f'and {more:,} more: mistakes.to_pandas()')}</p>" if more else ""
        )


def mistakes_of(results: Results) -> Mistakes:
    """Return the wrong answers of an evaluation, the surest first."""
    measured = results.measured
    wrong = np.flatnonzero(~results.correct)
    order = wrong[np.argsort(-results.confidence[wrong], kind="stable")]
    return Mistakes(
        Mistake(
            measured.samples[i].id,
            target_text(measured.samples[i]),
            measured.predictions[i].text,
            float(results.confidence[i]),
            bool(results.unsure[i]),
        )
        for i in order
    )


def answers_frame(results: Results) -> Any:
    """Return a data frame with a row for each picture: what `predictions.csv` says."""
    measured = results.measured
    rows = [
        {
            "image": sample.id,
            "target": target_text(sample),
            "prediction": prediction.text,
            "confidence": float(results.confidence[i]),
            "unsure": bool(results.unsure[i]),
            "correct": bool(results.correct[i]),
            **{f"score:{name}": score for name, score in prediction.scores.items()},
        }
        for i, (sample, prediction) in enumerate(
            zip(measured.samples, measured.predictions, strict=True)
        )
    ]
    labels = results.task.labels.names if measured.predictions[0].scores else ()
    scores = [f"score:{name}" for name in labels]
    named = [name for name in rows[0] if not name.startswith("score:")]
    return _pandas().DataFrame(rows, columns=[*named, *scores])


def confusion_frame(results: Results) -> Any:
    """Return counts as a data frame: a row for each true class, a column for each answer.

    Of masks, pixels are counted.

    Raises:
        UsageError: If the task has no classes to confuse.
    """
    labels, counts = _confusion(results)
    pandas = _pandas()
    return pandas.DataFrame(
        counts,
        index=pandas.Index(labels, name="target"),
        columns=pandas.Index(labels, name="answer"),
    )


def plot_confusion(results: Results, ax: Any = None) -> Any:
    """Draw the confusion with matplotlib, and return the axes."""
    labels, counts = _confusion(results)
    pyplot = import_extra("matplotlib.pyplot", "train", "A figure needs matplotlib")
    ax = pyplot.subplots()[1] if ax is None else ax
    table = np.asarray(counts, np.float64)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(table > 0):
        shade = "white" if shares[row, column] > 0.5 else "black"
        text = f"{int(table[row, column]):,}"
        ax.text(column, row, text, ha="center", va="center", color=shade)
    ax.set_xticks(range(len(labels)), labels, rotation=90)
    ax.set_yticks(range(len(labels)), labels)
    ax.set(xlabel="answer", ylabel="target", title=results.manifest.name)
    return ax


def _confusion(results: Results) -> tuple[list[str], Any]:
    labels = list(results.task.labels.names)
    measured = results.measured
    pairs = [
        (target_text(sample), prediction.text)
        for sample, prediction in zip(measured.samples, measured.predictions, strict=True)
    ]
    if measured.predictions[0].scores and all({*pair} <= {*labels} for pair in pairs):
        position = {name: i for i, name in enumerate(labels)}
        targets, answers = np.array([[position[name] for name in pair] for pair in pairs]).T
        return labels, metrics.confusion(targets, answers, len(labels))
    stored = results.details.get("confusion")
    if stored is None:
        raise UsageError(
            f"The task {results.task.name} has no confusion matrix, since its answers are not "
            "single classes.",
            hint="evaluation.mistakes, evaluation.to_pandas()",
        )
    return stored["labels"], stored["counts"]


def _pandas() -> Any:
    return import_extra("pandas", "pandas", "A data frame needs pandas")
