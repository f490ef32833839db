"""Constraints on texts: a list of words, a regular expression or a grammar.

A constraint is evaluated character by character, so that a search never follows a text that cannot
be completed.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeAlias, cast, final

import regex

from foveal.errors import RecipeError, unknown_name
from foveal.tasks.read.expression import DIGITS, MAX_DEPTH, MAX_LENGTH, SIGNS

State: TypeAlias = Hashable
"""Where a constraint stands after some characters; opaque to its users."""

GRAMMARS = ("arithmetic", "formula")

# A question to an honest pattern takes microseconds; one that needs this long backtracks without
# end, and a search asks thousands of questions.
_TIMEOUT_S = 0.1
# Characters of a pattern once its repetitions are written out, as it is compiled: 20,000 take
# 0.05 s, and `a{1000000000}` all memory that there is.
_MAX_EXPANDED = 20_000
_REPEAT = re.compile(r"\{\s*(\d*)\s*(?:,\s*(\d*)\s*)?\}")


class Constraint(Protocol):
    """Interface of constraints, which accept texts character by character."""

    def start(self) -> State:
        """Return the state of the empty text."""

    def advance(self, state: State, character: str) -> State | None:
        """Return the state after a character; None if no allowed text continues like this."""

    def accepts(self, state: State) -> bool:
        """Return whether the text so far is allowed as a whole."""


class ConstraintOptions(Protocol):
    """The options of a reader that define its constraint."""

    @property
    def grammar(self) -> str:
        """`arithmetic`, `formula` or empty."""

    @property
    def pattern(self) -> str:
        """A regular expression for the whole text, or empty."""

    @property
    def words(self) -> Sequence[str]:
        """The allowed texts, or none."""


def make_constraint(options: ConstraintOptions) -> Constraint | None:
    """Return the constraint of the options, or None.

    Raises:
        RecipeError: If several are given, the grammar is unknown, or the pattern is not a regular
            expression.
    """
    chosen = {"grammar": options.grammar, "pattern": options.pattern, "words": options.words}
    given = [name for name, value in chosen.items() if value]
    if len(given) > 1:
        raise RecipeError(
            f"Expected at most one of grammar, pattern and words. Received: {', '.join(given)}.",
            hint="keep one and leave the others empty",
        )
    if options.grammar:
        return Expression(options.grammar)
    if options.pattern:
        return Regex(options.pattern)
    return WordList(options.words) if options.words else None


def allows(constraint: Constraint, text: str) -> bool:
    """Return whether a whole text is allowed."""
    state = constraint.start()
    for character in text:
        following = constraint.advance(state, character)
        if following is None:
            return False
        state = following
    return constraint.accepts(state)


@final
class WordList:
    """Allows the words of a list. The state is the text so far."""

    def __init__(self, words: Iterable[str]) -> None:
        """Keep the words and all their beginnings."""
        self._words = frozenset(words)
        self._beginnings = frozenset(
            word[:end] for word in self._words for end in range(len(word) + 1)
        )

    def start(self) -> State:
        """Return the empty text."""
        return ""

    def advance(self, state: State, character: str) -> State | None:
        """Return the text one character on, when a word begins like it."""
        text = f"{state}{character}"
        return text if text in self._beginnings else None

    def accepts(self, state: State) -> bool:
        """Say whether the text is a word."""
        return state in self._words


def expanded_length(pattern: str) -> int:
    """Return about how many characters a pattern has once its counted repetitions are written out.

    Never too few: an escaped or quoted brace is taken for a repetition too.
    """
    groups, atom, at = [0], 0, 0
    while at < len(pattern):
        repeat = _REPEAT.match(pattern, at)
        if repeat is not None:
            counts = [count for count in repeat.groups() if count]
            # Of ten digits and more, Python itself may refuse to make a number.
            times = max([1, *(int(c) if len(c) < 10 else 10**9 for c in counts)])
            groups[-1] += (times - 1) * max(1, atom)
            atom *= times
            at = repeat.end()
            continue
        if pattern[at] == "(":
            groups.append(0)
        elif pattern[at] == ")" and len(groups) > 1:
            atom = groups.pop() + 1
            groups[-1] += atom
        else:
            groups[-1] += 1
            atom = 1
        at += 1
    return sum(groups)


@final
class Regex:
    """Allows the texts that a regular expression matches from end to end.

    Needs partial matches ("could this become a match?"), which the standard `re` lacks. The state
    is the text so far: look-behinds and back references see all of it.
    """

    def __init__(self, pattern: str) -> None:
        """Compile the pattern.

        Raises:
            RecipeError: If it is no regular expression, or too large a one.
        """
        if expanded_length(pattern) > _MAX_EXPANDED:
            raise RecipeError(
                f"The pattern {pattern[:60]!r} is too large: its repetitions expand to more than "
                f"{_MAX_EXPANDED:,} characters.",
                hint="""--set 'task_options.pattern="[A-Z]{2}[0-9]{4}"'""",
            )
        try:
            self._pattern = regex.compile(pattern)
        except regex.error as error:
            raise RecipeError(
                f"Invalid pattern {pattern!r}. Expected a regular expression: {error}.",
                hint="use --set 'task_options.pattern=\"[A-Z]{2}[0-9]{4}\"'",
            ) from error

    def start(self) -> State:
        """Return the empty text."""
        return ""

    def advance(self, state: State, character: str) -> State | None:
        """Return the text one character on, when it may become a match."""
        text = f"{state}{character}"
        return text if self._matches(text, partial=True) else None

    def accepts(self, state: State) -> bool:
        """Say whether the text matches."""
        return self._matches(str(state), partial=False)

    def _matches(self, text: str, *, partial: bool) -> bool:
        try:
            match = self._pattern.fullmatch(text, partial=partial, timeout=_TIMEOUT_S)
        except TimeoutError as error:
            raise RecipeError(
                f"The pattern {self._pattern.pattern!r} took over {_TIMEOUT_S} s "
                f"on a text of {len(text)} characters.",
                hint=(
                    "rewrite it so that each text matches in only one way, such as a+ instead of "
                    "(a|aa)+"
                ),
            ) from error
        return match is not None


_Place: TypeAlias = Literal[
    "formula",  # nothing read yet
    "name",  # after the character that is assigned
    "equals",
    "value 0",
    "value",
    "line",  # after a semicolon: another assignment or the expression
    "operand",  # an operand must follow
    "0",
    "integer",
    "closed",  # after a bracket or a character that stands for a number
]
_Kind: TypeAlias = Literal["0", "1-9", "sign", "(", ")", "=", ";", "new", "known"]

_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        **dict.fromkeys(DIGITS, "1-9"),
        **dict.fromkeys(SIGNS, "sign"),
        **{"0": "0", "(": "(", ")": ")", "=": "=", ";": ";"},
    }
)
_OPERAND: Mapping[_Kind, _Place] = MappingProxyType(
    {"0": "0", "1-9": "integer", "(": "operand", "known": "closed"}
)
_AFTER_OPERAND: Mapping[_Kind, _Place] = MappingProxyType({"sign": "operand", ")": "closed"})
_MOVES: Mapping[_Place, Mapping[_Kind, _Place]] = MappingProxyType(
    {
        "formula": {"new": "name"},
        "name": {"=": "equals"},
        "equals": {"0": "value 0", "1-9": "value"},
        "value 0": {";": "line"},
        "value": {"0": "value", "1-9": "value", ";": "line"},
        "line": {**_OPERAND, "new": "name"},
        "operand": _OPERAND,
        "0": _AFTER_OPERAND,
        "integer": {**_AFTER_OPERAND, "0": "integer", "1-9": "integer"},
        "closed": _AFTER_OPERAND,
    }
)
_DEPTH: Mapping[_Kind, int] = MappingProxyType({"(": 1, ")": -1})


class _Progress(NamedTuple):
    place: _Place
    depth: int  # brackets open
    names: str  # characters that were assigned
    length: int


@final
class Expression:
    """Allows exactly the texts that `foveal.tasks.read.expression.evaluate` can parse.

    Division by zero is allowed: whether the picture shows it is not a question of grammar.
    """

    def __init__(self, grammar: str) -> None:
        """Choose the grammar: `arithmetic` (no assignments) or `formula` (at least one).

        Raises:
            RecipeError: If there is no such grammar.
        """
        if grammar not in GRAMMARS:
            raise RecipeError(unknown_name("grammar", grammar, GRAMMARS))
        self._first: _Place = "formula" if grammar == "formula" else "operand"

    def start(self) -> State:
        """Return the state of the empty text."""
        return _Progress(self._first, 0, "", 0)

    def advance(self, state: State, character: str) -> State | None:
        """Return the state one character on, or None."""
        progress = cast(_Progress, state)
        kind = _kind(character, progress.names)
        place = _MOVES[progress.place].get(kind) if kind else None
        if kind is None or place is None:
            return None
        depth = progress.depth + _DEPTH.get(kind, 0)
        length = progress.length + 1
        if not 0 <= depth <= MAX_DEPTH or length + depth > MAX_LENGTH:
            return None
        names = progress.names + character if kind == "new" else progress.names
        return _Progress(place, depth, names, length)

    def accepts(self, state: State) -> bool:
        """Say whether the text so far is a whole expression."""
        progress = cast(_Progress, state)
        return progress.depth == 0 and progress.place in ("0", "integer", "closed")


def _kind(character: str, names: str) -> _Kind | None:
    if character in names:
        return "known"
    return _KINDS.get(character) or (None if character.isspace() else "new")
