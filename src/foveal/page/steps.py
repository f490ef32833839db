"""The names of the steps and how a recipe writes them: `median`, `median:5`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from foveal.errors import RecipeError, unknown_name

# Above it OpenCV's median of 8-bit pixels gives up.
LARGEST_SIZE: Final = 255

STEPS: Final = MappingProxyType(
    {
        "grey": "Turn colours into shades of grey.",
        "equalise": "Spread the shades evenly (histogram equalisation).",
        "median": "Replace each pixel by the median around it: removes noise, keeps edges.",
        "threshold": "Tell ink from ground: more contrast than the noise, after Otsu.",
        "open": "Remove what is thinner than the size from the ink: specks, hairlines.",
        "close": "Fill gaps narrower than the size in the ink: broken strokes.",
        "lines": "Find the lines of text, cut them out and join them left to right.",
        "fractions": "As lines; the denominator of a fraction follows its numerator in the row.",
        "trim": "Cut the picture to its ink.",
        "margin": "Put even margins around it, in percent of its height.",
    }
)
"""Name → what the step does."""

LINE_STEPS: Final = ("lines", "fractions")
"""The steps that find lines of text."""

CUTS: Final = (*LINE_STEPS, "trim")
"""The steps that cut the picture; a recipe has one of them at most."""

LARGEST_MARGIN: Final = 200
"""In percent of the picture's height."""

# Side of the neighbourhood in pixels where the recipe names none; 0: the step chooses it. Of a
# margin, percent of the picture's height.
_DEFAULT_SIZES: Final = {"median": 3, "open": 3, "close": 3, "threshold": 0, "margin": 25}

DEFAULT_STEPS: Final = ("grey", "median:3", "threshold", "open:3", "lines")
"""Finds the lines of pages with clean or noisy ground, stray lines and specks."""

FRACTION_STEPS: Final = ("grey", "median:3", "threshold", "fractions")
"""The same for pages with built-up fractions, whose bars `open` would remove from small ones."""


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        name: A key of `STEPS`.
        size: Side of the neighbourhood in pixels, odd; of a margin, percent of the picture's
            height; 0 where there is none.
    """

    name: str
    size: int = 0

    def __str__(self) -> str:
        """Return the step as a recipe writes it."""
        return f"{self.name}:{self.size}" if self.size else self.name


def parse_step(text: str) -> Step:
    """Read one step, such as `grey` or `median:5`.

    Raises:
        RecipeError: For an unknown name, or a size that is not odd or out of range.
    """
    name, colon, number = text.strip().partition(":")
    if name not in STEPS:
        raise RecipeError(unknown_name("step", name, STEPS))
    if not colon:
        return Step(name, _DEFAULT_SIZES.get(name, 0))
    if name not in _DEFAULT_SIZES:
        raise RecipeError(f"The step {name!r} does not accept a size. Received: {text!r}.")
    size = int(number) if number.isascii() and number.isdigit() else 0
    if name == "margin":
        if not 1 <= size <= LARGEST_MARGIN:
            raise RecipeError(
                "Invalid size of the step 'margin'. Expected a percentage of the picture's "
                f"height, from 1 to {LARGEST_MARGIN}. Received: {number!r}.",
                hint="margin:25",
            )
        return Step(name, size)
    if size % 2 == 0 or not 3 <= size <= LARGEST_SIZE:
        raise RecipeError(
            f"Invalid size of the step {name!r}. "
            f"Expected an odd number from 3 to {LARGEST_SIZE}. Received: {number!r}.",
            hint=f"{name}:5",
        )
    return Step(name, size)


def parse_steps(texts: Sequence[str]) -> tuple[Step, ...]:
    """Read the steps of a recipe and check that they can follow one another.

    Raises:
        RecipeError: As `parse_step`; for a text in place of a list; when there is no step; when a
            step that cuts has no ink to look for, comes twice or beside another one, or `margin`
            comes before it.
    """
    if isinstance(texts, str):
        # Would be read letter by letter.
        raise RecipeError(
            f"Invalid steps. Expected a list. Received: {texts!r}.",
            hint=f"for example {list(DEFAULT_STEPS)}",
        )
    steps = tuple(parse_step(text) for text in texts)
    names = [step.name for step in steps]
    if not names:
        raise RecipeError(
            "No step was given. Expected at least one.",
            hint=f"for example {' '.join(DEFAULT_STEPS)}",
        )
    for name in CUTS:
        if names.count(name) > 1:
            raise RecipeError(f"The step {name!r} occurs twice. Expected it at most once.")
        if name in names and "threshold" not in names[: names.index(name)]:
            raise RecipeError(
                f"The step {name!r} looks for ink. Expected 'threshold' before it.",
                hint=f"for example {' '.join(DEFAULT_STEPS[:-1])} {name}",
            )
    cuts = [at for at, name in enumerate(names) if name in CUTS]
    if len(cuts) > 1:
        first, second = (names[at] for at in cuts[:2])
        hint = "leave out lines: fractions finds the lines too"
        if "trim" in (first, second):
            other = second if first == "trim" else first
            hint = f"leave out trim: {other} already cuts each line to its ink"
        raise RecipeError(
            f"The steps {first!r} and {second!r} both cut the picture. Expected one of them.",
            hint=hint,
        )
    if "margin" in names and any(at > names.index("margin") for at in cuts):
        raise RecipeError(
            "The step 'margin' comes before the step that cuts the picture. Expected it after.",
            hint=f"for example {' '.join(DEFAULT_STEPS[:-1])} trim margin",
        )
    return steps
