"""The text of one picture: each character with its place, and the value of an expression."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import TargetError
from foveal.pipeline import resample_to_original
from foveal.tasks.prediction import Prediction, joint_doubts
from foveal.tasks.read.characters import Alignment, Character, confidence_color
from foveal.types import Frame, Image, JsonObject, Labels, Picture

# Of the highest attention: what lies above it is where a position looked.
_HALF = 0.5
_LEAST = 1e-9
_SHOWN_CHARACTERS = 60


@final
@dataclass(frozen=True, eq=False, repr=False)
class Reading(Prediction):
    """The text of one picture; the confidence is the probability of the whole text.

    It is unsure if the confidence is below the limit of the bundle, or the text violates the
    constraint of the bundle.

    Attributes:
        characters: Characters in reading order.
        value: Exact value of an expression, such as `12` or `3/4`, or None.
        value_error: Why an expression has no value; None for texts that are not expressions.
        log_probabilities: (T, K) float32 of each class in each column (or position); class 0 is the
            blank, class i + 1 the i-th character of the alphabet.
        attention: (positions, columns) float32 attention of the classifier of each position; None
            for a reader without such classifiers.
        spans: Columns (or position) of each character, as [first, end).
        frame: Position of the picture in the model input.
        alphabet: The K - 1 characters that can be read.
    """

    characters: tuple[Character, ...]
    value: str | None
    value_error: str | None
    log_probabilities: NDArray[np.float32]
    attention: NDArray[np.float32] | None
    spans: tuple[tuple[int, int], ...]
    frame: Frame
    alphabet: Labels

    def __eq__(self, other: object) -> bool:
        """Compare the texts."""
        return isinstance(other, Reading) and self.text == other.text

    def __hash__(self) -> int:
        """Hash the text."""
        return hash(self.text)

    @property
    def text(self) -> str:
        """The text; may be empty."""
        return "".join(character.char for character in self.characters)

    @property
    def summary(self) -> str:
        """The text with its confidence, such as `AB3K 98.1 %` or `3+4 = 7 98.1 %`."""
        text = self.text or "nothing"
        if self.value is not None:
            text = f"{text} = {self.value}"
        elif self.value_error is not None:
            text = f"{text} ({self.value_error})"
        return f"{text} {100 * self.confidence:.1f} %"

    @property
    def scores(self) -> dict[str, float]:
        """Empty: a text is not a single label."""
        return {}

    @property
    def main_label(self) -> str | None:
        """The character with the lowest confidence."""
        return min(self.characters, key=lambda c: c.confidence).char if self.characters else None

    def says(self, text: str) -> bool:
        """Return whether this is the whole text."""
        return text == self.text

    def support(self, label: str) -> float:
        """Return the largest probability of a character in any column."""
        columns = np.exp(self.log_probabilities[:, 1 + character_index(self.alphabet, label)])
        return float(columns.max(initial=0.0))

    def heat(self, label: str | None = None) -> NDArray[np.float32]:
        """Return the evidence for a character at each pixel.

        This is the attention of the classifiers that predicted the character if each position has a
        classifier, or else the probability of the character in each column.
        """
        shown = self.main_label if label is None else label
        if shown is None:
            raise TargetError("Nothing was read in the picture, so there is nothing to explain.")
        columns = np.exp(self.log_probabilities[:, 1 + character_index(self.alphabet, shown)])
        if self.attention is not None:
            columns = columns @ self.attention
        whole = resample_to_original(columns[None].astype(np.float32), self.frame)
        peak = float(whole.max(initial=0.0))
        return whole / np.float32(peak) if peak > 0 else whole

    def draw(self, picture: Picture) -> Image:
        """Return the picture above the alignment of columns and characters."""
        # Imported late: drawing costs a tenth of the start of `foveal predict`, which needs none.
        from foveal.tasks.read.draw import draw_alignment

        return draw_alignment(picture, self.alignment())

    def to_json(self) -> JsonObject:
        """Return text, confidence, unsure and the characters; for expressions the value too."""
        answer: JsonObject = {
            "text": self.text,
            "confidence": round(self.confidence, 6),
            "unsure": self.unsure,
            "characters": [
                {
                    "char": character.char,
                    "confidence": round(character.confidence, 6),
                    "x0": round(character.x0, 1),
                    "x1": round(character.x1, 1),
                }
                for character in self.characters
            ],
        }
        if self.value is not None or self.value_error is not None:
            answer["value"] = self.value
            if self.value_error is not None:
                answer["value_error"] = self.value_error
        return answer

    def to_html(self) -> str:
        """Return each character above its confidence."""
        return (
            '<div style="display:flex;flex-wrap:wrap;gap:4px;margin-top:8px">'
            + "".join(_tile(character) for character in self.characters)
            + "</div>"
        )

    def without_maps(self) -> Reading:
        """Drop the probabilities of the columns."""
        return replace(self, log_probabilities=self.log_probabilities[:0].copy(), attention=None)

    def alignment(self) -> Alignment:
        """Return the columns of each character; for a position, those that it attended to."""
        said, spans, attention = self.log_probabilities, self.spans, self.attention
        if attention is not None:
            peaks = attention.max(axis=1, keepdims=True)
            looked = attention / np.maximum(peaks, _LEAST)
            # (positions, columns, classes) → the position that looked there most speaks for a
            # column.
            shown = (looked[:, :, None] * np.exp(said)[:, None, :]).max(axis=0)
            shown[:, 0] = np.maximum(shown[:, 0], 1.0 - looked.max(axis=0))
            spans = tuple(_around_peak(looked[first]) for first, _ in self.spans)
            shares = np.log(np.maximum(shown / shown.sum(axis=1, keepdims=True), _LEAST))
            said = shares.astype(np.float32)
        return Alignment(self.characters, spans, said, self.frame, self.alphabet.names)


def character_index(alphabet: Labels, character: str) -> int:
    """Return the position of a character in the alphabet.

    Raises:
        TargetError: If it is not in the alphabet.
    """
    index = alphabet.index(character)
    if index is None:
        shown = "".join(alphabet.names[:_SHOWN_CHARACTERS])
        code = f" (U+{ord(character):04X})" if len(character) == 1 else ""
        raise TargetError(
            f"The character {character!r}{code} is not in the alphabet. "
            f"Expected only characters of {shown!r}."
        )
    return index


def _tile(character: Character) -> str:
    confidence = character.confidence
    # Never claims a certainty that the number does not have.
    share = "&gt; 99.9 %" if 0.999 < confidence < 1 else f"{100 * confidence:.1f} %"
    red, green, blue = confidence_color(confidence)
    # A space would not be seen.
    shown = escape(character.char if character.char.strip() else "␣")
    return (
        f'<span title="{escape(character.char)}: {share}" style="text-align:center;'
        "min-width:44px;padding:4px 2px 2px;border-radius:6px;background:#8881;"
        f'border-bottom:4px solid #{red:02x}{green:02x}{blue:02x}">'
        f'<span style="display:block;font:600 22px/1.2 monospace">{shown}</span>'
        f'<span style="font-size:11px;opacity:.75">{share}</span></span>'
    )


def _around_peak(looked: NDArray[np.float32]) -> tuple[int, int]:
    """Return the columns, [first, end), around the peak with at least half of its value."""
    peak = int(looked.argmax())
    low = np.flatnonzero(looked < _HALF)
    before, after = low[low < peak], low[low > peak]
    first = int(before[-1]) + 1 if len(before) else 0
    return first, int(after[0]) if len(after) else len(looked)


def elected(predictions: Sequence[Reading]) -> Reading:
    """Return the text with the largest sum of confidences."""
    support: defaultdict[str, float] = defaultdict(float)
    for prediction in predictions:
        support[prediction.text] += prediction.confidence
    text = max(support, key=lambda text: support[text])
    said = [prediction for prediction in predictions if prediction.text == text]
    surest = max(said, key=lambda prediction: prediction.confidence)
    return replace(
        surest,
        confidence=support[text] / len(predictions),
        **joint_doubts(said),
    )
