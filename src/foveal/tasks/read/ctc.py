"""CTC decoding of log probabilities per column (or position): greedy, beam, alignment.

Follows A. Graves and others, "Connectionist Temporal Classification" (2006),
https://www.cs.toronto.edu/~graves/icml_2006.pdf, and for the prefix beam search A. Hannun and
others, "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent
DNNs" (2014), https://arxiv.org/abs/1408.2873. Deviations: the forward pass runs over the text's
states with all columns at once (see `_run_lattice`), there is no language model, and a constraint
takes the place of its vocabulary.

Everywhere class 0 is the blank (for positions: nothing here) and class i + 1 is `alphabet[i]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from foveal.errors import UsageError
from foveal.tasks.read.beam import search
from foveal.tasks.read.constraint import Constraint

# Stands for log 0, where -inf would turn the differences of cumulative sums into NaN. Far below
# what real columns add up to, and near enough that a sum over 1,000 columns keeps 6 decimals.
_IMPOSSIBLE = -1e6


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text and its alignment to the columns.

    Attributes:
        text: Decoded text.
        log_probability: Log probability of the whole text: the sum over all its alignments.
        spans: For each character its columns, [first, end), in the most probable alignment.
        confidences: For each character its largest probability within its span, in [0, 1].
    """

    text: str
    log_probability: float
    spans: tuple[tuple[int, int], ...]
    confidences: tuple[float, ...]


def decode_greedy(log_probabilities: NDArray[np.float32], alphabet: Sequence[str]) -> Decoded:
    """Return the text of the single most probable alignment.

    Args:
        log_probabilities: (T, K), normalised over K; T may be 0.
        alphabet: K - 1 characters.
    """
    best = log_probabilities.argmax(axis=1)
    # A run of one class is one character, so the runs are the spans of the best alignment.
    first = np.flatnonzero(np.diff(best, prepend=-1))
    ends = np.append(first, len(best))[1:]
    shown = best[first] > 0
    spans = list(zip(first[shown].tolist(), ends[shown].tolist(), strict=True))
    indices = (best[first[shown]] - 1).tolist()
    score = log_probability(log_probabilities, indices)
    return _describe(log_probabilities, alphabet, indices, spans, score)


def decode_beam(
    log_probabilities: NDArray[np.float32],
    alphabet: Sequence[str],
    *,
    beam_width: int = 16,
    constraint: Constraint | None = None,
) -> Decoded | None:
    """Return the most probable text (over all its alignments) that a beam search finds.

    Args:
        log_probabilities: (T, K), normalised over K; T may be 0.
        alphabet: K - 1 characters.
        beam_width: Prefixes kept after each column.
        constraint: The texts that are allowed; None for all.

    Returns:
        None when no allowed text is among the prefixes kept at the end.
    """
    indices = search(
        log_probabilities, alphabet, beam_width=beam_width, constraint=constraint, collapse=True
    )
    if indices is None:
        return None
    spans, score = align(log_probabilities, indices), log_probability(log_probabilities, indices)
    return _describe(log_probabilities, alphabet, indices, spans, score)


def decode_positions(
    log_probabilities: NDArray[np.float32],
    alphabet: Sequence[str],
    *,
    constraint: Constraint | None = None,
    beam_width: int = 16,
) -> Decoded | None:
    """Return the text of one head per position, each giving one character or nothing.

    Without a constraint each position says what it finds most probable; with one, a beam search
    finds the most probable text that is allowed. A repeated character is two characters here.

    Args:
        log_probabilities: (T, K), normalised over K, one row for each position.
        alphabet: K - 1 characters.
        constraint: The texts that are allowed; None for all.
        beam_width: Prefixes kept after each position; only with a constraint.

    Returns:
        Spans are (p, p + 1). None when no allowed text is among the prefixes kept at the end.
    """
    if constraint is None:
        best = log_probabilities.argmax(axis=1)
        positions = np.flatnonzero(best).tolist()
        indices = (best[positions] - 1).tolist()
    else:
        found = search(
            log_probabilities,
            alphabet,
            beam_width=beam_width,
            constraint=constraint,
            collapse=False,
        )
        if found is None:
            return None
        indices, positions = found, _place(log_probabilities, found)
    spans = [(position, position + 1) for position in positions]
    score = position_log_probability(log_probabilities, indices)
    return _describe(log_probabilities, alphabet, indices, spans, score)


def log_probability(log_probabilities: NDArray[np.float32], indices: Sequence[int]) -> float:
    """Return the log probability of a text, summed over all its alignments.

    Args:
        log_probabilities: (T, K), normalised over K.
        indices: The text as positions in the alphabet, from 0.

    Returns:
        -inf when no alignment is possible.
    """
    if not len(log_probabilities):
        return -np.inf if indices else 0.0
    totals, _ = _run_lattice(log_probabilities, _states(indices), np.logaddexp)
    score = float(np.logaddexp.reduce(totals[-2:, -1]))
    return score if score > _IMPOSSIBLE / 2 else -np.inf


def position_log_probability(
    log_probabilities: NDArray[np.float32], indices: Sequence[int]
) -> float:
    """Return the log probability of a text of one head per position, over all its placings.

    Args:
        log_probabilities: (T, K), normalised over K, one row for each position.
        indices: The text as positions in the alphabet, from 0.
    """
    return float(_run_positions(log_probabilities, indices, np.logaddexp)[-1, -1])


def align(log_probabilities: NDArray[np.float32], indices: Sequence[int]) -> list[tuple[int, int]]:
    """Return the columns [first, end) of each character in the most probable alignment.

    Args:
        log_probabilities: (T, K), normalised over K.
        indices: The text as positions in the alphabet, from 0.

    Raises:
        UsageError: If there are too few columns: one for each character and one between equals.
    """
    columns = len(log_probabilities)
    needed = len(indices) + sum(a == b for a, b in pairwise(indices))
    if columns < needed:
        raise UsageError(
            f"Too few columns. Expected at least {needed} for a text of {len(indices)} "
            f"characters. Received: {columns}."
        )
    if not indices:
        return []
    states = _states(indices)
    totals, entries = _run_lattice(log_probabilities, states, np.maximum)
    spans: list[tuple[int, int]] = []
    end = columns
    state = len(states) - (1 if totals[-1, -1] >= totals[-2, -1] else 2)
    while end:
        first = int(entries[state, :end].argmax())
        if states[state]:
            spans.append((first, end))
        end = first
        if end:
            skips = (
                _may_skip(states, state) and totals[state - 2, end - 1] > totals[state - 1, end - 1]
            )
            state -= 2 if skips else 1
    return spans[::-1]


def _states(indices: Sequence[int]) -> list[int]:
    """Return the classes in the order an alignment visits them: blank, character, blank, …"""
    states = [0] * (2 * len(indices) + 1)
    states[1::2] = [index + 1 for index in indices]
    return states


def _may_skip(states: list[int], state: int) -> bool:
    """Say whether the blank before this state may be left out: not between equal characters."""
    return state > 1 and states[state] != 0 and states[state] != states[state - 2]


def _run_lattice(
    log_probabilities: NDArray[np.float32], states: list[int], join: np.ufunc
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Run the forward (`join` is logaddexp) or the Viterbi pass (maximum), state by state.

    Staying in a state multiplies by its probability again, so with Y the cumulative sum of a
    state's log probabilities, alpha(t) = Y(t) + join over u <= t of [enter(u) - Y(u - 1)], where
    enter(u) comes from the states before. That is one `accumulate` over all columns: 2 L + 1 steps
    in numpy for a text of L characters, where the textbook's order takes T.

    Returns:
        totals: (S, T) log probability of the columns up to t, ending in the state.
        entries: (S, T) [enter(u) - Y(u - 1)]; its largest u <= t is where the best path came in.
    """
    own = np.maximum(log_probabilities.T[states], _IMPOSSIBLE).astype(np.float64)
    until = own.cumsum(axis=1)
    totals = np.empty_like(until)
    entries = own - until
    for state in range(len(states)):
        entry, total = entries[state], totals[state]
        if state:
            before = totals[state - 1, :-1]
            if _may_skip(states, state):
                before = join(before, totals[state - 2, :-1])
            entry[1:] += before
        else:
            entry[1:] = -np.inf
        if state > 1:
            entry[0] = -np.inf
        join.accumulate(entry, out=total)
        total += until[state]
    return totals, entries


def _run_positions(
    log_probabilities: NDArray[np.float32], indices: Sequence[int], join: np.ufunc
) -> NDArray[np.float64]:
    """Return (T + 1, L + 1): log probability that the first t positions give j characters."""
    totals = np.full((len(log_probabilities) + 1, len(indices) + 1), -np.inf)
    totals[0, 0] = 0.0
    classes = np.asarray(indices, np.intp) + 1
    for position, row in enumerate(log_probabilities):
        before, after = totals[position], totals[position + 1]
        np.add(before, row[0], out=after)
        join(after[1:], before[:-1] + row[classes], out=after[1:])
    return totals


def _place(log_probabilities: NDArray[np.float32], indices: Sequence[int]) -> list[int]:
    """Return the position of each character in the most probable placing of the text."""
    totals = _run_positions(log_probabilities, indices, np.maximum)
    positions: list[int] = []
    left = len(indices)
    for position in range(len(log_probabilities) - 1, -1, -1):
        if not left:
            break
        row, before = log_probabilities[position], totals[position]
        if before[left - 1] + row[indices[left - 1] + 1] >= before[left] + row[0]:
            positions.append(position)
            left -= 1
    return positions[::-1]


def _describe(
    log_probabilities: NDArray[np.float32],
    alphabet: Sequence[str],
    indices: Sequence[int],
    spans: Sequence[tuple[int, int]],
    score: float,
) -> Decoded:
    confidences = (
        float(np.exp(log_probabilities[first:end, index + 1].max()))
        for index, (first, end) in zip(indices, spans, strict=True)
    )
    return Decoded(
        text="".join([alphabet[index] for index in indices]),
        log_probability=score,
        spans=tuple(spans),
        # Rounding may lift exp(log p) of a float32 a hair above one.
        confidences=tuple(min(1.0, confidence) for confidence in confidences),
    )
