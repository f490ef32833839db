"""Checks of the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from foveal.checks.base import SHOWN, Facts, check
from foveal.types import SPLIT_NAMES, Finding

# A class this many times rarer than the commonest is learnt badly without weights.
_IMBALANCE = 10


def class_balance(facts: Facts) -> dict[str, dict[str, int]]:
    """Return label → side → number of pictures, in the order of the labels' names."""
    counts: dict[str, Counter[str]] = {}
    for i in facts.usable():
        side = SPLIT_NAMES[facts.split[i]] if facts.split[i] >= 0 else "unused"
        for label in facts.samples[i].raw or ():
            counts.setdefault(label, Counter())[side] += 1
    return {label: dict(counts[label]) for label in sorted(counts)}


def _totals(facts: Facts) -> Counter[str]:
    return Counter(
        label for i in facts.usable() for label in facts.samples[i].raw or ()
    )


@check("labels.one_class")
def one_class(facts: Facts) -> Iterator[Finding]:
    """A single class: there is nothing to tell apart."""
    totals = _totals(facts)
    if len(totals) == 1:
        name, count = next(iter(totals.items()))
        yield Finding(
            id="labels.one_class",
            severity="error",
            message=f"All {count} pictures have the label {name!r}: there is nothing to tell apart.",
            count=count,
            hint="add a folder with pictures of a second class",
        )


@check("labels.single_picture")
def single_picture(facts: Facts) -> Iterator[Finding]:
    """Classes with one picture: it is trained on, so the class is never measured."""
    rare = sorted(name for name, count in _totals(facts).items() if count == 1)
    if rare:
        yield Finding(
            id="labels.single_picture",
            severity="warning",
            message=(
                f"{len(rare)} classes have one picture, so they are trained on but not measured: "
                f"{', '.join(rare[:10])}."
            ),
            samples=tuple(rare[:SHOWN]),
            count=len(rare),
            hint="add pictures of them",
        )


@check("labels.imbalance")
def imbalance(facts: Facts) -> Iterator[Finding]:
    """A class far rarer than the commonest."""
    totals = _totals(facts)
    if len(totals) < 2:
        return
    (most, many), (least, few) = totals.most_common(1)[0], totals.most_common()[-1]
    if many >= _IMBALANCE * few:
        yield Finding(
            id="labels.imbalance",
            severity="warning",
            message=f"{most!r} has {many} pictures, {least!r} only {few}.",
            samples=(least,),
            count=few,
            hint="--set train.balance=weights, and look at macro_f1 rather than accuracy",
        )


@check("labels.missing")
def missing(facts: Facts) -> Iterator[Finding]:
    """Samples without a label: they are left out."""
    bare = [sample.id for sample in facts.samples if sample.raw is None]
    if bare:
        yield Finding(
            id="labels.missing",
            severity="warning",
            message=f"{len(bare)} pictures have no label and are left out.",
            samples=tuple(bare[:SHOWN]),
            count=len(bare),
        )
