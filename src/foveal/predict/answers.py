"""The answers to several pictures: a sequence without pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, final, overload

import numpy as np
from numpy.typing import NDArray

from foveal.data.findings import plural
from foveal.errors import UsageError
from foveal.extras import import_extra
from foveal.foreign import missing_attribute
from foveal.predict.answer import Answer
from foveal.types import JsonObject

_NAMED = 3


@final
class Answers(Sequence[Answer]):
    """The answers to several pictures, in order.

    Memory use does not depend on the size of the pictures: an answer keeps its record, and reads
    its picture again when it is drawn. Pictures that were passed in memory stay in memory.

    Args:
        answers: One for each picture.

    Example:
        >>> answers = model(["a.jpg", "b.jpg"])  # doctest: +SKIP
        >>> len(answers), answers[0].label  # doctest: +SKIP
        (2, 'cat')
        >>> answers.to_pandas()  # doctest: +SKIP
    """

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = tuple(answer.light() for answer in answers)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._answers)

    @overload
    def __getitem__(self, key: int) -> Answer: ...
    @overload
    def __getitem__(self, key: slice) -> Answers: ...
    def __getitem__(self, key: int | slice) -> Answer | Answers:
        """Return one answer, or the answers of a slice."""
        chosen = self._answers[key]
        return Answers(chosen) if isinstance(chosen, tuple) else chosen

    def __iter__(self) -> Iterator[Answer]:
        """Iterate over the answers."""
        return iter(self._answers)

    @property
    def failed(self) -> Answers:
        """The answers that have an `error`."""
        return Answers(answer for answer in self if answer.error is not None)

    @property
    def probs(self) -> NDArray[np.float32]:
        """(N, C) float32, in the order of `model.labels`.

        Raises:
            ImageError: If one of the pictures has no answer.
        """
        return np.array([np.asarray(answer.probs) for answer in self], np.float32)

    @property
    def records(self) -> list[JsonObject]:
        """The answers as JSON values."""
        return [answer.record for answer in self]

    def to_pandas(self) -> Any:
        """Return a data frame with a row for each picture.

        The columns are `source`, `answer`, `confidence`, `unsure`, `error`, and for classes one
        column `score:<class>` each.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        pandas = import_extra("pandas", "pandas", "A data frame needs pandas")
        columns = ("source", "answer", "confidence", "unsure", "error")
        rows = [_row(answer) for answer in self]
        names = dict.fromkeys([*columns, *(name for row in rows for name in sorted(row))])
        return pandas.DataFrame(rows, columns=list(names))

    def save(self, folder: str | Path) -> list[Path]:
        """Write each picture with its answer to a folder, as `<number>_<stem>.jpg`.

        Raises:
            UsageError: If the folder cannot be written to.
        """
        return [
            answer.save(Path(folder) / f"{i:05}_{Path(answer.source).stem}.jpg")
            for i, answer in enumerate(self)
            if answer.error is None
        ]

    def plot(self, limit: int = 12) -> Any:
        """Draw the first pictures with their answers on one sheet.

        Args:
            limit: Largest number of pictures.

        Returns:
            A Pillow image, which a notebook shows.
        """
        from PIL import Image as PILImage

        from foveal.render import contact_sheet

        shown = list(islice((answer for answer in self if answer.error is None), limit))
        if not shown:
            raise UsageError("There is no answer to draw.")
        sheet = contact_sheet(
            [answer.overlay for answer in shown],
            [str(answer) for answer in shown],
            columns=min(4, len(shown)),
            cell=192,
        )
        return PILImage.fromarray(sheet)

    def __repr__(self) -> str:
        """Return the number of answers and the most frequent ones, in one line."""
        counts = Counter(answer.text or "nothing" for answer in self if answer.error is None)
        said = [f"{text} {count}" for text, count in counts.most_common(_NAMED)]
        said += [f"{len(counts) - _NAMED} other"] * (len(counts) > _NAMED)
        errors = len(self) - counts.total()
        said += [f"{errors} could not be read"] * bool(errors)
        pictures = plural(len(self), "picture")
        return f"Answers({pictures}: {', '.join(said)})" if said else f"Answers({pictures})"

    def __getattr__(self, name: str) -> Any:
        """Raise an AttributeError that says how to get an attribute of each answer."""
        raise missing_attribute("answers", "sequence of answers", name, dir(type(self)))

    def _repr_html_(self) -> str:
        from foveal.predict.cards import MOST_ROWS, answers_html

        rows = [(answer.source, str(answer)) for answer in self[:MOST_ROWS]]
        return answers_html(rows, len(self))


def _row(answer: Answer) -> JsonObject:
    if answer.error is not None:
        return {"source": answer.source, "error": answer.error.message}
    return {
        "source": answer.source,
        "answer": answer.text,
        "confidence": answer.confidence,
        "unsure": answer.unsure,
        **{f"score:{name}": score for name, score in answer.scores.items()},
    }
