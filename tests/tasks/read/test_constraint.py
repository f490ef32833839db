from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.errors import RecipeError
from foveal.tasks.read.constraint import (
    GRAMMARS,
    Constraint,
    Expression,
    Regex,
    State,
    WordList,
    expanded_length,
    make_constraint,
)
from foveal.tasks.read.expression import ExpressionError, evaluate


@dataclass(frozen=True)
class Options:
    grammar: str = ""
    pattern: str = ""
    words: tuple[str, ...] = ()


def follow(constraint: Constraint, text: str) -> State | None:
    """Return the state after a text, None where the constraint denies one of its beginnings."""
    state: State | None = constraint.start()
    for character in text:
        if state is None:
            return None
        state = constraint.advance(state, character)
    return state


def accepts(constraint: Constraint, text: str) -> bool:
    state = follow(constraint, text)
    return state is not None and constraint.accepts(state)


@pytest.mark.parametrize(
    ("text", "may_go_on", "accepted"),
    [
        ("", True, False),
        ("c", True, False),
        ("car", True, True),
        ("cart", True, True),
        ("ca", True, False),
        ("carts", False, False),
        ("x", False, False),
    ],
)
def test_a_word_list_follows_the_beginnings_of_its_words(
    text: str, may_go_on: bool, accepted: bool
) -> None:
    words = WordList(["car", "cart", "dog"])

    assert (follow(words, text) is not None) == may_go_on
    assert accepts(words, text) == accepted


def test_the_empty_word_is_a_word() -> None:
    assert accepts(WordList(["", "a"]), "")


@pytest.mark.parametrize(
    ("pattern", "text", "may_go_on", "accepted"),
    [
        ("[A-Z]{2}[0-9]{2}", "AB", True, False),
        ("[A-Z]{2}[0-9]{2}", "AB12", True, True),
        ("[A-Z]{2}[0-9]{2}", "A1", False, False),
        ("[A-Z]{2}[0-9]{2}", "AB123", False, False),
        ("^[0-9]+$", "12", True, True),
        ("a|bcd", "bc", True, False),
        ("a|bcd", "ac", False, False),
        (r"(.)x\1", "qx", True, False),
        (r"(.)x\1", "qxq", True, True),
        (r"(.)x\1", "qxp", False, False),
        (r"\p{Han}=[0-9]+", "流=4", True, True),
    ],
)
def test_a_pattern_must_match_from_end_to_end(
    pattern: str, text: str, may_go_on: bool, accepted: bool
) -> None:
    constraint = Regex(pattern)

    assert (follow(constraint, text) is not None) == may_go_on
    assert accepts(constraint, text) == accepted


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"Invalid pattern '\[A-Z'"):
        Regex("[A-Z")


def test_a_pattern_that_backtracks_without_end_is_stopped() -> None:
    with pytest.raises(RecipeError, match="took over"):
        accepts(Regex("(a|aa)+b"), "a" * 60 + "c")


@pytest.mark.parametrize(
    ("grammar", "text", "may_go_on", "accepted"),
    [
        ("arithmetic", "", True, False),
        ("arithmetic", "0", True, True),
        ("arithmetic", "01", False, False),
        ("arithmetic", "10", True, True),
        ("arithmetic", "1+", True, False),
        ("arithmetic", "+1", False, False),
        ("arithmetic", "(", True, False),
        ("arithmetic", "()", False, False),
        ("arithmetic", "(1", True, False),
        ("arithmetic", "(1)", True, True),
        ("arithmetic", "1)", False, False),
        ("arithmetic", "(1)2", False, False),
        ("arithmetic", "6×7−8÷2", True, True),
        ("arithmetic", "1/0", True, True),
        ("arithmetic", "x", False, False),
        ("arithmetic", "(" * 64, True, False),
        ("arithmetic", "(" * 65, False, False),
        ("arithmetic", "1" * 512, True, True),
        ("arithmetic", "1" * 513, False, False),
        ("formula", "1+1", False, False),
        ("formula", "流", True, False),
        ("formula", "流=", True, False),
        ("formula", "流=42", True, False),
        ("formula", "流=02", False, False),
        ("formula", "流=42;", True, False),
        ("formula", "流=42;流", True, True),
        ("formula", "流=42;流流", False, False),
        ("formula", "流=42;(圳", False, False),
        ("formula", "流=42;圳", True, False),
        ("formula", "流=42;圳=0;流*圳", True, True),
        ("formula", "流=42;流=", False, False),
        ("formula", "流=42072;圳=86;(圳-(97510*45921))*流/35864", True, True),
        ("formula", " ", False, False),
        ("formula", "7", False, False),
    ],
)
def test_grammars_by_hand(grammar: str, text: str, may_go_on: bool, accepted: bool) -> None:
    constraint = Expression(grammar)

    assert (follow(constraint, text) is not None) == may_go_on
    assert accepts(constraint, text) == accepted


# Steered towards expressions: of plain random texts next to none would be one.
PIECES = st.sampled_from(["0", "1", "20", "x", "y", "x=1;", "y=0;", "+", "−", "/", "(", ")", "(1)"])


@given(st.lists(PIECES, max_size=9).map("".join))
@settings(deadline=None, max_examples=500)
def test_the_grammars_allow_exactly_what_can_be_evaluated(text: str) -> None:
    try:
        evaluate(text)
        parses = True
    except ExpressionError as error:
        parses = error.error_code == "expression_division_by_zero"

    grammar = "formula" if ";" in text else "arithmetic"
    other = "arithmetic" if ";" in text else "formula"
    assert accepts(Expression(grammar), text) == parses
    assert not accepts(Expression(other), text)


@given(st.sampled_from(GRAMMARS), st.lists(PIECES, max_size=9).map("".join))
@settings(deadline=None, max_examples=300)
def test_what_a_grammar_lets_begin_can_be_completed(grammar: str, text: str) -> None:
    constraint = Expression(grammar)
    if follow(constraint, text) is None:
        return

    # An operand where one is missing (after x= also the semicolon and an operand), then brackets.
    middles = ["", "1", ";1", "=1;1", "1;1", "x=1;1"]
    endings = [middle + ")" * count for middle in middles for count in range(10)]
    assert any(accepts(constraint, text + ending) for ending in endings)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (Options(), None),
        (Options(grammar="formula"), Expression),
        (Options(pattern="[0-9]+"), Regex),
        (Options(words=("yes", "no")), WordList),
    ],
)
def test_options_choose_the_constraint(options: Options, kind: type | None) -> None:
    constraint = make_constraint(options)

    assert constraint is None if kind is None else isinstance(constraint, kind)


def test_several_constraints_at_once_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"at most one .* Received: grammar, words\."):
        make_constraint(Options(grammar="arithmetic", words=("1+1",)))


def test_an_unknown_grammar_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'arithmetic'"):
        make_constraint(Options(grammar="arithmetics"))


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("", 0),
        ("abc", 3),
        ("[A-Z]{2}", 6),  # the class's last character twice: the class itself is compiled once
        ("a{3}", 3),
        ("a{2,5}b", 6),
        ("a{,4}", 4),
        ("(ab){3}", 9),  # each group counts one
        ("((a{10}){10}){10}", 1110),
        ("(a|b){3", 6),
        ("a)", 2),
    ],
)
def test_the_length_of_a_pattern_counts_its_repetitions(pattern: str, length: int) -> None:
    assert expanded_length(pattern) == length


@pytest.mark.parametrize(
    "pattern",
    [
        "a{1000000000}",
        "((((a{1000}){1000}){1000}){1000})",
        "(a|b|c){100000}",
        "(?:a?){100000}",
        "(a{1,99999}b){2,}",
        "a{9" + "9" * 5000 + "}",
        "x" * 30_000,
    ],
)
def test_a_pattern_that_would_fill_the_memory_is_refused(pattern: str) -> None:
    with pytest.raises(RecipeError, match="too large") as caught:
        make_constraint(Options(pattern=pattern))
    assert len(caught.value.message) < 200
