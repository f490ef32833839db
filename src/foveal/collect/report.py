"""The result of a collection by class, and why pictures were not kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import ClassVar, final

from foveal.collect.journal import Known
from foveal.collect.pages import PageContents
from foveal.data.findings import plural
from foveal.render.markup import table_html
from foveal.types import JsonObject

_PAGE_HEADER = ("class", "page", "pictures", "the first", "its fields", "next page")
INTERRUPTED = "it was interrupted"


@final
@dataclass(frozen=True, slots=True)
class FirstPage:
    """The contents of the first listing page of a class; no picture was downloaded.

    Attributes:
        label: The class.
        address: URL of the page.
        contents: Contents of the page, or None.
        problem: Why the page could not be read, or None.
    """

    label: str
    address: str
    contents: PageContents | None
    problem: str | None = None

    def row(self) -> tuple[str, ...]:
        """Return what a table shows."""
        if self.contents is None:
            return self.label, self.address, f"not read: {self.problem}", "", "", ""
        first = self.contents.entries[0] if self.contents.entries else None
        return (
            self.label,
            self.address,
            f"{len(self.contents.entries):,}",
            first.picture if first else "",
            "; ".join(f"{name}: {text}" for name, text in first.fields.items()) if first else "",
            self.contents.next or "",
        )

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        listed = self.contents
        return {
            "class": self.label,
            "address": self.address,
            "problem": self.problem,
            "items": listed.items if listed else 0,
            "next": listed.next if listed else None,
            "pictures": [
                {"address": e.picture, "fields": dict(e.fields), "problem": e.problem}
                for e in (listed.entries if listed else ())
            ],
        }


@final
@dataclass(frozen=True, slots=True)
class ClassCount:
    """Counts of a class over this call and all earlier ones.

    Attributes:
        pages: Number of listing pages that were read.
        kept: Number of pictures in its folder, unless they were moved.
        copies: Number of pictures identical to one that was kept.
        left: Reason → number of pictures that were not kept.
    """

    pages: int
    kept: int
    copies: int
    left: Mapping[str, int]


@final
@dataclass(frozen=True, repr=False)
class Collected:
    """The result of a collection, complete or partial.

    Attributes:
        out: The folder; None for a dry run.
        classes: Class → its counts.
        new: Number of pictures that this call added.
        received: Number of bytes that this call received.
        seconds: Duration of this call, in seconds.
        stopped: Why the call ended before the collection was complete, or None.
        notes: Notes on limits, loops and unreadable pages.
        pages: First pages, for a dry run.
    """

    header: ClassVar = ("class", "pages", "kept", "copies", "left out")
    reasons_header: ClassVar = ("left out", "because")

    out: Path | None
    classes: Mapping[str, ClassCount] = field(default_factory=dict)
    new: int = 0
    received: int = 0
    seconds: float = 0.0
    stopped: str | None = None
    notes: tuple[str, ...] = ()
    pages: tuple[FirstPage, ...] = ()

    def __repr__(self) -> str:
        """Return one line."""
        if self.out is None:
            listed = sum(len(page.contents.entries) for page in self.pages if page.contents)
            return f"Collected(first pages only: {plural(listed, 'picture')} listed)"
        ending = "" if self.stopped is None else f", not finished: {self.stopped}"
        return f"Collected({self.out}: {plural(self.kept, 'picture')}, {self.new:,} new{ending})"

    def _repr_html_(self) -> str:
        tables = []
        if self.pages:
            tables.append(table_html(_PAGE_HEADER, [page.row() for page in self.pages]))
        if self.classes:
            tables.append(table_html(self.header, self.rows()))
        if self.left:
            tables.append(table_html(self.reasons_header, self.reasons()))
        notes = [f"<p>{escape(text)}</p>" for text in self.notes]
        return f"<p>{escape(repr(self))}</p>" + "".join([*tables, *notes])

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each class, below `header`."""
        return [
            (name, f"{c.pages:,}", f"{c.kept:,}", f"{c.copies:,}", f"{sum(c.left.values()):,}")
            for name, c in self.classes.items()
        ]

    def reasons(self) -> list[tuple[str, str]]:
        """Return why pictures are not there, below `reasons_header`, the most frequent first."""
        return [(f"{count:,}", reason) for reason, count in self.left.most_common()]

    @property
    def kept(self) -> int:
        """Number of pictures kept."""
        return sum(count.kept for count in self.classes.values())

    @property
    def left(self) -> Counter[str]:
        """Reason → number of pictures that were not kept."""
        return sum((Counter(count.left) for count in self.classes.values()), Counter())

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "schema_version": 1,
            "out": str(self.out) if self.out else None,
            "classes": {
                name: {"pages": c.pages, "kept": c.kept, "copies": c.copies, "left": dict(c.left)}
                for name, c in self.classes.items()
            },
            "kept": self.kept,
            "new": self.new,
            "received_bytes": self.received,
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "notes": list(self.notes),
            "pages": [page.to_json() for page in self.pages],
        }


class CollectingInterrupted(KeyboardInterrupt):
    """Raised if Ctrl-C stops a collection; repeating the call continues it.

    Args:
        collected: The result so far.
    """

    def __init__(self, collected: Collected) -> None:
        super().__init__("the collection was interrupted; repeat the call to continue")
        self.collected = collected


def count_classes(
    known: Known, labels: Sequence[str], pages: Mapping[str, int]
) -> dict[str, ClassCount]:
    """Return the counts of each class.

    Args:
        known: What the log says.
        labels: Classes of the recipe; other classes of the log follow.
        pages: Class → number of listing pages that were read.
    """
    kept: Counter[str] = Counter()
    copies: Counter[str] = Counter()
    left: dict[str, Counter[str]] = {label: Counter() for label in labels}
    for record in known.pictures.values():
        label, outcome = record["class"], record["outcome"]
        reasons = left.setdefault(label, Counter())
        if outcome == "kept":
            kept[label] += 1
        elif outcome == "copy":
            copies[label] += 1
        else:
            reasons[record["reason"]] += 1
    return {
        label: ClassCount(
            pages.get(label, 0), kept[label], copies[label], dict(reasons.most_common())
        )
        for label, reasons in left.items()
    }
