"""Plan a cleaning: from changes of samples to file moves and table edits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self, final

from foveal.curation.names import Names, is_folder_name
from foveal.curation.page_files import can_lay_out, laid_out
from foveal.curation.prepare import Edit, Move
from foveal.curation.shapes import shape_edits
from foveal.curation.tables import table_edits
from foveal.data.decode import DecodeLimits
from foveal.data.files_source import FileSource, FolderLabels, NameLabels, TableLabels
from foveal.data.names import QUARANTINE
from foveal.data.readers.file_names import label_in_name, place_in_name
from foveal.data.source import Sample, TargetKind
from foveal.types import JsonObject


@final
@dataclass(frozen=True, slots=True)
class Change:
    """The planned change of a sample.

    Attributes:
        sample: Id of the sample.
        action: `relabel`, `quarantine`, or `lay out`: page steps change the picture itself.
        label: The new label or text, several labels joined by `|`; for `relabel` alone.
        reason: Why, in words.
        finding: Id of the finding behind it, or None.
        was: The label before, or None where there was none.
    """

    sample: str
    action: Literal["relabel", "quarantine", "lay out"]
    label: str | None
    reason: str
    finding: str | None
    was: str | None = None

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "sample": self.sample,
            "action": self.action,
            "label": self.label,
            "reason": self.reason,
            "finding": self.finding,
            "was": self.was,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote.

        Raises:
            KeyError: If a key is missing.
        """
        return cls(
            value["sample"],
            value["action"],
            value["label"],
            value["reason"],
            value["finding"],
            value["was"],
        )


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """Page pre-processing of pictures in a cleaning.

    Attributes:
        steps: Page steps, as a recipe writes them.
        limits: Limits of the pictures.
        unreadable: Ids of those that cannot be read.
    """

    steps: tuple[str, ...]
    limits: DecodeLimits
    unreadable: Collection[str]


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a cleaning.

    Attributes:
        changes: Those that can be made, in the order given.
        passed_over: Why not → the samples concerned.
        moves: Files that move.
        edits: Files that get new content.
    """

    changes: tuple[Change, ...]
    passed_over: Mapping[str, tuple[str, ...]]
    moves: tuple[Move, ...]
    edits: tuple[Edit, ...]


def make_plan(
    source: FileSource,
    data: Path,
    target: TargetKind,
    wanted: Sequence[Change],
    layout: Layout | None = None,
) -> Plan:
    """Return how changes are made, and which cannot be.

    Pictures keep their way below the quarantine; a new label moves them to its class folder (on
    their side of a split), changes their rows in the table, or their names. What belongs to a
    picture goes with it: its mask, and files of its stem beside it that are no pictures; a COCO
    file no longer lists it. A name that is taken gets a number. Pictures behind links to folders
    are never moved.

    Args:
        source: The data as they are now.
        data: Their folder.
        target: Kind of label.
        wanted: At most one for each sample.
        layout: How pictures are laid out that nothing else is wanted of; None leaves them.

    Raises:
        DataError: If a label cannot be written into a table.
    """
    planner = _Planner(source, data, target)
    for change in wanted:
        planner.add(change)
    if layout is not None:
        planner.lay_out(layout, {change.sample for change in wanted if change.action == "relabel"})
    return planner.plan()


@final
class _Planner:
    """Collects changes one by one; no two may claim one name."""

    def __init__(self, source: FileSource, data: Path, target: TargetKind) -> None:
        self._source = source
        self._data = data
        self._target = target
        self._samples = {sample.id: sample for sample in source.samples}
        self._names = Names(data)
        self._changes: list[Change] = []
        self._passed_over: defaultdict[str, list[str]] = defaultdict(list)
        self._moves: list[Move] = []
        self._rows: dict[str, str | None] = {}
        self._laid: list[Edit] = []
        self._unlisted: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, change: Change) -> None:
        sample = self._samples.get(change.sample)
        problem = "no longer there"
        if sample is not None:
            change = replace(change, was="|".join(sample.raw) if sample.raw else None)
            problem = self._problem(sample, change) or ""
        if problem:
            self._passed_over[problem].append(change.sample)
        else:
            self._changes.append(change)

    def lay_out(self, layout: Layout, relabelled: Collection[str]) -> None:
        """Add the change of all pictures that stay where they are."""
        words = f"laid out by {' '.join(layout.steps)}"
        moved = {move.sample for move in self._moves}
        for sample in self._source.samples:
            if sample.id in moved and sample.id not in relabelled:
                continue
            problem = self._not_laid_out(sample.id, layout, moved)
            if problem:
                self._passed_over[problem].append(sample.id)
                continue
            raw = "|".join(sample.raw) if sample.raw else None
            self._changes.append(Change(sample.id, "lay out", None, words, None, raw))
            self._laid.append(Edit(sample.id, laid_out(sample.id, layout.steps, layout.limits)))

    def _not_laid_out(self, id: str, layout: Layout, moved: Collection[str]) -> str | None:
        if id in moved:
            return "not laid out while they move to another label; clean again"
        if id in layout.unreadable:
            return "not laid out, because they cannot be read"
        if not can_lay_out(id):
            return f"not laid out, because {PurePosixPath(id).suffix} is not supported"
        if self._names.is_outside(id) or (self._data / id).is_symlink():
            return "outside the folder, or behind a link"
        return None

    def plan(self) -> Plan:
        passed_over = {why: tuple(samples) for why, samples in self._passed_over.items()}
        tables = table_edits(self._source, self._data, self._target, self._rows)
        lists = shape_edits(self._source, self._data, self._unlisted)
        edits = (*tables, *lists, *self._laid)
        return Plan(tuple(self._changes), passed_over, tuple(self._moves), edits)

    def _problem(self, sample: Sample, change: Change) -> str | None:
        """Plan the change of a sample, or return why that is not possible."""
        by = self._source.labelled_by
        if change.action == "quarantine":
            if self._names.is_outside(sample.id):
                return "outside the folder, or behind a link"
            if isinstance(by, TableLabels):
                self._rows[sample.id] = None
            if (name := self._list_of(sample.id)) is not None:
                self._unlisted[name].add(sample.id)
            self._move(sample, change, f"{QUARANTINE}/{sample.id}")
            return None
        label = change.label or ""
        if label == (change.was or "") and (label or sample.raw is not None):
            return "already labelled this way"
        if self._target == "mask":
            return "masks, which have no label to change"
        if isinstance(by, TableLabels):
            if self._target == "labels" and not label.strip():
                return "no label to give"
            self._rows[sample.id] = label
            return None
        if self._names.is_outside(sample.id):
            return "outside the folder, or behind a link"
        if isinstance(by, FolderLabels):
            return self._into_folder(sample, change, label, by.depth)
        if isinstance(by, NameLabels):
            return self._into_name(sample, change, label, by.label_regex)
        return "without a place for a label (neither class folders nor a table)"

    def _into_folder(self, sample: Sample, change: Change, label: str, depth: int) -> str | None:
        if not is_folder_name(label):
            return f"{label!r} cannot be the name of a folder"
        parts = sample.id.split("/")
        self._move(sample, change, "/".join((*parts[:depth], label, *parts[depth + 1 :])))
        return None

    def _into_name(
        self, sample: Sample, change: Change, label: str, regex: str | None
    ) -> str | None:
        folder, _, name = sample.id.rpartition("/")
        start, end = place_in_name(name, regex) or (0, 0)
        path = PurePosixPath(f"{name[:start]}{label}{name[end:]}")
        if not label or not is_folder_name(path.name) or "/" in label:
            return f"{label!r} cannot be in the name of a file"
        tries = (path.name, *(f"{path.stem}_{number}{path.suffix}" for number in range(2, 10_000)))
        way = f"{folder}/" if folder else ""
        for candidate in tries:
            fits = label_in_name(candidate, regex) == (label,)
            if fits and self._names.are_free([way + candidate]):
                self._move(sample, change, way + candidate)
                return None
        return f"{label!r} would not be found in the name again"

    def _list_of(self, id: str) -> str | None:
        return None if self._source.masks is None else self._source.masks.list_of(id)

    def _move(self, sample: Sample, change: Change, target: str) -> None:
        """Move a picture and what belongs to it to names that are free for all of them."""
        files = {sample.id: target}
        stem, _ = _cut(target)
        by = self._source.labelled_by
        shared = set(by.files if isinstance(by, TableLabels) else ())
        if (listed := self._list_of(sample.id)) is not None:
            shared.add(listed)
        for name in self._names.companions(sample.id, shared):
            files[name] = stem + name[len(_cut(sample.id)[0]) :]
        mask = self._source.masks.file(sample.id) if self._source.masks else None
        if mask is not None and mask not in files:
            # Only a quarantine moves a picture with a mask.
            files[mask] = f"{QUARANTINE}/{mask}"
        number = 1
        targets = list(files.values())
        while not self._names.are_free(targets):
            number += 1
            targets = [f"-{number}".join(_cut(name)) for name in files.values()]
        self._names.take(targets)
        is_quarantine = change.action == "quarantine"
        self._moves += [
            Move(name, goal, sample.id, change.reason, change.finding, is_quarantine)
            for name, goal in zip(files, targets, strict=True)
        ]


def _cut(name: str) -> tuple[str, str]:
    """Return a name up to its ending, and the ending."""
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix), suffix
