"""Corrections: feedback for review, most informative first.

Decisions about them are stored in `verdicts.jsonl` beside the feedback, which is never changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, final, get_args

import numpy as np

from foveal.curation.feedback import LOG_NAME, Feedback, read_feedback
from foveal.curation.lines import Format, append_lines, opened_to_append, read_lines
from foveal.data.decode import DEFAULT_LIMITS, decode
from foveal.data.hashing import count_bits, fingerprint, normalised
from foveal.data.near import MAX_DIFFERENCE, MIN_SPREAD
from foveal.errors import DataError, FovealError, UsageError
from foveal.types import JsonObject

VERDICTS_NAME = "verdicts.jsonl"

State: TypeAlias = Literal["new", "accepted", "rejected", "merged"]
_Action: TypeAlias = Literal["accept", "reject", "merge"]
_STATES: dict[_Action, State] = {"accept": "accepted", "reject": "rejected", "merge": "merged"}
# Bits in which the hashes of near-duplicates differ at most; the thumbnails then decide.
_NEAR_BITS = 8


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about a correction.

    Attributes:
        id: Id of the feedback.
        action: The decision.
        label: Accepted label; None for that of the feedback, and for other actions.
        into: Data set that it was merged into; None for other actions.
        at: Time of the decision, in UTC.
    """

    id: int
    action: _Action
    label: tuple[str, ...] | None
    into: str | None
    at: datetime

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "id": self.id,
            "action": self.action,
            "label": None if self.label is None else list(self.label),
            "into": self.into,
            "at": self.at.isoformat(timespec="seconds"),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return what `to_json` wrote.

        Raises:
            KeyError: If a key is missing.
            ValueError: If a value is not allowed.
        """
        if value["action"] not in get_args(_Action):
            raise ValueError(f"action is {value['action']!r}")
        label = None if value["label"] is None else tuple(value["label"])
        at = datetime.fromisoformat(value["at"])
        return cls(int(value["id"]), value["action"], label, value["into"], at)


_FORMAT = Format("a verdict", Verdict.from_json, "remove the line")


@final
@dataclass(frozen=True, slots=True)
class Correction:
    """One piece of feedback, and its state.

    Attributes:
        feedback: The feedback.
        state: State of the decision.
        label: Label as accepted, or else as given in the feedback; None if unknown.
        like: Ids of corrections with near-duplicate pictures.
        contradicted: Whether other feedback on the same picture contradicts it.
    """

    feedback: Feedback
    state: State
    label: tuple[str, ...] | None
    like: tuple[int, ...] = ()
    contradicted: bool = False

    @property
    def id(self) -> int:
        """The id of the feedback."""
        return self.feedback.id

    @property
    def can_be_merged(self) -> bool:
        """Whether the correct target is known: a label, a text, or a confirmed mask.

        A data set has no way to say that a picture shows nothing.
        """
        return any(self.label or ()) or self.feedback.mask is not None

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            **self.feedback.to_json(),
            "state": self.state,
            "label": None if self.label is None else list(self.label),
            "like": list(self.like),
            "contradicted": self.contradicted,
        }


def read_corrections(path: Path, *, look: bool = True) -> list[Correction]:
    """Return the corrections in a folder, most important first.

    New ones come first; among these, answers that a user called wrong, then the least confident.

    Args:
        path: Folder written by `foveal serve --collect`.
        look: Whether to find near-duplicates, for which the new pictures are decoded.

    Raises:
        DataError: If there is no feedback, or it cannot be read.
    """
    if not (path / LOG_NAME).is_file():
        raise DataError(
            f"There is no feedback in {path}.", hint=f"foveal serve MODEL --collect {path}"
        )
    said = list(read_lines(path / VERDICTS_NAME, _FORMAT))
    verdicts = {verdict.id: verdict for verdict in said if verdict.action != "merge"}
    merged = {verdict.id for verdict in said if verdict.action == "merge"}
    found = [_of(feedback, verdicts, merged) for feedback in read_feedback(path)]
    found = _with_contradictions(found)
    if look:
        found = _with_copies(path, found)
    return sorted(found, key=_order)


def _of(feedback: Feedback, verdicts: dict[int, Verdict], merged: set[int]) -> Correction:
    verdict = verdicts.get(feedback.id)
    state: State = "new" if verdict is None else _STATES[verdict.action]
    label = feedback.said.truth
    if verdict is not None and verdict.label is not None:
        label = verdict.label
    return Correction(feedback, "merged" if feedback.id in merged else state, label)


def _order(correction: Correction) -> tuple[int, bool, float, int]:
    said = correction.feedback.said
    state = get_args(State).index(correction.state)
    return (state, said.right is not False, said.confidence, correction.id)


def _with_contradictions(found: list[Correction]) -> list[Correction]:
    truths: dict[tuple[str, str], set[object]] = defaultdict(set)
    for one in found:
        if one.state != "rejected" and one.feedback.said.right is not None:
            truths[_picture(one)].add(one.label or one.feedback.said.right)
    return [replace(one, contradicted=len(truths[_picture(one)]) > 1) for one in found]


def _picture(one: Correction) -> tuple[str, str]:
    return (one.feedback.sha256, one.feedback.said.model)


def _with_copies(path: Path, found: list[Correction]) -> list[Correction]:
    """Find near-duplicates among the new ones by hash and thumbnail, as the checks do."""
    new = [i for i, one in enumerate(found) if one.state == "new"]
    seen: dict[str, Any] = {}
    for i in new:
        feedback = found[i].feedback
        if feedback.sha256 not in seen:
            seen[feedback.sha256] = _looked_at(path / feedback.image)
    like: dict[int, list[int]] = defaultdict(list)
    known = [i for i in new if seen[found[i].feedback.sha256] is not None]
    prints = [seen[found[i].feedback.sha256] for i in known]
    hashes = np.array([p.phash for p in prints], np.uint64)
    thumbs = normalised(np.stack([p.thumb for p in prints])) if prints else np.zeros((0,))
    for at, i in enumerate(known):
        for other in (
            at + 1 + np.flatnonzero(count_bits(hashes[at + 1 :] ^ hashes[at]) <= _NEAR_BITS)
        ):
            j, said = known[other], found[i].feedback.said
            # Two texts in one typeface differ in little but the text.
            if said.target == "text" and found[j].label != found[i].label:
                continue
            if float(np.abs(thumbs[at] - thumbs[other]).mean()) <= MAX_DIFFERENCE:
                like[i].append(found[j].id)
                like[j].append(found[i].id)
    return [replace(one, like=tuple(like[i])) for i, one in enumerate(found)]


def _looked_at(path: Path) -> Any:
    try:
        seen = fingerprint(decode(path.read_bytes(), DEFAULT_LIMITS).pixels)
    except (OSError, FovealError):
        return None
    return seen if seen.spread >= MIN_SPREAD else None


def decide(
    path: Path,
    corrections: Sequence[Correction],
    action: Literal["accept", "reject"],
    label: tuple[str, ...] | None = None,
) -> None:
    """Store a decision about corrections.

    Args:
        path: Folder of the feedback.
        corrections: The corrections.
        action: The decision.
        label: Label of the pictures, if it differs from the feedback.

    Raises:
        UsageError: If an accepted correction has no label, or has already been merged.
    """
    for one in corrections:
        if one.state == "merged":
            raise UsageError(f"Correction {one.id} has already been merged.")
        if action == "accept" and label is None and not one.can_be_merged:
            if one.feedback.said.target == "mask":
                raise UsageError(
                    f"Correction {one.id} has no corrected mask, so it cannot be accepted."
                )
            raise UsageError(
                f"The feedback of correction {one.id} does not say what the picture shows.",
                hint=f"use --accept {one.id} --label NAME",
            )
        if label is not None and one.feedback.said.target == "mask":
            raise UsageError("Corrections of masks cannot be given a label.")
    now = datetime.now(UTC)
    _append(path, (Verdict(one.id, action, label, None, now) for one in corrections))


def note_merged(path: Path, ids: Iterable[int], into: Path) -> None:
    """Store which corrections were merged into which data set."""
    now = datetime.now(UTC)
    _append(path, (Verdict(id, "merge", None, str(into), now) for id in ids))


def _append(path: Path, verdicts: Iterable[Verdict]) -> None:
    with opened_to_append(path / VERDICTS_NAME) as file:
        append_lines(file, (verdict.to_json() for verdict in verdicts))
