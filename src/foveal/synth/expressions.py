"""Random texts of expressions."""

from __future__ import annotations

import random

DIGITS = "0123456789"
OPERATORS = "+-*"
HAN = "君不见黄河之水天上来奔流到海不复回烟锁池塘柳深圳铁板烧"
"""Names of values in formulas: from two poems, and the town of a dish on an iron plate."""

LARGEST = 100_000
# A stands for an operand, o for an operator.
_THREE = ("AoAoA", "(AoA)oA", "Ao(AoA)")
# Every way to set brackets in four operands that changes an order or stresses it: none, one pair,
# two beside each other, two within each other; never around the whole, never twice the same. With
# the fraction's own division each has four operators.
FOUR = (
    "AoAoAoA",
    "(AoA)oAoA",
    "Ao(AoA)oA",
    "AoAo(AoA)",
    "(AoAoA)oA",
    "Ao(AoAoA)",
    "(AoA)o(AoA)",
    "((AoA)oA)oA",
    "(Ao(AoA))oA",
    "Ao((AoA)oA)",
    "Ao(Ao(AoA))",
)
_OPERANDS = 4
# Two of three formulas name two values.
_TWO_NAMES = 2 / 3
# One of four free operands repeats a name instead of a number.
_REPEATED = 1 / 4


def arithmetic_text(rng: random.Random) -> str:
    """Return three one-digit numbers, two operators and at most one pair of brackets."""
    return _fill(rng, rng.choice(_THREE), [rng.choice(DIGITS) for _ in range(3)])


def formula_text(rng: random.Random) -> str:
    """Return one or two assignments and an expression, such as `流=7;圳=86;(圳-(9*4))*流/35`.

    The one division is a fraction whose numerator is a name; every name is used.
    """
    names = rng.sample(sorted(set(HAN)), 2 if rng.random() < _TWO_NAMES else 1)
    assignments = [f"{name}={_integer(rng)};" for name in names]
    operands = [f"{rng.choice(names)}/{_integer(rng)}"]
    # Whichever the fraction did not take; a single name was taken.
    operands += [name for name in names if name != operands[0][0]]
    while len(operands) < _OPERANDS:
        operands.append(rng.choice(names) if rng.random() < _REPEATED else str(_integer(rng)))
    rng.shuffle(operands)
    return "".join(assignments) + _fill(rng, rng.choice(FOUR), operands)


def _integer(rng: random.Random) -> int:
    """Return a number from 1 to `LARGEST`, uniform in value or in length."""
    if rng.random() < 0.5:
        return rng.randint(1, LARGEST)
    digits = rng.randint(1, 5)
    return rng.randint(10 ** (digits - 1), 10**digits - 1)


def _fill(rng: random.Random, template: str, operands: list[str]) -> str:
    waiting = iter(operands)
    parts = {"A": lambda: next(waiting), "o": lambda: rng.choice(OPERATORS)}
    return "".join(parts[sign]() if sign in parts else sign for sign in template)
