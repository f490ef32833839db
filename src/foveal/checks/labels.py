"""Checks of the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from foveal.checks.base import CheckInput, check
from foveal.data.findings import about, finding, plural, quoted
from foveal.types import SPLIT_NAMES, Finding

# A class this many times rarer than the commonest is learnt badly without weights.
_IMBALANCE = 10
_CLASSIFY = ("classify",)


def class_balance(given: CheckInput) -> dict[str, dict[str, int]]:
    """Return label → side → number of pictures, in the order of the labels' names."""
    counts: dict[str, Counter[str]] = {}
    for i in given.usable().tolist():
        side = SPLIT_NAMES[given.split[i]] if given.split[i] >= 0 else "unused"
        for label in given.samples[i].raw or ():
            counts.setdefault(label, Counter())[side] += 1
    return {label: dict(counts[label]) for label in sorted(counts)}


def _totals(given: CheckInput) -> Counter[str]:
    return Counter(label for i in given.usable().tolist() for label in given.samples[i].raw or ())


@check("labels.one_class", tasks=(*_CLASSIFY, "segment"))
def one_class(given: CheckInput) -> Iterator[Finding]:
    """A single class: there is nothing to tell apart."""
    totals = _totals(given)
    if len(totals) == 1:
        name, count = next(iter(totals.items()))
        yield finding(
            "labels.one_class",
            "error",
            f"Every labelled picture ({count:,}) has the label {name!r}"
            f"{' alone' if given.target == 'mask' else ''}: there is nothing to tell apart.",
            count=count,
            hint="add pictures whose masks contain a second class"
            if given.target == "mask"
            else "add a folder with pictures of a second class",
        )


@check("labels.single_picture", tasks=_CLASSIFY)
def single_picture(given: CheckInput) -> Iterator[Finding]:
    """Classes with one picture: it is trained on, so the class is never measured."""
    rare = sorted(name for name, count in _totals(given).items() if count == 1)
    words = f"with one picture only, trained on but never measured: {quoted(rare)}."
    hint = "add pictures of them"
    yield from about(rare, "labels.single_picture", "warning", "class", words, hint=hint)


@check("labels.imbalance", tasks=_CLASSIFY)
def imbalance(given: CheckInput) -> Iterator[Finding]:
    """A class far rarer than the commonest."""
    totals = _totals(given)
    if len(totals) < 2:
        return
    ranked = totals.most_common()
    (most, many), (least, few) = ranked[0], ranked[-1]
    rare = [name for name, count in reversed(ranked) if many >= _IMBALANCE * count]
    if rare:
        yield finding(
            "labels.imbalance",
            "warning",
            f"{most!r} has {plural(many, 'picture')}, {least!r} only {few:,}.",
            rare,
            hint="--set train.balance=weights, and look at macro_f1 rather than accuracy",
        )


@check("labels.missing")
def missing(given: CheckInput) -> Iterator[Finding]:
    """Samples without a label: they are left out."""
    bare = [sample.id for sample in given.samples if sample.raw is None]
    yield from about(bare, "labels.missing", "warning", "picture", "without a label, left out.")


@check("labels.not_measured", tasks=_CLASSIFY)
def not_measured(given: CheckInput) -> Iterator[Finding]:
    """Classes of which no picture is held out, although they have several."""
    balance = class_balance(given)
    unseen = [
        label
        for label, sides in balance.items()
        if sum(sides.values()) > 1 and not sides.get("val") and not sides.get("test")
    ]
    if len(balance) > 1:
        yield from about(
            unseen,
            "labels.not_measured",
            "warning",
            "class",
            "without a held-out picture, because all theirs belong together or are given for "
            f"training: {quoted(unseen)}.",
            hint="add pictures from another source, or let foveal split",
        )
