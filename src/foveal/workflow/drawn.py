"""How many pictures are drawn for a training with a time budget."""

from __future__ import annotations

import time
from collections.abc import Callable

from foveal.data.decode import DEFAULT_LIMITS
from foveal.machine import available_cores
from foveal.recipe import Recipe
from foveal.synth import SynthSource, is_synth, open_synth
from foveal.synth.source import DEFAULT_COUNT, with_count

# Of the budget, for drawing the first pictures: most of it is for training.
DRAWN_SHARE = 0.25
# Fewer validate too roughly, and are drawn within seconds.
_LEAST = 200
_TIMED = 40
# They are scaled, measured for the checks and stored as well: 0.41 to 0.68 of the rate of drawing
# alone, for captchas, letters and formulas on two busy cores, 2026-12.
_STORED_SHARE = 0.5


def fit_drawn(
    location: str, recipe: Recipe, *, rate: Callable[[SynthSource], float] | None = None
) -> str:
    """Return a location with as many drawn pictures as a time budget leaves time for.

    Anything but drawn pictures whose number the user left open stays as it is, as does a budget
    that is enough for the usual number.

    Args:
        location: Path, URL, or `synth:KIND`.
        recipe: As the user gave it.
        rate: Returns how many pictures are drawn and stored in a second; None draws some to
            measure it.

    Raises:
        UsageError: If the kind or an option is unknown, or a value is invalid.
        DataError: If this machine has no font that can draw them.
    """
    budget = recipe.train.budget_s
    if budget is None or recipe.data.sample is not None or not is_synth(location):
        return location
    timed = with_count(location, _TIMED)
    if timed == location:
        return location
    per_second = (rate or _rate)(open_synth(timed))
    count = int(DRAWN_SHARE * budget * per_second)
    if count >= DEFAULT_COUNT:
        return location
    return with_count(location, max(_LEAST, count // 100 * 100))


def _rate(source: SynthSource) -> float:
    """Return how many pictures all cores are likely to draw and store in a second."""
    first, *others = source.samples
    source.load(first, DEFAULT_LIMITS)  # Fills caches of glyphs.
    begun = time.perf_counter()
    for sample in others:
        source.load(sample, DEFAULT_LIMITS)
    drawn = len(others) / (time.perf_counter() - begun)
    return available_cores() * _STORED_SHARE * drawn
