"""Findings of the readers and the split, said in one way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from foveal.types import Finding, Severity

# A finding names this many samples; its count says how many there are.
SHOWN = 20


def plural(count: int, word: str) -> str:
    """Return `1 picture`, `2 pictures`, with thousands separated."""
    if count == 1:
        return f"1 {word}"
    many = word[:-1] + "ies" if word.endswith("y") else word + ("es" if word[-1] in "sx" else "s")
    return f"{count:,} {many}"


def finding(
    id: str,
    severity: Severity,
    message: str,
    samples: Sequence[str] | Iterable[str] = (),
    *,
    count: int | None = None,
    hint: str | None = None,
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
    )
