"""Details of the evaluation of a reader: lengths, positions, characters, values.

Works on texts and rows; opens no picture and draws nothing (see `report` and `draw`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.tasks.read import tables
from foveal.types import JsonObject

ROW_LAYOUT = """[edits, characters of the truth, has a true value, has an answered value, value is
right, confidence, correct]. The three about values are 0 for texts that have none."""

# What a person reads; metrics.json would otherwise hold every mistake of a hopeless model.
_MISTAKES = 50


def row(
    text: str,
    target: str,
    confidence: float,
    *,
    value: str | None,
    target_value: str | None,
    has_value: bool,
) -> NDArray[np.float64]:
    """Return one sample's row; see `ROW_LAYOUT`.

    Args:
        text: Reading.
        target: True text.
        confidence: Confidence of the whole text, in [0, 1].
        value: Exact value of `text`, None where it has none.
        target_value: Exact value of `target`, None where it has none (a division by zero).
        has_value: The texts are expressions.
    """
    valued = has_value and target_value is not None
    answered = valued and value is not None
    return np.array(
        [
            _distance(text, target),
            len(target),
            valued,
            answered,
            answered and value == target_value,
            confidence,
            text == target,
        ],
        np.float64,
    )


def summarise(rows: NDArray[np.float64], *, has_value: bool) -> dict[str, float]:
    """Return the metrics of many rows, all in [0, 1]; NaN where undefined.

    exact_match: share of samples whose whole text is right. character_accuracy: 1 - edits /
    characters of the truth, over all samples together, not below 0. ece: expected calibration
    error of the whole text's confidence (smaller is better). Expressions only, over the samples
    whose truth has a value: value_accuracy, the share whose exact value is right (also when the
    text is not), and parse_failures, the share whose answer has no value at all (smaller is
    better).

    Args:
        rows: (N, K), see `ROW_LAYOUT`.
        has_value: The texts are expressions.
    """
    edits, characters, valued, answered, right = rows[:, :5].sum(axis=0).tolist()
    result = {
        "exact_match": float(rows[:, -1].mean()) if len(rows) else math.nan,
        "character_accuracy": max(0.0, 1 - edits / characters) if characters else math.nan,
        "ece": metrics.expected_calibration_error(rows[:, -2], rows[:, -1]),
    }
    if has_value:
        result["value_accuracy"] = right / valued if valued else math.nan
        result["parse_failures"] = 1 - answered / valued if valued else math.nan
    return result


def is_correct(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return, for each row, whether the whole text was right."""
    correct: NDArray[np.bool_] = rows[:, -1] > 0.5
    return correct


def analyse(
    texts: Sequence[str],
    targets: Sequence[str],
    confidences: Sequence[float],
    values: Sequence[tuple[str | None, str | None]],
    alphabet: Sequence[str],
    *,
    has_value: bool,
) -> JsonObject:
    """Return the details of an evaluation as JSON values (undefined is null).

    Args:
        texts: Reading of each sample.
        targets: True text of each sample.
        confidences: Confidences of the whole texts, in [0, 1].
        values: (exact value of the answer, of the truth), None where there is none; empty
            unless `has_value`.
        alphabet: The characters that can be read.
        has_value: The texts are expressions.

    Returns:
        `lengths`, `positions` and `characters` (tables of shares with Wilson intervals),
        `confused` (pairs, most frequent first), `missed` and `invented` characters, `edits` (their
        totals), `mistakes` (the surest first), `highlights` (sentences for people) and, for
        expressions, `values`.
    """
    wrong = [i for i, text in enumerate(texts) if text != targets[i]]
    tally = _tally((texts[i], targets[i]) for i in wrong)
    written = Counter("".join(targets))
    details: JsonObject = {
        "lengths": tables.count_lengths(targets, wrong),
        "positions": tables.count_positions(targets, tally),
        "characters": tables.count_characters(written, tally, alphabet),
        "confused": tables.count_pairs(written, tally),
        "missed": tables.rank_characters(tally.missed),
        "invented": tables.rank_characters(tally.invented),
        "edits": {
            "characters": written.total(),
            "substituted": tally.pairs.total(),
            "missed": tally.missed.total(),
            "invented": tally.invented.total(),
        },
        "mistakes": [
            {
                "index": i,
                "target": targets[i],
                "prediction": texts[i],
                "confidence": float(confidences[i]),
            }
            for i in sorted(wrong, key=lambda i: -confidences[i])[:_MISTAKES]
        ],
    }
    if has_value:
        details["values"] = tables.count_values(texts, targets, values)
    details["highlights"] = tables.find_highlights(details, len(texts))
    return details


def _distance(text: str, target: str) -> int:
    if text == target:
        return 0
    return sum(true != read for true, read in metrics.edit_script(text, target))


def _tally(mistakes: Iterable[tuple[str, str]]) -> tables.Tally:
    tally = tables.Tally()
    for text, target in mistakes:
        position = 0
        for true, read in metrics.edit_script(text, target):
            if not true:
                tally.invented[read] += 1
                continue
            if true != read:
                tally.positions[position] += 1
                if read:
                    tally.pairs[true, read] += 1
                else:
                    tally.missed[true] += 1
            position += 1
    return tally
