"""The tables in the details of a reader's evaluation, from counts of what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar, final

from foveal import metrics
from foveal.types import JsonObject

KeyT = TypeVar("KeyT", str, tuple[str, str])

# What a person reads; metrics.json would otherwise hold every mistake of a hopeless model.
_PAIRS = 50
_FAILURES = 20


@final
@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of what went wrong; what is right is everything else.

    Attributes:
        pairs: (true character, read character) → times.
        missed: Characters that were not read.
        invented: Characters that were read and are not there.
        positions: Position in the truth → truths whose character there was not read right.
    """

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    invented: Counter[str] = field(default_factory=Counter)
    positions: Counter[int] = field(default_factory=Counter)


def count_lengths(targets: Sequence[str], wrong: Sequence[int]) -> list[JsonObject]:
    """Return the share of whole texts that were right, for each length of the truth."""
    count = Counter(len(target) for target in targets)
    misread = Counter(len(targets[i]) for i in wrong)
    return [
        {"length": length, **_share(count[length] - misread[length], count[length])}
        for length in sorted(count)
    ]


def count_positions(targets: Sequence[str], tally: Tally) -> list[JsonObject]:
    """Return, for each position, the share of truths whose character there was read right."""
    lengths = Counter(len(target) for target in targets)
    longest = max(lengths, default=0)
    return [
        {"position": position + 1, **_share(there - tally.positions[position], there)}
        for position in range(longest)
        for there in (sum(n for length, n in lengths.items() if length > position),)
    ]


def count_pairs(written: Counter[str], tally: Tally) -> list[JsonObject]:
    """Return the characters taken for each other, most frequent first."""
    return [
        {"target": true, "prediction": read, "count": n, "share": n / written[true]}
        for (true, read), n in _ranked(tally.pairs)[:_PAIRS]
    ]


def rank_characters(counts: Counter[str]) -> list[JsonObject]:
    """Return the counts of characters, most frequent first."""
    return [{"character": character, "count": n} for character, n in _ranked(counts)]


def count_characters(
    written: Counter[str], tally: Tally, alphabet: Sequence[str]
) -> list[JsonObject]:
    """Return, for each character, the share of its occurrences that was read right.

    Args:
        written: Occurrences of each character in the truths.
        tally: Counts of the errors.
        alphabet: The characters that can be read.
    """
    wrong = tally.missed.copy()
    taken_for: dict[str, str] = {}
    for (true, read), count in _ranked(tally.pairs):
        wrong[true] += count
        taken_for.setdefault(true, read)
    # A truth may hold characters that the alphabet lacks; they are wrong, and said to be.
    strangers = sorted(set(written) - set(alphabet))
    return [
        {
            "character": character,
            **_share(written[character] - wrong[character], written[character]),
            "missed": tally.missed[character],
            "invented": tally.invented[character],
            "taken_for": taken_for.get(character),
        }
        for character in [*alphabet, *strangers]
    ]


def count_values(
    texts: Sequence[str],
    targets: Sequence[str],
    values: Sequence[tuple[str | None, str | None]],
) -> JsonObject:
    """Return how many exact values were right, and which answers have none.

    Args:
        texts: Readings.
        targets: True texts.
        values: (of the answer, of the truth); samples whose truth has no value are left out.
    """
    valued = [i for i, (_, true) in enumerate(values) if true is not None]
    right = [i for i in valued if values[i][0] == values[i][1]]
    failed = [i for i in valued if values[i][0] is None]
    return {
        "right": _share(len(right), len(valued)),
        "parse_failures": _share(len(failed), len(valued)),
        "right_though_misread": sum(texts[i] != targets[i] for i in right),
        "without_true_value": len(values) - len(valued),
        "failures": [
            {"index": i, "target": targets[i], "prediction": texts[i]} for i in failed[:_FAILURES]
        ],
    }


def find_highlights(details: JsonObject, samples: int) -> list[str]:
    """Return what a person would want to know first, as sentences."""
    sentences = []
    if details["confused"] and details["confused"][0]["count"] >= 2:
        worst = details["confused"][0]
        sentences.append(
            f"{worst['target']} is read as {worst['prediction']} {worst['count']} times "
            f"({100 * worst['share']:.1f} % of all {worst['target']})."
        )
    edits = details["edits"]
    lost, errors = edits["missed"] + edits["invented"], edits["substituted"]
    if lost > errors and lost >= 5:
        sentences.append(
            f"Most mistakes change the number of characters: {edits['missed']} left out and "
            f"{edits['invented']} made up, against {errors} mistaken for another."
        )
    unseen = [c["character"] for c in details["characters"] if c["count"] == 0]
    if unseen and samples:
        shown = " ".join(unseen[:10]) + (" …" if len(unseen) > 10 else "")
        sentences.append(
            f"{len(unseen)} of {len(details['characters'])} characters are in no text measured: "
            f"{shown}."
        )
    return sentences


def _share(right: int, count: int) -> JsonObject:
    low, high = metrics.wilson(right, count)
    return {
        "count": count,
        "right": right,
        "share": right / count if count else None,
        "low": low if count else None,
        "high": high if count else None,
    }


def _ranked(counts: Counter[KeyT]) -> list[tuple[KeyT, int]]:
    """Return (key, count), most frequent first, then in the order of the keys."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
