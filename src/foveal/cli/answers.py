"""Print answers: as a table, as CSV, or as JSON."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from foveal.cli.output import complain, write, write_json
from foveal.words import about_picture, table

if TYPE_CHECKING:
    from foveal.predict.answer import Answer

# Rows of the table that are laid out together: wide enough columns, and soon on the screen.
_ROWS_TOGETHER = 256
_SHOWN_SCORES = 5
_BAR_WIDTH = 24
# Stands for the empty text of an answer that says nothing.
_NONE = "(none)"
_CSV_COLUMNS = (
    *("source", "answer", "confidence", "unsure", "reasons", "unfamiliarity"),
    *("error", "model", "version", "ms"),
)


class CountedAnswers:
    """Passes answers on, counts them, and prints the failed ones and each new hint on stderr."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = answers
        self.total = 0
        self.failed = 0
        self._hints: set[str | None] = set()

    def __iter__(self) -> Iterator[Answer]:
        """Yield the answers."""
        for answer in self._answers:
            self.total += 1
            if answer.error is not None:
                self.failed += 1
                hint = answer.error.hint
                complain(
                    about_picture(answer.source, answer.error.message),
                    None if hint in self._hints else hint,
                )
                self._hints.add(hint)
            yield answer


def write_records(answers: Iterable[Answer]) -> None:
    """Print the record of each answer as a line of JSON, as soon as it is there."""
    for answer in answers:
        write_json(answer.record)
        sys.stdout.flush()


def write_csv(answers: Iterable[Answer], labels: Sequence[str]) -> None:
    """Print answers as CSV, with a column for the score of each label."""
    columns = (*_CSV_COLUMNS, *(f"score:{label}" for label in labels))
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for answer in answers:
        if answer.error is not None:
            values = {"error": answer.error.message}
        else:
            values = {"answer": answer.text or _NONE}
            scores = answer.record.get("scores", {})
            values |= {f"score:{label}": share for label, share in scores.items()}
            values["reasons"] = "|".join(answer.record.get("reasons", ()))
        writer.writerow({**answer.record, **values})


def write_table(answers: Iterable[Answer]) -> None:
    """Print answers as a table, a screenful at a time; the scores of one that is alone below it."""
    iterator = iter(answers)
    while chunk := list(islice(iterator, _ROWS_TOGETHER)):
        good = [(a.prediction, a.source) for a in chunk if a.error is None]
        if not good:
            continue
        rows = [
            (
                prediction.text or _NONE,
                f"{100 * prediction.confidence:.1f} %",
                prediction.doubt,
                source,
            )
            for prediction, source in good
        ]
        write(table(("answer", "confidence", "", "picture"), rows))
        if len(chunk) == 1 and good[0][0].scores:
            _write_scores(good[0][0].scores)


def _write_scores(scores: Mapping[str, float]) -> None:
    write("")
    best = list(scores.items())[:_SHOWN_SCORES]
    width = max(len(name) for name, _ in best)
    for name, share in best:
        write(f"{name:<{width}}  {100 * share:5.1f} %  {'█' * round(share * _BAR_WIDTH)}".rstrip())
