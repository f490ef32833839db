"""Labels in file names: `AB3K.png`, `AB3K_17.png`, or found by a regular expression."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import ClassVar, final

from foveal.data.files_source import NameLabels
from foveal.data.findings import about, finding, plural
from foveal.data.names import SPLIT_ALIASES
from foveal.data.readers.base import Place, Reader
from foveal.data.readers.files import foreign_files, unread_tables
from foveal.data.source import Sample, Source, SourceOptions
from foveal.errors import DataError
from foveal.types import Finding, RawTarget, SplitName

# `AB3K_17`: the seventeenth picture of one label.
_NUMBERED = re.compile(r"(.*)_[0-9]+", re.DOTALL)
# Fewer pictures than this may well be called by numbers that they show.
_MIN_COUNTED = 10


@final
class NamesReader(Reader):
    """The name without its ending and a trailing `_17`, or a group of `data.label_regex`."""

    name: ClassVar[str] = "names"
    expects: ClassVar[str] = "pictures named after their labels (AB3K.png, AB3K_17.png)"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the labelled pictures, or None when there are none.

        Raises:
            DataError: If the expression is found in no name.
        """
        pictures = place.pictures
        if not pictures:
            return None
        sides = _sides(pictures)
        samples = [
            Sample(name, label_in_name(name, options.label_regex), sides.get(name.split("/")[0]))
            for name in pictures
        ]
        bare = [sample.id for sample in samples if sample.raw is None]
        if options.label_regex is not None and len(bare) == len(samples):
            raise DataError(
                f"data.label_regex matches no name in {place.location}: {options.label_regex!r} is "
                f"not found in {PurePosixPath(pictures[0]).name}, for example.",
                hint=r"--label-regex '^([A-Z0-9]+)_' takes AB3K from AB3K_17.png",
            )
        words = "not matched by data.label_regex: these pictures have no label."
        unmatched = about(bare, "names.not_matched", "warning", "name", words)
        labels = {sample.raw for sample in samples} - {None}
        word = "text" if options.target == "text" else "label"
        return place.source(
            f"{plural(len(samples), 'picture')} with {plural(len(labels), word)} in the file names",
            samples,
            (
                *foreign_files(place.names),
                *unread_tables(place),
                *unmatched,
                *_counted(samples),
            ),
            labelled_by=NameLabels(options.label_regex),
        )


def label_in_name(name: str, label_regex: str | None) -> RawTarget | None:
    """Return the label in the name of a file, or None where there is none."""
    path = PurePosixPath(name)
    start, end = place_in_name(path.name, label_regex) or (0, -1)
    return None if end < 0 else (path.name[start:end],)


def place_in_name(name: str, label_regex: str | None) -> tuple[int, int] | None:
    """Return where in a file's name, without its folders, the label begins and ends, or None."""
    if label_regex is None:
        stem = PurePosixPath(name).stem
        match = _NUMBERED.fullmatch(stem)
        return 0, match.end(1) if match else len(stem)
    found = re.search(label_regex, name)
    if found is None:
        return None
    group: str | int = "text" if "text" in found.re.groupindex else min(found.re.groups, 1)
    # A group that took no part in the match says nothing.
    return (found.start(), found.start()) if found[group] is None else found.span(group)


def _sides(pictures: Sequence[str]) -> dict[str, SplitName]:
    """Return folder → side where every picture lies below a side of a split."""
    tops = {name.split("/")[0] if "/" in name else "" for name in pictures}
    sides = {top: SPLIT_ALIASES[top.lower()] for top in tops if top.lower() in SPLIT_ALIASES}
    return sides if len(sides) == len(tops) and "train" in sides.values() else {}


def _counted(samples: Sequence[Sample]) -> list[Finding]:
    """Warn of names that merely count the pictures: `000001.png`, `000002.png`, …"""
    labels = [sample.raw[0] for sample in samples if sample.raw]
    if len(labels) < _MIN_COUNTED or not all(re.fullmatch("[0-9]+", label) for label in labels):
        return []
    numbers = {int(label) for label in labels}
    if len(numbers) != len(labels) or max(numbers) - min(numbers) + 1 != len(numbers):
        return []
    return [
        finding(
            "names.counted",
            "warning",
            f"The names of all {plural(len(labels), 'picture')} count from {min(numbers)} to "
            f"{max(numbers)}: they are used as labels, but look like serial numbers.",
            [sample.id for sample in samples],
            hint="put the texts into labels.csv with the columns image,text",
        )
    ]
