"""Split data into the folders train, val and test, which other tools read too."""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.atomic import atomic_path
from foveal.console import Progress
from foveal.data.cache import Cache
from foveal.data.scan import Scan
from foveal.data.source import Source, digest_of
from foveal.data.split import UNUSED, assign_splits
from foveal.destination import check_folder, writing
from foveal.errors import DataError, RecipeError, UsageError
from foveal.machine import available_cores
from foveal.pipeline import Pipeline
from foveal.recipe import Recipe
from foveal.render.markup import table_html
from foveal.types import SPLIT_NAMES, Finding, JsonObject
from foveal.urls import is_url, local_path
from foveal.workflow.kept import opened
from foveal.workflow.sources import limits_of, target_kind_of, unread
from foveal.workflow.tree import Form, form_of, write_tree

# Large enough for the perceptual hash; the pixels are thrown away.
_SIDE = 32
_READ = ("task", "seed", "data")


@final
@dataclass(frozen=True, slots=True)
class Shares:
    """Sizes of the parts of a split.

    Attributes:
        val_share: Share of validation pictures.
        test_share: Share of test pictures.
    """

    val_share: float
    test_share: float


@final
@dataclass(frozen=True, repr=False)
class Divided:
    """The result of a split into folders.

    Attributes:
        data: Location of the data.
        out: Folder that was written.
        layout: Layout of the data, in words.
        totals: Part → number of pictures.
        counts: Label → part → number of pictures, which may have several labels; for texts, the
            label `""` stands for all of them.
        left_out: Number of pictures that were not written because they are unreadable or
            unlabelled.
        findings: Problems of parts that the data define.
    """

    data: str
    out: Path
    layout: str
    totals: dict[str, int]
    counts: dict[str, dict[str, int]]
    left_out: int
    findings: tuple[Finding, ...]

    @property
    def header(self) -> list[str]:
        """Column headers of `rows`."""
        return ["class", *self.totals]

    def rows(self) -> list[list[str]]:
        """Return the number of pictures of each class in each part."""
        rows = [
            [label, *(str(counts.get(side, 0)) for side in self.totals)]
            for label, counts in self.counts.items()
            if label
        ]
        return [*rows, ["all", *map(str, self.totals.values())]]

    def to_json(self) -> JsonObject:
        """Return the output of `split --json`."""
        return {
            "schema_version": 1,
            "data": self.data,
            "out": str(self.out),
            "totals": self.totals,
            "counts": self.counts,
            "left_out": self.left_out,
            "findings": [finding.to_json() for finding in self.findings],
        }

    def __repr__(self) -> str:
        """Return a summary in one line."""
        sides = ", ".join(f"{side} {count:,}" for side, count in self.totals.items())
        return f"Divided({self.data} to {self.out}: {sides})"

    def _repr_html_(self) -> str:
        return table_html(self.header, self.rows())


def divide(
    data: str | Path,
    out: Path,
    recipe: Recipe,
    shares: Shares,
    form: Form,
    *,
    look: bool,
    progress: Progress,
) -> Divided:
    """Write train, val and test below a folder, completely or not at all.

    Args:
        data: As for `foveal train`.
        out: Folder to write; must be empty or not exist.
        recipe: Settings for reading the data.
        shares: Sizes of the parts; parts that the data define are kept.
        form: Format in which pictures are written.
        look: Open every picture, so that duplicates stay together and unreadable ones are left out.
        progress: Receives the progress.

    Raises:
        DataError: If there are no pictures to split, or a label cannot be the name of a folder.
        RecipeError: If a setting does not concern reading the data.
        UsageError: If the shares leave nothing to train on, the folder is not empty or lies inside
            the data, or links are requested to pictures that are not local files.
    """
    _check(data, out, recipe, shares)
    source, recipe = opened(data, recipe)
    target = target_kind_of(recipe)
    form = form_of(source, form, target)
    scan = _scanned(source, recipe, progress) if look else _unseen(source)
    sides, findings = assign_splits(
        source.samples,
        scan,
        shares,
        seed=recipe.seed,
        near_distance=recipe.data.near_duplicate_distance,
        target=target,
    )
    if (sides == UNUSED).all():
        raise DataError(
            f"No picture in {data} can be read and has a label: {source.layout}.",
            hint=f"foveal check {data}",
            code="data_empty",
        )
    with writing(out):
        if out.exists():
            # Only when it is empty still.
            out.rmdir()
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(out) as draft:
            draft.mkdir()
            write_tree(source, sides, draft, form, limits_of(recipe), progress)
    return Divided(
        data=str(data),
        out=out,
        layout=source.layout,
        totals={
            name: int(count)
            for side, name in enumerate(SPLIT_NAMES)
            if (count := np.count_nonzero(sides == side))
        },
        counts=_counts(source, sides, is_text=target == "text"),
        left_out=int((sides == UNUSED).sum()),
        findings=tuple(findings),
    )


def _check(data: str | Path, out: Path, recipe: Recipe, shares: Shares) -> None:
    for key in unread(recipe, _READ):
        raise RecipeError(
            f"{key} has no effect on a split. Expected keys of {', '.join(_READ)}.",
            hint="use --val and --test to set the shares",
        )
    val, test = shares.val_share, shares.test_share
    if not (0 <= val < 1 and 0 <= test < 1 and 0 < val + test < 1):
        raise UsageError(
            f"Invalid shares. Expected --val and --test of 0 or more, together above 0 and below "
            f"1. Received: {val:g} and {test:g}.",
            hint="use --val 0.2 --test 0.1",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder.", hint="choose another --out")
    check_folder(out)
    if not is_url(data):
        folder = local_path(data).resolve()
        if folder == out.resolve() or folder in out.resolve().parents:
            raise UsageError(
                f"{out} is inside {data}, so its pictures would be read as further data.",
                hint=f"use --out {shlex.quote(str(folder.with_name(folder.name + '-split')))}",
            )


def _scanned(source: Source, recipe: Recipe, progress: Progress) -> Scan:
    pipeline = Pipeline(_SIDE, _SIDE)
    with tempfile.TemporaryDirectory(prefix="foveal-split-") as folder:
        cache = Cache.build(
            source,
            replace(pipeline, fit="tile", scale=0.125) if source.classes else pipeline,
            Path(folder) / "cache",
            limits_of(recipe),
            workers=available_cores(),
            progress=progress,
        )
        cache.close()
    return cache.scan


def _unseen(source: Source) -> Scan:
    """Return a scan in which every picture is readable and unique."""
    count = len(source.samples)
    scan = Scan.empty(count)
    scan.ok[:] = True
    for index, sample in enumerate(source.samples):
        scan.digest[index] = np.frombuffer(digest_of(sample.id.encode()), np.uint8)
    return scan


def _counts(source: Source, sides: NDArray[np.int8], *, is_text: bool) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for sample, side in zip(source.samples, sides.tolist(), strict=True):
        if side != UNUSED:
            for label in ("",) if is_text else sample.raw or ():
                counts.setdefault(label, Counter())[SPLIT_NAMES[side]] += 1
    return {label: dict(counts[label]) for label in sorted(counts)}
