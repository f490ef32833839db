"""Class folders: `root/<class>/*`, or the same below train, val and test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

from foveal.data.decode import DecodeLimits, decode, read_file
from foveal.data.names import is_hidden, is_picture_name
from foveal.data.source import Loaded, Sample, Source, digest
from foveal.types import Finding, SplitName

SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@final
@dataclass(frozen=True)
class FileSource(Source):
    """Samples that are files below one folder; `root` is it."""

    root: Path

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Read and decode a sample; see `Source.load`."""
        data = read_file(self.root / sample.id, limits)
        return Loaded(decode(data, limits, min_size=min_size), digest(data))


def subfolders(folder: Path) -> list[str]:
    """Return the names of a folder's folders, sorted, without the hidden ones."""
    return sorted(e.name for e in os.scandir(folder) if e.is_dir() and not is_hidden(e.name))


def pictures_below(folder: Path) -> Iterator[str]:
    """Yield the pictures at any depth below a folder, as sorted relative posix paths."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(files):
            if is_picture_name(name):
                yield (Path(parent) / name).relative_to(folder).as_posix()


def read_folders(location: str, root: Path) -> FileSource | None:
    """Return the source of a tree of class folders, or None when this is no such tree.

    A folder that holds nothing but one folder is passed through: unpacked archives look so.
    """
    names = subfolders(root)
    while len(names) == 1 and not _pictures_in(root) and subfolders(root / names[0]):
        root = root / names[0]
        names = subfolders(root)
    sides = {name: SPLIT_FOLDERS[name.lower()] for name in names if name.lower() in SPLIT_FOLDERS}
    if "train" in sides.values() and any(subfolders(root / name) for name in sides):
        return _read_sides(location, root, sides)
    if not names:
        return None
    samples, findings = _read_classes(root, "", None)
    if not samples:
        return None
    classes = len({sample.raw for sample in samples})
    layout = f"{len(samples)} pictures in {classes} class folders"
    return FileSource(location, layout, tuple(samples), tuple(findings), root)


def _pictures_in(folder: Path) -> bool:
    return any(entry.is_file() and is_picture_name(entry.name) for entry in os.scandir(folder))


def _read_sides(location: str, root: Path, sides: dict[str, SplitName]) -> FileSource:
    samples: list[Sample] = []
    findings: list[Finding] = []
    for name in sorted(sides, key=lambda name: list(SPLIT_FOLDERS).index(name.lower())):
        found, said = _read_classes(root / name, f"{name}/", sides[name])
        samples += found
        findings += said
    classes = len({sample.raw for sample in samples})
    parts = ", ".join(
        f"{sum(1 for s in samples if s.split == side)} {side}" for side in dict.fromkeys(sides.values())
    )
    layout = f"{len(samples)} pictures in {classes} class folders, split as given: {parts}"
    return FileSource(location, layout, tuple(samples), tuple(findings), root)


def _read_classes(
    folder: Path, prefix: str, side: SplitName | None
) -> tuple[list[Sample], list[Finding]]:
    samples: list[Sample] = []
    empty: list[str] = []
    for name in subfolders(folder):
        found = [
            Sample(f"{prefix}{name}/{path}", (name,), side)
            for path in pictures_below(folder / name)
        ]
        samples += found
        if not found:
            empty.append(name)
    findings = []
    if empty:
        findings.append(
            Finding(
                id="labels.empty_class",
                severity="warning",
                message=f"{len(empty)} class folders hold no pictures: {', '.join(empty[:10])}.",
                samples=tuple(empty[:20]),
                count=len(empty),
                hint="add pictures to them or remove the folders",
            )
        )
    loose = [e.name for e in os.scandir(folder) if e.is_file() and is_picture_name(e.name)]
    if loose:
        findings.append(
            Finding(
                id="data.loose_files",
                severity="warning",
                message=f"{len(loose)} pictures lie beside the class folders and were left out.",
                samples=tuple(sorted(loose)[:20]),
                count=len(loose),
                hint="move them into the folder of their class",
            )
        )
    return samples, findings
