from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.tasks.read.expression import ExpressionError, evaluate, value_text

RANK = {"+": 1, "-": 1, "*": 2, "/": 2}


@dataclass(frozen=True)
class Node:
    sign: str
    left: Tree
    right: Tree


Tree = int | Node


def trees() -> st.SearchStrategy[Tree]:
    return st.recursive(
        st.integers(0, 100_000),
        lambda children: st.builds(Node, st.sampled_from("+-*/"), children, children),
        max_leaves=12,
    )


def write(tree: Tree, *, redundant: bool) -> str:
    """Print with the brackets that are needed, or with all."""
    if isinstance(tree, int):
        return str(tree)
    left, right = (write(side, redundant=redundant) for side in (tree.left, tree.right))
    if isinstance(tree.left, Node) and (redundant or RANK[tree.left.sign] < RANK[tree.sign]):
        left = f"({left})"
    # Operators of one rank are worked off from the left.
    if isinstance(tree.right, Node) and (redundant or RANK[tree.right.sign] <= RANK[tree.sign]):
        right = f"({right})"
    return f"{left}{tree.sign}{right}"


def compute(tree: Tree) -> Fraction:
    if isinstance(tree, int):
        return Fraction(tree)
    left, right = compute(tree.left), compute(tree.right)
    if tree.sign == "+":
        return left + right
    if tree.sign == "-":
        return left - right
    return left * right if tree.sign == "*" else left / right


@given(trees(), st.booleans())
@settings(deadline=None)
def test_a_printed_tree_has_the_value_of_the_tree(tree: Tree, redundant: bool) -> None:
    text = write(tree, redundant=redundant)
    try:
        expected = compute(tree)
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="Division by zero"):
            evaluate(text)
    else:
        assert evaluate(text) == expected


@given(st.text("0123456789+-*/()=;x流 ", max_size=20) | st.text(max_size=20))
@settings(deadline=None)
def test_any_text_has_a_value_or_an_expression_error(text: str) -> None:
    try:
        assert isinstance(evaluate(text), Fraction)
    except ExpressionError as error:
        assert error.hint


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("7", "7", "a number alone"),
        ("0", "0", "zero may be written"),
        ("2+3*4", "14", "products first"),
        ("(2+3)*4", "20", "brackets first"),
        ("8-3-2", "3", "from the left"),
        ("8/4/2", "1", "from the left"),
        ("8-(3-2)", "7", "brackets against the left"),
        ("3/4", "3/4", "exact"),
        ("1-7/4", "-3/4", "a negative fraction"),
        ("1/3*3", "1", "no rounding on the way"),
        ("((((5))))", "5", "brackets inside brackets"),
        ("6×7−8÷2", "38", "as drawn"),
        ("x=42;x/6", "7", "one character"),
        ("x=42;y=2;x/y", "21", "two characters"),
        ("x=42;1+1", "2", "a character need not be used"),
        ("流=42072;圳=86;(圳-(97510*45921))*流/35864",
         value_text(Fraction((86 - 97510 * 45921) * 42072, 35864)), "the formula of the manual"),
    ],
)  # fmt: skip
def test_values_by_hand(text: str, value: str, reason: str) -> None:
    assert value_text(evaluate(text)) == value, reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at character 1. Expected a number or (. Received: the end."),
        ("1+", "at character 3. Expected a number or (. Received: the end."),
        ("1++2", "at character 3. Expected a number or (. Received: '+'."),
        ("-1", "at character 1. Expected a number or (. Received: '-'."),
        ("(-1)", "at character 2. Expected a number or (. Received: '-'."),
        ("()", "at character 2. Expected a number or (. Received: ')'."),
        ("(1", "at character 3. Expected ). Received: the end."),
        ("1)", "at character 2. Expected an operator. Received: ')'."),
        ("(1 ", "at character 3. Expected an operator or ). Received: ' '."),
        ("2(3)", "at character 2. Expected an operator. Received: '('."),
        ("007", "at character 1. Expected a number without leading zeros. Received: '00'."),
        ("1+02", "at character 3. Expected a number without leading zeros. Received: '02'."),
        ("1.5", "at character 2. Expected an operator. Received: '.'."),
        ("2**3", "at character 3. Expected a number or (. Received: '*'."),
        ("٣+1", "at character 1. Expected a number or (. Received: '٣'."),
        ("__import__('os')", "at character 1. Expected a number or (. Received: '_'."),
        ("流+1", "at character 1. Expected a number or (. Received: '流'."),
        ("x=1;x+y", "at character 7. Expected a number or ( or one of x. Received: 'y'."),
        ("x=1;", "at character 5. Expected a number or (. Received: the end."),
        ("x=1;2x", "at character 6. Expected an operator. Received: 'x'."),
        ("x=-1;x", "at character 1. Expected an assignment such as x=42. Received: 'x=-1'."),
        ("x=01;x", "at character 1. Expected an assignment such as x=42. Received: 'x=01'."),
        ("x=1;7=2;x", "at character 5. Expected an assignment such as x=42. Received: '7=2'."),
        (";1", "at character 1. Expected an assignment such as x=42. Received: the end."),
        ("x=1;x=2;x", "at character 5. Expected each character to be assigned once."),
    ],
)
def test_garbage_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text)

    assert caught.value.message.startswith(f"Invalid expression {message}")
    assert caught.value.error_code == "expression_invalid"
    assert (caught.value.http_status, caught.value.exit_status) == (400, 3)


@pytest.mark.parametrize("text", ["1/0", "1/(2-2)", "x=0;5/x", "0/0"])
def test_division_by_zero_has_no_value(text: str) -> None:
    with pytest.raises(ExpressionError, match="Division by zero") as caught:
        evaluate(text)

    assert caught.value.error_code == "expression_division_by_zero"


def test_a_text_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = "1+" * 255 + "10"

    assert evaluate(longest) == 265
    with pytest.raises(ExpressionError, match="Received: 513") as caught:
        evaluate(longest + "0")
    assert caught.value.error_code == "expression_too_long"


def test_brackets_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    assert evaluate("(" * 64 + "3" + ")" * 64) == 3
    with pytest.raises(ExpressionError, match="at most 64 brackets") as caught:
        evaluate("(" * 65 + "3" + ")" * 65)
    assert caught.value.error_code == "expression_too_deep"


def test_a_great_depth_is_no_danger_when_it_is_allowed() -> None:
    text = "(" * 5000 + "3" + ")" * 5000

    assert evaluate(text, max_length=len(text), max_depth=5000) == 3


def test_brackets_one_after_another_are_not_deep() -> None:
    assert evaluate("(1)+(2)+(3)", max_depth=1) == 6


def test_what_is_no_expression_is_not_blamed_on_a_division_by_zero_in_it() -> None:
    with pytest.raises(ExpressionError, match="a number") as raised:
        evaluate("0/0+")
    assert raised.value.error_code == "expression_invalid"
