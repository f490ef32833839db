"""Evaluate expressions exactly, with integers and fractions, without `eval`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import NoReturn, final

from foveal.errors import FovealError

MAX_LENGTH = 512
MAX_DEPTH = 64
DIGITS = "0123456789"

SIGNS: Mapping[str, str] = MappingProxyType(
    {"+": "+", "-": "-", "−": "-", "*": "*", "×": "*", "/": "/", "÷": "/"}
)
"""Every way to draw an operator → the operator."""

# What cannot stand for a number in a formula, beside white space.
RESERVED = frozenset(DIGITS) | SIGNS.keys() | frozenset("()=;")

_RANK = MappingProxyType({"+": 1, "-": 1, "*": 2, "/": 2})
_INTEGER = re.compile("0|[1-9][0-9]*")
_ASSIGNMENT = re.compile(r"(\S)=(0|[1-9][0-9]*)")
_HINT = "write integers, + - * / and brackets, as in 2*(3+4), or x=42;x/6 with a character"


@final
class ExpressionError(FovealError):
    """A text that has no value.

    `error_code` is expression_invalid, _too_long, _too_deep or _division_by_zero.
    """

    code = "expression_invalid"
    exit_status = 3
    http_status = 400


def evaluate(text: str, *, max_length: int = MAX_LENGTH, max_depth: int = MAX_DEPTH) -> Fraction:
    """Return the exact value of an arithmetic expression or of a formula.

    Arithmetic is integers without leading zeros, + - * / (also drawn × ÷ −) and brackets; a sign
    stands between two operands only. A formula is one or more assignments `C=integer`, each
    followed by `;`, and an expression in which these characters are operands too.

    Args:
        text: For example `2*(3+4)` or `流=42;(流-7)/5`; no white space.
        max_length: Most characters.
        max_depth: Most brackets open at once.

    Raises:
        ExpressionError: If the text is no expression, too long or too deep, or divides by zero.
    """
    if len(text) > max_length:
        raise ExpressionError(
            f"Expression too long. Expected at most {max_length} characters. "
            f"Received: {len(text)}.",
            hint="shorten the expression",
            code="expression_too_long",
        )
    numbers: dict[str, Fraction] = {}
    start = 0
    for assignment in text.split(";")[:-1]:
        match = _ASSIGNMENT.fullmatch(assignment)
        if match is None or match[1] in RESERVED:
            _fail(start, "an assignment such as x=42", assignment)
        if match[1] in numbers:
            _fail(start, "each character to be assigned once", assignment)
        numbers[match[1]] = Fraction(int(match[2]))
        start += len(assignment) + 1
    return _evaluate_expression(text, start, numbers, max_depth)


def value_text(value: Fraction) -> str:
    """Return the value as people write it: "12", "3/4" or "-3/4"."""
    return str(value)


def value_of(text: str) -> tuple[str | None, str | None]:
    """Return (exact value, None) of an expression, or (None, why it has none)."""
    try:
        return value_text(evaluate(text)), None
    except ExpressionError as error:
        return None, error.message


def _evaluate_expression(
    text: str, start: int, numbers: Mapping[str, Fraction], max_depth: int
) -> Fraction:
    """Return the value of `text[start:]`; two stacks, so that no depth exhausts Python's."""
    operands: list[Fraction] = []
    # Operators that wait for their right side, and open brackets.
    waiting: list[str] = []
    # Said last: what is no expression at all is not blamed on a division in it.
    zeros: list[ExpressionError] = []
    depth, position, wants_operand = 0, start, True
    while position < len(text):
        character = text[position]
        if wants_operand and character == "(":
            depth += 1
            if depth > max_depth:
                raise ExpressionError(
                    f"Expression too deep. Expected at most {max_depth} brackets open at once.",
                    hint="use fewer nested brackets",
                    code="expression_too_deep",
                )
            waiting.append(character)
        elif wants_operand:
            number, position = _take_operand(text, position, numbers)
            operands.append(number)
            wants_operand = False
            continue
        elif character in SIGNS:
            sign = SIGNS[character]
            _apply(operands, waiting, zeros, at_least=_RANK[sign])
            waiting.append(sign)
            wants_operand = True
        elif character == ")" and depth:
            _apply(operands, waiting, zeros, at_least=0)
            waiting.pop()
            depth -= 1
        else:
            _fail(position, "an operator" + (" or )" if depth else ""), character)
        position += 1
    if wants_operand:
        _fail(position, "a number or (", "")
    if depth:
        _fail(position, ")", "")
    _apply(operands, waiting, zeros, at_least=0)
    if zeros:
        raise zeros[0]
    return operands.pop()


def _take_operand(
    text: str, position: int, numbers: Mapping[str, Fraction]
) -> tuple[Fraction, int]:
    """Return the operand at `position` and the position after it."""
    if text[position] in numbers:
        return numbers[text[position]], position + 1
    match = _INTEGER.match(text, position)
    if match is None:
        expected = "a number or ("
        if numbers:
            expected += " or one of " + " ".join(numbers)
        _fail(position, expected, text[position])
    if match.end() < len(text) and text[match.end()] in DIGITS:
        _fail(position, "a number without leading zeros", text[position : match.end() + 1])
    return Fraction(int(match[0])), match.end()


def _apply(
    operands: list[Fraction], waiting: list[str], zeros: list[ExpressionError], *, at_least: int
) -> None:
    """Work off the waiting operators of this rank or above, back to the last open bracket.

    A division by zero is noted in `zeros`, and counts as 0 from there on.
    """
    while waiting and waiting[-1] != "(" and _RANK[waiting[-1]] >= at_least:
        sign = waiting.pop()
        right, left = operands.pop(), operands.pop()
        if sign == "+":
            operands.append(left + right)
        elif sign == "-":
            operands.append(left - right)
        elif sign == "*":
            operands.append(left * right)
        elif right:
            operands.append(left / right)
        else:
            zeros.append(
                ExpressionError(
                    f"Division by zero: {value_text(left)} / 0.",
                    hint="an expression that divides by zero has no value",
                    code="expression_division_by_zero",
                )
            )
            operands.append(Fraction(0))


def _fail(position: int, expected: str, received: str) -> NoReturn:
    shown = repr(received) if received else "the end"
    raise ExpressionError(
        f"Invalid expression at character {position + 1}. Expected {expected}. Received: {shown}.",
        hint=_HINT,
    )
