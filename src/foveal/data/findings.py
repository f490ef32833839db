"""Build the findings of the readers and the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from foveal.types import SPLIT_NAMES, Finding, Severity, SplitName, Suspect

# A finding names this many samples; its count says how many there are.
SHOWN = 20


def plural(count: int, word: str) -> str:
    """Return `1 picture`, `2 pictures`, with thousands separated."""
    if count == 1:
        return f"1 {word}"
    many = word[:-1] + "ies" if word.endswith("y") else word + ("es" if word[-1] in "sx" else "s")
    return f"{count:,} {many}"


def split_as_given(sides: Iterable[SplitName | None]) -> str:
    """Return `, split as given (train 8, val 2)` for the sides of the samples; "" for no sides."""
    counts = Counter(sides)
    shown = ", ".join(f"{side} {counts[side]:,}" for side in SPLIT_NAMES if counts[side])
    return f", split as given ({shown})" if shown else ""


def quoted(names: Sequence[str], most: int = 5) -> str:
    """Return the first names in quotes, such as `'a', 'b', …`."""
    return ", ".join(map(repr, names[:most])) + (", …" if len(names) > most else "")


def about(
    samples: Sequence[str],
    id: str,
    severity: Severity,
    noun: str,
    words: str,
    *,
    hint: str | None = None,
    method: str | None = None,
    suspects: Iterable[Suspect] = (),
) -> tuple[Finding, ...]:
    """Return the finding `N nouns words` about samples, or nothing when there are none."""
    if not samples:
        return ()
    message = f"{plural(len(samples), noun)} {words}"
    return (finding(id, severity, message, samples, hint=hint, method=method, suspects=suspects),)


def finding(
    id: str,
    severity: Severity,
    message: str,
    samples: Sequence[str] | Iterable[str] = (),
    *,
    count: int | None = None,
    hint: str | None = None,
    method: str | None = None,
    suspects: Iterable[Suspect] = (),
) -> Finding:
    """Return a finding that shows some of the samples and counts all of them."""
    names = tuple(samples)
    return Finding(
        id=id,
        severity=severity,
        message=message,
        samples=names[:SHOWN],
        count=len(names) if count is None else count,
        hint=hint,
        method=method,
        suspects=tuple(suspects),
    )
