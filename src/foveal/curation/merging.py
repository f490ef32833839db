"""Put accepted corrections into a labelled set: each picture once, nothing overwritten.

Whatever instant the process ends at, the next merge goes on from there: a picture is written before
its label, the label before its provenance, and what is there already is recognised by its bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import final

from foveal.curation.corrections import Correction, note_merged
from foveal.curation.feedback import Feedback
from foveal.curation.labelled import ClassFolders, Labelled, MaskFolders, TableOfLabels
from foveal.curation.lines import Format, append_lines, opened_to_append, read_lines
from foveal.curation.workspace import Workspace
from foveal.data.files_source import FileSource, FolderLabels, TableLabels
from foveal.data.layouts import open_source
from foveal.data.masks.source import MaskFiles
from foveal.data.source import ReadAnything, Sample, TargetKind
from foveal.errors import DataError, UsageError
from foveal.types import JsonObject

PROVENANCE_NAME = "corrections.jsonl"
"""In the set's hidden folder: a line for each picture that a merge has added."""
# What a new set is made of.
_OWN = {".foveal", "corrections", "labels.csv", "classes.txt", "images", "masks"}


@final
@dataclass(frozen=True, slots=True)
class Merged:
    """The result of a merge.

    Attributes:
        into: The labelled set.
        added: Id → name of the picture in the set.
        already: Id → name of the picture that was there with the same label.
        conflicting: Id → the picture that was there with another label, and that label; nothing
            was changed.
        new_classes: Classes of added pictures that no picture of the set had, sorted; none for a
            new set. One of them may be a misspelt label.
    """

    into: Path
    added: dict[int, str]
    already: dict[int, str]
    conflicting: dict[int, tuple[str, tuple[str, ...]]]
    new_classes: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "into": str(self.into),
            "added": {str(id): name for id, name in self.added.items()},
            "already": {str(id): name for id, name in self.already.items()},
            "conflicting": {
                str(id): {"image": name, "label": list(label)}
                for id, (name, label) in self.conflicting.items()
            },
            "new_classes": list(self.new_classes),
        }


def merge(corrections: Sequence[Correction], folder: Path, into: Path) -> Merged:
    """Add corrections to a labelled set.

    Args:
        corrections: Accepted ones, all of one kind of model.
        folder: Where they are.
        into: Class folders, a table or pictures with masks; made when it is not there or empty.

    Raises:
        DataError: If the set cannot be added to.
        UsageError: For corrections of several models that answer with different things.
    """
    if not corrections:
        return Merged(into, {}, {}, {})
    kinds = {one.feedback.said.target for one in corrections}
    if len(kinds) > 1:
        raise UsageError(
            f"These corrections are for models that predict {' and '.join(sorted(kinds))}. "
            "Expected one kind.",
            hint="use --model NAME",
        )
    (target,) = kinds
    samples, labelled = _opened(into, target, corrections)
    merged = Merged(into, {}, {}, {})
    provenance = Workspace.of(into).path / PROVENANCE_NAME
    with opened_to_append(provenance) as file:
        there = _known(into, samples, corrections, folder)
        noted = {str(line["sha256"]) for line in read_lines(provenance, _FORMAT)}
        for one in corrections:
            # A class that cannot be a folder is refused before anything is added.
            if one.feedback.sha256 not in there:
                labelled.name(one.feedback.sha256, one, "")
        for one in corrections:
            digest = one.feedback.sha256
            found = there.get(digest)
            if found is not None and not _says_the_same(found, one):
                merged.conflicting[one.id] = (found.id, found.raw or ())
                continue
            if found is None:
                name = labelled.name(digest, one, PurePosixPath(one.feedback.image).suffix)
                labelled.add(name, folder, one)
                there[digest] = Sample(name, one.label)
                merged.added[one.id] = name
            else:
                name = found.id
                merged.already[one.id] = name
            if digest not in noted and (found is None or labelled.is_own(name, digest)):
                append_lines(file, [_provenance(one, name, folder)])
                noted.add(digest)
    note_merged(folder, [*merged.added, *merged.already], into)
    if target != "labels" or not samples:
        return merged
    known = {name for sample in samples for name in sample.raw or ()}
    added = {name for one in corrections if one.id in merged.added for name in one.label or ()}
    return replace(merged, new_classes=tuple(sorted(added - known)))


def _line(value: JsonObject) -> JsonObject:
    if not isinstance(value["sha256"], str):
        raise ValueError("sha256 is not a text")
    return value


_FORMAT = Format("a correction", _line, "move the file away: it only records earlier merges")


def _provenance(one: Correction, name: str, folder: Path) -> JsonObject:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    label = None if one.label is None else list(one.label)
    about = {"file": name, "label": label, "merged": at, "from": str(folder.absolute())}
    return {**about, **one.feedback.to_json()}


def _says_the_same(sample: Sample, one: Correction) -> bool:
    # Of masks only the names are known here: the mask that is there stays.
    return one.label is None or set(sample.raw or ()) == set(one.label)


def _known(
    into: Path, samples: Iterable[Sample], corrections: Sequence[Correction], folder: Path
) -> dict[str, Sample]:
    """Return sha256 → sample of what is there already; only files of equal size are read."""
    sizes = {_size(folder, one.feedback) for one in corrections}
    digests = {one.feedback.sha256 for one in corrections}
    found: dict[str, Sample] = {}
    for sample in samples:
        path = into / sample.id
        if path.is_file() and path.stat().st_size in sizes:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest in digests:
                found.setdefault(digest, sample)
    return found


def _size(folder: Path, feedback: Feedback) -> int:
    try:
        return (folder / feedback.image).stat().st_size
    except OSError as error:
        raise DataError(
            f"The picture of correction {feedback.id} is missing: {feedback.image}.",
            hint=f"foveal corrections {folder} --reject {feedback.id}",
        ) from error


def _opened(
    into: Path, target: TargetKind, corrections: Sequence[Correction]
) -> tuple[Sequence[Sample], Labelled]:
    """Return what is in a set, and how it is added to."""
    if into.exists() and not into.is_dir():
        raise DataError(f"{into} is a file. Expected a folder.", hint="use --merge FOLDER")
    if not into.exists() or not any(not p.name.startswith(".") for p in into.iterdir()):
        into.mkdir(parents=True, exist_ok=True)
        return (), _new(into, target, corrections)
    try:
        source = open_source(into, ReadAnything(target=target))
    except DataError as error:
        if error.error_code == "data_empty" and {p.name for p in into.iterdir()} <= _OWN:
            # A first merge that was killed before the first label.
            return (), _new(into, target, corrections)
        raise
    hint = "use --merge NEW_FOLDER"
    if not isinstance(source, FileSource):
        raise DataError(f"Nothing can be added to {into}: {source.layout}.", hint=hint)
    first = next((s for s in source.samples if s.split in (None, "train")), source.samples[0])
    if target == "mask":
        if not isinstance(source.masks, MaskFiles):
            raise DataError(f"{into} has no mask files to add to.", hint=hint)
        mask = source.masks.file(first.id)
        if mask is None:
            raise DataError(f"{into} has no mask for {first.id}.", hint=hint)
        parents = (PurePosixPath(first.id).parent, PurePosixPath(mask).parent)
        return source.samples, MaskFolders(into, *parents, source.masks.values)
    if isinstance(source.labelled_by, FolderLabels):
        prefix = PurePosixPath(*PurePosixPath(first.id).parts[: source.labelled_by.depth])
        return source.samples, ClassFolders(into, prefix)
    if isinstance(source.labelled_by, TableLabels):
        if len(source.labelled_by.files) > 1 or source.labelled_by.column is not None:
            raise DataError(f"The labels in {into} are in several tables or columns.", hint=hint)
        return source.samples, TableOfLabels(into, source.labelled_by.files[0], target)
    raise DataError(f"The labels in {into} are the names of the pictures.", hint=hint)


def _new(into: Path, target: TargetKind, corrections: Sequence[Correction]) -> Labelled:
    if target == "mask":
        classes = {one.feedback.said.classes for one in corrections}
        if len(classes) > 1:
            raise UsageError("These masks come from models with different classes.")
        return MaskFolders.new(into, next(iter(classes), ()))
    if target == "text" or any(len(one.label or ()) != 1 for one in corrections):
        return TableOfLabels.new(into, target)
    return ClassFolders(into, PurePosixPath())
