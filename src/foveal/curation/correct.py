"""List, accept, reject and merge corrections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, final

from foveal.curation.corrections import Correction, decide, read_corrections
from foveal.curation.merging import Merged, merge
from foveal.curation.shown import corrections_html
from foveal.data.readers.rows import SEPARATOR
from foveal.errors import UsageError, unknown_name
from foveal.types import JsonObject

Chosen: TypeAlias = Sequence[int] | Literal["all"]


@final
@dataclass(frozen=True, slots=True, repr=False)
class Corrections:
    """The corrections in a folder, most important first.

    Attributes:
        folder: Where they are.
        items: All of them.
        merged: What was merged just now; None when nothing was asked to be.
    """

    folder: Path
    items: tuple[Correction, ...]
    merged: Merged | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.items)

    def __iter__(self) -> Iterator[Correction]:
        """Yield them in their order."""
        return iter(self.items)

    def __repr__(self) -> str:
        """Return how many there are in each state."""
        states = [one.state for one in self.items]
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        return f"Corrections({self.folder}, {counts or 'none'})"

    def _repr_html_(self) -> str:
        """Return the first of them with their pictures, for a notebook."""
        return corrections_html(self.folder, self.items)

    def to_json(self) -> JsonObject:
        """Return what `foveal corrections --json` prints."""
        return {
            "schema_version": 1,
            "folder": str(self.folder),
            "corrections": [one.to_json() for one in self.items],
            "merged": None if self.merged is None else self.merged.to_json(),
        }


def correct(
    folder: Path,
    *,
    model: str | None,
    accept: Chosen,
    reject: Sequence[int],
    label: str | None,
    into: Path | None,
) -> Corrections:
    """Decide about corrections and merge them, in this order, and return what is there then.

    Args:
        folder: The folder.
        model: Only those about this model; None takes all.
        accept: Ids, or `all`: those that are new, of which it is known what they are, and of which
            nobody says something else.
        reject: Ids.
        label: What the accepted ones are, instead of what was said; several joined by `|`.
        into: A labelled set to merge all accepted ones into.

    Raises:
        DataError: If there is no feedback.
        UsageError: For an unknown id or model.
    """
    looks = accept == () and not reject and into is None
    found = read_corrections(folder, look=looks)
    models = {one.feedback.said.model for one in found}
    if model is not None and model not in models:
        raise UsageError(unknown_name("model", model, models))
    found = [one for one in found if model in (None, one.feedback.said.model)]
    if label is not None and not (accept and accept != "all"):
        raise UsageError(
            "A label can only be given to accepted corrections.",
            hint="use --accept ID --label NAME",
        )
    if accept == "all":
        chosen = [
            one
            for one in found
            if one.state == "new" and one.can_be_merged and not one.contradicted
        ]
    else:
        chosen = _named(found, accept, folder)
    both = {one.id for one in chosen} & set(reject)
    if both:
        raise UsageError(f"Correction {min(both)} cannot be both accepted and rejected.")
    refused = _named(found, reject, folder)
    for one in chosen:
        names = None if label is None else _names(label, one)
        decide(folder, [one], "accept", names)
    if refused:
        decide(folder, refused, "reject")
    merged = None
    if into is not None:
        now = read_corrections(folder, look=False)
        accepted = [
            one
            for one in now
            if one.state == "accepted" and model in (None, one.feedback.said.model)
        ]
        merged = merge(sorted(accepted, key=lambda one: one.id), folder, into)
    if looks:
        return Corrections(folder, tuple(found))
    after = read_corrections(folder, look=False)
    kept = tuple(one for one in after if model in (None, one.feedback.said.model))
    return Corrections(folder, kept, merged)


def _names(label: str, one: Correction) -> tuple[str, ...]:
    names: tuple[str, ...] = (label,)
    if one.feedback.said.target != "text":
        names = tuple(name.strip() for name in label.split(SEPARATOR) if name.strip())
    if not any(names):
        raise UsageError("The label is empty.", hint=f"use --accept {one.id} --label NAME")
    return names


def _named(found: Sequence[Correction], ids: Sequence[int], folder: Path) -> list[Correction]:
    known = {one.id: one for one in found}
    for id in ids:
        if id not in known:
            raise UsageError(
                f"There is no correction {id} in {folder}.", hint=f"foveal corrections {folder}"
            )
    return [known[id] for id in dict.fromkeys(ids)]
