"""Open a source with the options of a recipe."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from foveal.bundle.bundle import Bundle
from foveal.curation.feedback import is_collected
from foveal.data.decode import DEFAULT_LIMITS, DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything, Source, TargetKind
from foveal.errors import DataError
from foveal.recipe import Recipe
from foveal.settings import parse_section
from foveal.synth import is_synth, kind_of, open_synth
from foveal.tasks import get_task
from foveal.types import RawTarget


def target_kind_of(recipe: Recipe) -> TargetKind:
    """Return what a label is for the recipe's task.

    Raises:
        UsageError: If there is no such task.
    """
    return get_task(recipe.task).target_kind


def with_task(recipe: Recipe, location: str | Path) -> Recipe:
    """Return the recipe with the task of generated data (`synth:KIND`), unless one is given."""
    if not is_synth(location):
        return recipe
    task = kind_of(str(location)).task
    return recipe.filled(Recipe(task=task, reasons={"task": f"{location} is made for it"}))


def limits_of(recipe: Recipe) -> DecodeLimits:
    """Return the size limits of a recipe."""
    return DecodeLimits(
        max_bytes=recipe.data.max_bytes,
        max_pixels=recipe.data.max_pixels,
        hint="--set data.max_{}=N raises the limit",
    )


def reading_of(
    bundle: Bundle, *, label_regex: str | None = None, limits: DecodeLimits = DEFAULT_LIMITS
) -> ReadAnything:
    """Return how labelled data are read for a bundle: as those that it was trained on.

    Args:
        bundle: The bundle.
        label_regex: Finds the label in a file name.
        limits: Limits on mask files that are decoded as a whole.
    """
    task = bundle.task
    return ReadAnything(
        label_regex=label_regex,
        target=task.target_kind,
        limits=limits,
        objects=task.has_objects(bundle.manifest.task_options),
    )


def open_for(location: str | Path, recipe: Recipe) -> Source:
    """Return the source at a path or URL, or of pictures to be drawn (`synth:captcha`).

    Raises:
        DataError: If nothing is there, or nothing that can be read.
        RecipeError: For a bad regular expression.
        UsageError: If there is no such task.
    """
    source = open_as(location, read_options(recipe))
    return source if recipe.data.sample is None else drawn(source, recipe.data.sample, recipe.seed)


def drawn(source: Source, count: int, seed: int) -> Source:
    """Return a source with about so many of its samples, in their order.

    Every label, as it is found, keeps its share, and at least one sample. Which ones they are
    follows from their ids and the seed alone, so that nearly the same ones are drawn when the
    data has grown.

    Args:
        source: All samples.
        count: About how many are wanted.
        seed: Random seed.
    """
    samples = source.samples
    if count >= len(samples):
        return source
    groups: dict[RawTarget | None, list[int]] = {}
    for at, sample in enumerate(samples):
        groups.setdefault(sample.raw, []).append(at)
    key = seed.to_bytes(8, "little", signed=True)

    def rank(at: int) -> bytes:
        return hashlib.blake2b(samples[at].id.encode(), digest_size=8, key=key).digest()

    chosen: list[int] = []
    for members in groups.values():
        wanted = max(1, round(count * len(members) / len(samples)))
        chosen += heapq.nsmallest(wanted, members, key=rank)
    chosen.sort()
    words = f"{source.layout}, of which {len(chosen):,} are drawn"
    return replace(source, samples=tuple(samples[at] for at in chosen), layout=words)


def read_options(recipe: Recipe) -> ReadAnything:
    """Return how a recipe wants its data read.

    Raises:
        UsageError: If there is no such task.
    """
    return ReadAnything(
        layout=recipe.data.layout,
        group_regex=recipe.data.group_regex,
        label_regex=recipe.data.label_regex,
        label_column=recipe.data.label_column,
        target=target_kind_of(recipe),
        limits=limits_of(recipe),
        objects=get_task(recipe.task).has_objects(recipe.task_options),
    )


def unread(recipe: Recipe, sections: Collection[str]) -> list[str]:
    """Return the keys that were given and do not say how data is read.

    Args:
        recipe: Settings given for reading the data.
        sections: Sections whose keys do; of the options of a task, what tells objects apart does.

    Raises:
        RecipeError: For an option that the task does not have, or a wrong value of one.
    """
    task, options = get_task(recipe.task), recipe.task_options
    if options:
        parse_section(task.options_type, options, "task_options.")
    keys = []
    for key in sorted(recipe.given):
        section, _, name = key.partition(".")
        others = {other: value for other, value in options.items() if other != name}
        tells_objects = task.has_objects(options) and not task.has_objects(others)
        if section not in sections and not (section == "task_options" and tells_objects):
            keys.append(key)
    return keys


def open_as(location: str | Path, options: ReadAnything) -> Source:
    """Return the source that a location names, read or drawn; see `open_for` for the errors."""
    if is_synth(location):
        return open_synth(str(location))
    if is_collected(location):
        raise DataError(
            f"{location} contains feedback collected by `foveal serve --collect`. Expected "
            "labelled pictures; merge the feedback into a data set first.",
            hint=f"foveal corrections {location} --all --merge DATA, then use DATA",
        )
    return open_source(location, options)
