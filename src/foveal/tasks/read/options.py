"""The options of a reader, and their choice from the texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

from foveal.errors import RecipeError
from foveal.settings import About
from foveal.tasks.read.constraint import Expression, allows
from foveal.types import JsonObject, Labels

# Fewer texts than this say little about what all of them look like.
_ENOUGH_TEXTS = 20
# Signs that make an expression of a text; without any, digits are a serial number.
_OPERATORS = frozenset("+-*/=")


@final
@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of a reader besides its alphabet."""

    head: Annotated[
        Literal["ctc", "gru", "positions"],
        About(
            "`ctc` (convolutions, any length), `gru` (the classic recurrent layers, any length) "
            "or `positions` (one classifier for each place of a short text)."
        ),
    ] = "ctc"
    length: Annotated[int, About("Places of the head `positions`: the longest text.", ge=0)] = 0
    steps_per_column: Annotated[
        int,
        About(
            "With the heads `ctc` and `gru`: distributions for each column of the feature map. Two "
            "equal characters need three; 2 tells narrower ones apart.",
            ge=1,
            le=4,
        ),
    ] = 1
    grammar: Annotated[
        Literal["", "arithmetic", "formula"],
        About("Every answer follows it and has an exact value."),
    ] = ""
    pattern: Annotated[str, About("Regular expression that every answer matches.")] = ""
    words: Annotated[tuple[str, ...], About("The only answers there are.")] = ()
    decoder: Annotated[
        Literal["greedy", "beam"],
        About("`greedy`, or `beam` for the most probable text over all its alignments."),
    ] = "greedy"
    beam_width: Annotated[
        int, About("With the decoder `beam`: prefixes kept after each column.", ge=1)
    ] = 16


def choose_options(texts: Sequence[str]) -> tuple[JsonObject, dict[str, str]]:
    """Return what the texts call for, and why: their length, and a grammar if all follow one."""
    options: JsonObject = {"length": max((len(text) for text in texts), default=0)}
    reasons = {"task_options.length": "the longest text; used only by the head `positions`"}
    grammar = _common_grammar(texts)
    if grammar:
        options["grammar"] = grammar
        reasons["task_options.grammar"] = (
            f"all {len(texts)} texts are expressions of this form: every answer will be one too"
        )
    return options, reasons


def _common_grammar(texts: Sequence[str]) -> str:
    if len(texts) < _ENOUGH_TEXTS or not all(_OPERATORS & set(text) for text in texts):
        return ""
    for name in ("arithmetic", "formula"):
        grammar = Expression(name)
        if all(allows(grammar, text) for text in texts):
            return name
    return ""


def check_words(options: ReadOptions, labels: Labels) -> None:
    """Refuse words that hold what no picture shows.

    Raises:
        RecipeError: For a word that is empty, or has a character outside the alphabet.
    """
    known = frozenset(labels.names)
    for word in options.words:
        if not word or not known.issuperset(word):
            raise RecipeError(
                f"Invalid word {word!r}. Expected only characters that occur in the labels: "
                f"{''.join(labels.names[:60])!r}.",
                hint="""--set 'task_options.words=["0042", "ON"]'""",
            )
