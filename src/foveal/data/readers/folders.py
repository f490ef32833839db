"""Class folders, with or without folders for the sides of a split above them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, final

from foveal.data.files_source import FolderLabels
from foveal.data.findings import about, plural, quoted
from foveal.data.masks.pairs import are_pairs
from foveal.data.names import SPLIT_ALIASES
from foveal.data.readers.base import Place, Reader
from foveal.data.readers.files import foreign_files, unread_tables
from foveal.data.source import Sample, Source, SourceOptions
from foveal.errors import DataError
from foveal.types import Finding, RawTarget, SplitName


@final
class FoldersReader(Reader):
    """`root/<class>/*` or `root/{train,val,test}/<class>/*`, possibly inside one more folder."""

    name: ClassVar[str] = "folders"
    expects: ClassVar[str] = "one folder for each class"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the labelled pictures, or None when no picture lies in a folder.

        For texts, one folder that holds everything (`images`) and the bare sides of a split
        (`train`, `val`) are no labels either.
        """
        if place.file is not None:
            return None
        pictures, listing = place.pictures, place.listing
        prefix = _wrapping(pictures, listing.folders)
        inside = [name for name in pictures if name.startswith(prefix)]
        tops = _tops(inside, prefix)
        if not tops:
            return None
        sides = _sides(inside, prefix, tops)
        samples = _samples(inside, prefix, sides)
        classes = sorted({sample.raw[0] for sample in samples if sample.raw})
        if options.target != "mask" and options.layout == "auto" and are_pairs(classes):
            each = "text" if options.target == "text" else "class"
            raise DataError(
                f"{place.location} contains pictures and masks ({', '.join(classes)}), not a "
                f"folder for each {each}.",
                hint="foveal train DATA --task segment, or --set data.layout=folders",
            )
        if not samples or (options.target == "text" and not _are_texts(samples)):
            return None
        findings = (
            *_empty_classes(listing.folders, prefix, sides, samples),
            *_passed_over(pictures, samples),
            *_nested(samples, prefix, sides),
            *foreign_files(place.names),
            # A single folder holds the pictures of a table as a rule.
            *(unread_tables(place) if len(classes) == 1 else ()),
        )
        layout = f"{plural(len(samples), 'picture')} in {plural(len(classes), 'class folder')}"
        by = FolderLabels(prefix.count("/") + (1 if sides else 0))
        return place.source(layout, samples, findings, labelled_by=by)


def _are_texts(samples: list[Sample]) -> bool:
    """Return whether the names of the class folders may be texts in their pictures."""
    names = {sample.raw[0] for sample in samples if sample.raw}
    return len(names) > 1 and not all(name.lower() in SPLIT_ALIASES for name in names)


def _parts(name: str, prefix: str) -> list[str]:
    return name[len(prefix) :].split("/")


def _tops(pictures: Iterable[str], prefix: str) -> list[str]:
    found = {parts[0] for name in pictures if len(parts := _parts(name, prefix)) > 1}
    return sorted(found)


def _wrapping(pictures: list[str], folders: tuple[str, ...]) -> str:
    """Return the prefix of folders that hold nothing but one level of class folders."""
    prefix = ""
    while True:
        tops = {name[len(prefix) :].split("/")[0] for name in folders if name.startswith(prefix)}
        depths = {len(_parts(name, prefix)) for name in pictures}
        # One folder, every picture at least two levels down; `train` alone is a split, not a wrap.
        if len(tops) != 1 or not depths or min(depths) < 3:
            return prefix
        (top,) = tops
        if top.lower() in SPLIT_ALIASES:
            return prefix
        prefix += top + "/"


def _sides(pictures: list[str], prefix: str, tops: list[str]) -> dict[str, SplitName]:
    """Return folder → side where the top folders are the sides of a split, else nothing."""
    named = {top: SPLIT_ALIASES[top.lower()] for top in tops if top.lower() in SPLIT_ALIASES}
    if "train" not in named.values():
        return {}
    has_classes = {parts[0] for name in pictures if len(parts := _parts(name, prefix)) > 2}
    # Folders called `train` and `bus` are two classes; pictures of trains lie directly in them.
    sides = {top: side for top, side in named.items() if top in has_classes}
    return sides if "train" in sides.values() else {}


def _samples(pictures: list[str], prefix: str, sides: dict[str, SplitName]) -> list[Sample]:
    """Return the pictures in class folders; below the folders of the sides where there are some."""
    # One target for all pictures of a class: there may be very many.
    raws: dict[str, RawTarget] = {}
    depth = 1 if sides else 0
    samples = []
    for name in pictures:
        parts = _parts(name, prefix)
        if len(parts) > depth + 1 and (not sides or parts[0] in sides):
            raw = raws.setdefault(parts[depth], (parts[depth],))
            samples.append(Sample(name, raw, sides.get(parts[0])))
    return samples


def _empty_classes(
    folders: tuple[str, ...], prefix: str, sides: dict[str, SplitName], samples: list[Sample]
) -> tuple[Finding, ...]:
    depth = 2 if sides else 1
    found = set()
    for name in folders:
        parts = _parts(name, prefix)
        if not name.startswith(prefix) or len(parts) != depth:
            continue
        if not sides or parts[0] in sides:
            found.add(parts[-1])
    empty = sorted(found - {sample.raw[0] for sample in samples if sample.raw})
    words = f"without pictures: {quoted(empty)}."
    hint = "remove the folder, or add pictures to it"
    return about(empty, "labels.empty_class", "warning", "class folder", words, hint=hint)


def _passed_over(pictures: list[str], samples: list[Sample]) -> tuple[Finding, ...]:
    used = {sample.id for sample in samples}
    left = [name for name in pictures if name not in used]
    words = "outside the class folders, left out."
    hint = "move each into the folder of its class"
    return about(left, "data.passed_over", "warning", "picture", words, hint=hint)


def _nested(samples: list[Sample], prefix: str, sides: dict[str, SplitName]) -> tuple[Finding, ...]:
    depth = 3 if sides else 2
    nested = [sample.id for sample in samples if len(_parts(sample.id, prefix)) > depth]
    words = "in folders inside a class folder: they count for the outer folder's class."
    return about(nested, "data.nested_folders", "info", "picture", words)
