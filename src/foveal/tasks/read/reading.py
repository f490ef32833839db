"""What was read in one picture: the text, each character with its place, the value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.read.ctc import Decoded
from foveal.tasks.read.expression import ExpressionError, evaluate, value_text
from foveal.types import Frame, JsonObject

# Of a character's columns, for its half width where it has no neighbour.
_HALF_WIDTH = 1.5
# Of the highest attention: what lies above it is where a position looked.
_HALF = 0.5
_LEAST = 1e-9


@final
@dataclass(frozen=True, slots=True)
class Character:
    """One character of a reading.

    Attributes:
        char: The character.
        confidence: Its probability where it is surest, in [0, 1].
        x0: Left edge in original pixels; approximate, columns are wider than strokes.
        x1: Right edge in original pixels, end open.
    """

    char: str
    confidence: float
    x0: float
    x1: float


@final
@dataclass(frozen=True, eq=False, slots=True)
class Reading:
    """The answer to one picture.

    Attributes:
        text: What is written; may be empty.
        confidence: Probability of the whole text, in [0, 1].
        unsure: Whether it is under the bundle's threshold, or breaks the bundle's constraint.
        characters: In reading order.
        value: Exact value of an expression, `12` or `3/4`; None where there is none.
        value_error: Why an expression has no value, or None.
        log_probabilities: (T, K) float32, of each class in each column (or position).
        attention: (positions, columns) float32, where each position's classifier looked; None for
            a reader whose columns speak for themselves.
        spans: Columns (or position) of each character, [first, end).
        frame: Where the picture lies in the model input.
    """

    text: str
    confidence: float
    unsure: bool
    characters: tuple[Character, ...]
    value: str | None
    value_error: str | None
    log_probabilities: NDArray[np.float32]
    attention: NDArray[np.float32] | None
    spans: tuple[tuple[int, int], ...]
    frame: Frame

    def __eq__(self, other: object) -> bool:
        """Compare the texts."""
        return isinstance(other, Reading) and self.text == other.text

    def __hash__(self) -> int:
        """Hash the text."""
        return hash(self.text)

    def to_json(self, *, has_value: bool) -> JsonObject:
        """Return the reading as the predictions contract has it."""
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
        if has_value:
            answer["value"] = self.value
            if self.value_error is not None:
                answer["value_error"] = self.value_error
        return answer


def value_of(text: str) -> tuple[str | None, str | None]:
    """Return (exact value, None) of an expression, or (None, why it has none)."""
    try:
        return value_text(evaluate(text)), None
    except ExpressionError as error:
        return None, error.message


def place_characters(
    found: Decoded, attention: NDArray[np.float32] | None, columns: int, frame: Frame
) -> tuple[Character, ...]:
    """Return the characters with their places in original pixels.

    A character reaches half-way to its neighbours, but not further than one and a half of the
    usual distance: what the network marks is a character's most telling column, not its edges.
    """
    if attention is not None:
        columns = attention.shape[1]
        where = np.arange(columns) + 0.5
        centres = [float(attention[first] @ where) for first, _ in found.spans]
    else:
        centres = [(first + end) / 2 for first, end in found.spans]
    gaps = [later - earlier for earlier, later in pairwise(centres)]
    half = float(np.median(gaps)) / 2 * _HALF_WIDTH if gaps else columns / 2
    pixels = frame.input[1] / max(1, columns)
    placed = []
    for i, centre in enumerate(centres):
        left, right = centre - half, centre + half
        if i > 0:
            left = max(left, (centres[i - 1] + centre) / 2)
        if i + 1 < len(centres):
            right = min(right, (centre + centres[i + 1]) / 2)
        edges = _in_original(left * pixels, right * pixels, frame, centre * pixels)
        placed.append(Character(found.text[i], found.confidences[i], *edges))
    return tuple(placed)


def in_columns(reading: Reading) -> Reading:
    """Return a reading of positions as one of columns: each says what it says where it looked.

    A reading of columns is returned as it is.
    """
    attention = reading.attention
    if attention is None:
        return reading
    peaks = attention.max(axis=1, keepdims=True)
    looked = attention / np.maximum(peaks, _LEAST)
    said = np.exp(reading.log_probabilities)
    # (positions, columns, classes) → the position that looked there most speaks for a column.
    shown = (looked[:, :, None] * said[:, None, :]).max(axis=0)
    shown[:, 0] = np.maximum(shown[:, 0], 1.0 - looked.max(axis=0))
    spans = tuple(_around_peak(looked[first]) for first, _ in reading.spans)
    shares = np.log(np.maximum(shown / shown.sum(axis=1, keepdims=True), _LEAST))
    return replace(
        reading, log_probabilities=shares.astype(np.float32), attention=None, spans=spans
    )


def _around_peak(looked: NDArray[np.float32]) -> tuple[int, int]:
    """Return the columns, [first, end), around the peak that are at least half as high."""
    peak = int(looked.argmax())
    low = np.flatnonzero(looked < _HALF)
    before, after = low[low < peak], low[low > peak]
    first = int(before[-1]) + 1 if len(before) else 0
    return first, int(after[0]) if len(after) else len(looked)


def _in_original(left: float, right: float, frame: Frame, centre: float) -> tuple[float, float]:
    x0, _, x1, _ = frame.box_in_input()
    low, high = max(x0, 0.0), min(x1, float(frame.input[1]))
    inner = (min(max(edge, low), high) for edge in (left, right))
    first, last = (frame.to_content(0.0, edge)[1] for edge in inner)
    if not frame.pieces:
        return first, last
    # Half-way to the neighbour may be in the next line, far away on the page: both edges are
    # held inside the piece that the character stands in.
    column = frame.to_content(0.0, centre)[1]
    piece = [frame.pieces[0], *(p for p in frame.pieces[1:] if p.x <= column)][-1]
    low, high = float(piece.x0), float(piece.x1)
    first, last = (min(max(x - piece.x + low, low), high) for x in (first, last))
    return first, last
