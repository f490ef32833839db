from __future__ import annotations

import math
from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal.errors import UsageError
from foveal.tasks.read import ctc
from foveal.tasks.read.constraint import Constraint, Expression, Regex, WordList

# Wider than the number of prefixes in any case below.
UNLIMITED = 1000
# Log probabilities are float32.
CLOSE = 1e-4


def normalised(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    total = np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return (logits - total).astype(np.float32)


def certain(path: list[int], classes: int) -> NDArray[np.float32]:
    """Each column is sure of its class; all others have probability 0."""
    table = np.full((len(path), classes), -np.inf, np.float32)
    table[range(len(path)), path] = 0.0
    return table


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(class_ - 1 for class_, _ in groupby(path) if class_)


def drop_nothing(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(class_ - 1 for class_ in path if class_)


def paths_of(
    table: NDArray[np.float32], *, repeats: bool = False
) -> dict[tuple[int, ...], list[float]]:
    """Text → the probabilities of all its paths: the definition, by enumeration."""
    found: dict[tuple[int, ...], list[float]] = {}
    probabilities = np.exp(table.astype(np.float64))
    for path in product(range(table.shape[1]), repeat=len(table)):
        text = drop_nothing(path) if repeats else collapse(path)
        share = math.prod(probabilities[t, class_] for t, class_ in enumerate(path))
        found.setdefault(text, []).append(share)
    return found


def spell(indices: tuple[int, ...], alphabet: str) -> str:
    return "".join(alphabet[index] for index in indices)


def log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf


@st.composite
def tables(draw: st.DrawFn) -> NDArray[np.float32]:
    """(T, K) with T up to 5, K 2 or 3, now and then with impossible classes."""
    columns, classes = draw(st.integers(1, 5)), draw(st.integers(2, 3))
    value = st.one_of(st.floats(-6, 6), st.just(-math.inf))
    rows = [
        draw(st.lists(value, min_size=classes, max_size=classes).filter(lambda r: max(r) > -99))
        for _ in range(columns)
    ]
    return normalised(np.array(rows))


@given(tables())
@settings(deadline=None)
def test_the_probability_of_every_text_is_the_sum_over_its_paths(
    table: NDArray[np.float32],
) -> None:
    for text, shares in paths_of(table).items():
        assert ctc.log_probability(table, text) == pytest.approx(log(sum(shares)), abs=CLOSE)


@given(tables())
@settings(deadline=None)
def test_the_alignment_is_the_best_path_of_the_text(table: NDArray[np.float32]) -> None:
    for text, shares in paths_of(table).items():
        path = [0] * len(table)
        spans = ctc.align(table, text)
        for index, (first, end) in zip(text, spans, strict=True):
            path[first:end] = [index + 1] * (end - first)

        bounds = [bound for span in spans for bound in span]
        assert bounds == sorted(bounds), "spans are ordered and disjoint"
        assert all(first < end for first, end in spans)
        assert collapse(tuple(path)) == text
        if max(shares) > 0:
            score = sum(float(table[t, class_]) for t, class_ in enumerate(path))
            assert score == pytest.approx(log(max(shares)), abs=CLOSE)


@given(tables())
@settings(deadline=None)
def test_greedy_reads_the_best_path(table: NDArray[np.float32]) -> None:
    shares = paths_of(table)
    best = max(max(values) for values in shares.values())

    decoded = ctc.decode_greedy(table, "ab")

    text = tuple("ab".index(character) for character in decoded.text)
    assert max(shares[text]) == pytest.approx(best, rel=1e-3)
    assert decoded.log_probability == pytest.approx(log(sum(shares[text])), abs=CLOSE)


@given(tables())
@settings(deadline=None)
def test_an_unlimited_beam_finds_the_most_probable_text(table: NDArray[np.float32]) -> None:
    best = max(sum(values) for values in paths_of(table).values())

    decoded = ctc.decode_beam(table, "ab", beam_width=UNLIMITED)

    assert decoded is not None
    assert decoded.log_probability == pytest.approx(log(best), abs=CLOSE)


@given(tables(), st.sets(st.text("ab", max_size=3), min_size=1))
@settings(deadline=None)
def test_a_beam_with_a_word_list_finds_the_most_probable_word(
    table: NDArray[np.float32], words: set[str]
) -> None:
    chances = {spell(text, "ab"): sum(values) for text, values in paths_of(table).items()}
    best = max(chances.get(word, 0.0) for word in words)

    decoded = ctc.decode_beam(
        table, "ab"[: table.shape[1] - 1], beam_width=UNLIMITED, constraint=WordList(words)
    )

    if best == 0:
        assert decoded is None
    else:
        assert decoded is not None
        assert decoded.text in words
        assert decoded.log_probability == pytest.approx(log(best), abs=CLOSE)


@given(table=tables())
@settings(deadline=None)
@pytest.mark.parametrize(
    ("constraint", "allowed"),
    [
        (Regex("(1-)*1"), {"1", "1-1", "1-1-1"}),
        (Expression("arithmetic"), {"1", "11", "111", "1111", "11111"}
         | {"1-1", "11-1", "1-11", "1-111", "11-11", "111-1", "1-1-1"}),
    ],
)  # fmt: skip
def test_a_beam_with_a_grammar_finds_the_most_probable_allowed_text(
    table: NDArray[np.float32], constraint: Constraint, allowed: set[str]
) -> None:
    chances = {spell(text, "1-"): sum(values) for text, values in paths_of(table).items()}
    best = max(chances.get(text, 0.0) for text in allowed)

    decoded = ctc.decode_beam(
        table, "1-"[: table.shape[1] - 1], beam_width=UNLIMITED, constraint=constraint
    )

    if best == 0:
        assert decoded is None
    else:
        assert decoded is not None
        assert decoded.log_probability == pytest.approx(log(best), abs=CLOSE)


@given(tables())
@settings(deadline=None)
def test_positions_say_their_best_class_and_sum_over_placings(table: NDArray[np.float32]) -> None:
    shares = paths_of(table, repeats=True)

    decoded = ctc.decode_positions(table, "ab")

    assert decoded is not None
    text = tuple("ab".index(character) for character in decoded.text)
    assert text == drop_nothing(tuple(table.argmax(axis=1)))
    assert decoded.log_probability == pytest.approx(log(sum(shares[text])), abs=CLOSE)


@given(tables(), st.sets(st.text("ab", max_size=4), min_size=1))
@settings(deadline=None)
def test_positions_with_a_word_list_find_the_most_probable_word(
    table: NDArray[np.float32], words: set[str]
) -> None:
    shares = {spell(text, "ab"): values for text, values in paths_of(table, repeats=True).items()}
    best = max(sum(shares.get(word, [0.0])) for word in words)

    decoded = ctc.decode_positions(
        table, "ab"[: table.shape[1] - 1], constraint=WordList(words), beam_width=UNLIMITED
    )

    if best == 0:
        assert decoded is None
    else:
        assert decoded is not None
        assert decoded.text in words
        assert decoded.log_probability == pytest.approx(log(best), abs=CLOSE)
        placed = [0] * len(table)
        for character, (position, end) in zip(decoded.text, decoded.spans, strict=True):
            placed[position] = "ab".index(character) + 1
            assert end == position + 1
        score = sum(float(table[p, class_]) for p, class_ in enumerate(placed))
        assert score == pytest.approx(log(max(shares[decoded.text])), abs=CLOSE)


@pytest.mark.parametrize(
    ("path", "text", "spans", "reason"),
    [
        ([0, 0, 0], "", (), "only blanks: the empty text"),
        ([1], "a", ((0, 1),), "a single column"),
        ([0], "", (), "a single blank column"),
        ([1, 1, 0, 2], "ab", ((0, 2), (3, 4)), "neighbours that are equal are one character"),
        ([1, 0, 1], "aa", ((0, 1), (2, 3)), "a blank separates equal characters"),
        ([2, 1], "ba", ((0, 1), (1, 2)), "no blank between different characters"),
    ],
)
def test_a_certain_path_is_read_by_greedy_and_beam_alike(
    path: list[int], text: str, spans: tuple[tuple[int, int], ...], reason: str
) -> None:
    expected = ctc.Decoded(text, 0.0, spans, (1.0,) * len(text))

    assert ctc.decode_greedy(certain(path, 3), "ab") == expected, reason
    assert ctc.decode_beam(certain(path, 3), "ab") == expected, reason
    assert ctc.align(certain(path, 3), ["ab".index(c) for c in text]) == list(spans), reason


def test_a_beam_of_one_reads_a_clear_text() -> None:
    decoded = ctc.decode_beam(certain([1, 1, 0, 2, 0], 3), "ab", beam_width=1)

    assert decoded is not None
    assert decoded.text == "ab"


def test_the_best_text_need_not_be_that_of_the_best_path() -> None:
    # Graves 2006, figure 2, with p(blank) = 0.6: "" has one path of 0.36, "a" three that make 0.64.
    table = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], np.float32))

    decoded = ctc.decode_beam(table, "a")

    assert ctc.decode_greedy(table, "a").text == ""
    assert decoded is not None
    assert decoded.text == "a"
    assert math.exp(decoded.log_probability) == pytest.approx(0.64)
    assert decoded.confidences == pytest.approx((0.4,))


def test_a_constraint_changes_what_is_read_even_against_great_odds() -> None:
    logits = np.full((3, 4), -40.0)
    logits[range(3), [1, 0, 2]] = 0.0

    free = ctc.decode_beam(normalised(logits), "abc")
    bound = ctc.decode_beam(normalised(logits), "abc", constraint=WordList(["ac", "ccc"]))

    assert free is not None
    assert bound is not None
    assert (free.text, bound.text) == ("ab", "ac")
    assert bound.log_probability == pytest.approx(-40, abs=0.01)


def test_complete_texts_are_not_crowded_out_by_beginnings() -> None:
    # Each of the 25 other letters, which begin words too long for four columns, beats "b".
    logits = np.zeros((4, 27))
    logits[:, 2] = -5.0
    words = [letter + "zzzz" for letter in "acdefghijklmnopqrstuvwxyz"]

    decoded = ctc.decode_beam(
        normalised(logits),
        "abcdefghijklmnopqrstuvwxyz",
        beam_width=8,
        constraint=WordList([*words, "b"]),
    )

    assert decoded is not None
    assert decoded.text == "b"


def test_no_allowed_text_within_reach_is_none() -> None:
    table = certain([1, 0, 2], 3)

    assert ctc.decode_beam(table, "ab", constraint=WordList(["bb"])) is None
    assert ctc.decode_beam(table, "ab", constraint=Regex("a{9}")) is None
    assert ctc.decode_positions(table, "ab", constraint=WordList(["b"])) is None


def test_equal_neighbours_at_positions_are_two_characters() -> None:
    table = certain([1, 1, 0, 2], 3)
    expected = ctc.Decoded("aab", 0.0, ((0, 1), (1, 2), (3, 4)), (1.0, 1.0, 1.0))

    assert ctc.decode_positions(table, "ab") == expected
    assert ctc.decode_positions(table, "ab", constraint=Regex("[ab]+")) == expected


def test_no_columns_hold_the_empty_text() -> None:
    empty = np.zeros((0, 3), np.float32)
    expected = ctc.Decoded("", 0.0, (), ())

    assert ctc.decode_greedy(empty, "ab") == expected
    assert ctc.decode_beam(empty, "ab") == expected
    assert ctc.decode_positions(empty, "ab") == expected
    assert ctc.log_probability(empty, [0]) == -math.inf


def test_a_confidence_is_the_largest_in_the_span() -> None:
    table = np.log(np.array([[0.4, 0.6], [0.1, 0.9], [0.3, 0.7], [0.8, 0.2]], np.float32))

    decoded = ctc.decode_greedy(table, "a")

    assert decoded.spans == ((0, 3),)
    assert decoded.confidences == pytest.approx((0.9,))


@pytest.mark.parametrize(
    ("indices", "columns", "needed"),
    [([0, 1], 1, 2), ([0, 0], 2, 3)],
)
def test_a_text_that_needs_more_columns_cannot_be_aligned(
    indices: list[int], columns: int, needed: int
) -> None:
    table = certain([0] * columns, 3)

    assert ctc.log_probability(table, indices) == -math.inf
    with pytest.raises(UsageError, match=f"at least {needed} for a text of 2 characters"):
        ctc.align(table, indices)


def test_long_and_improbable_texts_keep_their_precision() -> None:
    table = np.tile(np.log(np.array([0.999, 0.001], np.float32)), (199, 1))

    score = ctc.log_probability(table, [0] * 100)

    # 100 equal characters in 199 columns leave one path: a, blank, a, …, a.
    assert score == pytest.approx(100 * math.log(0.001) + 99 * math.log(0.999), rel=1e-6)
