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
# Held out is a fifth: of fewer than five pictures none or one is measured.
_ENOUGH = 5
# As many classes, most of which have no more pictures than this, are rather texts.
_MANY, _MOST, _OWN = 10, 0.8, 2


def class_balance(given: CheckInput) -> dict[str, dict[str, int]]:
    """Return label → part → number of pictures, sorted by label."""
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
    """A single class: there is nothing to distinguish."""
    totals = _totals(given)
    if len(totals) == 1:
        name, count = next(iter(totals.items()))
        yield finding(
            "labels.one_class",
            "error",
            f"Every labelled picture ({count:,}) has the label "
            f"{name!r}{' alone' if given.target == 'mask' else ''}: there are no classes to tell "
            "apart.",
            count=count,
            hint="add pictures whose masks contain a second class"
            if given.target == "mask"
            else "add a folder with pictures of a second class",
        )


@check("labels.texts", tasks=_CLASSIFY)
def texts(given: CheckInput) -> Iterator[Finding]:
    """Labels that look like transcriptions: nearly every picture has its own."""
    totals = _totals(given)
    own = [name for name, count in totals.items() if count <= _OWN]
    if len(totals) < _MANY or len(own) < _MOST * len(totals):
        return
    # Where no label comes twice, none can be held out.
    hopeless = max(totals.values()) == 1
    yield finding(
        "labels.texts",
        "error" if hopeless else "warning",
        f"{len(totals):,} classes for {plural(totals.total(), 'picture')}: the labels look like "
        f"texts, {quoted(sorted(own))}.",
        sorted(own),
        hint="if they are the texts written in the pictures, use --task read",
    )


@check("labels.few_pictures", tasks=_CLASSIFY)
def few_pictures(given: CheckInput) -> Iterator[Finding]:
    """Classes with too few pictures for training and evaluation."""
    few = sorted(name for name, count in _totals(given).items() if 1 < count < _ENOUGH)
    words = (
        f"with fewer than {_ENOUGH} pictures, too few to learn from and to measure on: "
        f"{quoted(few)}."
    )
    hint = f"add pictures of them: at least {_ENOUGH}, better 50"
    yield from about(few, "labels.few_pictures", "warning", "class", words, hint=hint)


@check("labels.single_picture", tasks=_CLASSIFY)
def single_picture(given: CheckInput) -> Iterator[Finding]:
    """Classes with one picture, which is used for training, so that the class is not evaluated."""
    rare = sorted(name for name, count in _totals(given).items() if count == 1)
    words = f"with a single picture, which is trained on and never measured: {quoted(rare)}."
    hint = "add pictures of them"
    yield from about(rare, "labels.single_picture", "warning", "class", words, hint=hint)


@check("labels.imbalance", tasks=_CLASSIFY)
def imbalance(given: CheckInput) -> Iterator[Finding]:
    """A class far rarer than the most frequent one."""
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
    """Samples without a label, which are left out."""
    bare = [sample.id for sample in given.samples if sample.raw is None]
    if bare and len(bare) == len(given.samples):
        yield finding(
            "labels.missing",
            "error",
            f"None of the {plural(len(bare), 'picture')} has a label.",
            bare,
            hint="put the pictures of each class into a folder of its own, or add labels.csv",
        )
        return
    yield from about(bare, "labels.missing", "warning", "picture", "without a label, left out.")


@check("labels.not_measured", tasks=_CLASSIFY)
def not_measured(given: CheckInput) -> Iterator[Finding]:
    """Classes with several pictures, none of which is held out."""
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
            "without a held-out picture, because all their pictures belong together or are given "
            f"for training: {quoted(unseen)}.",
            hint="add pictures from another source, or let foveal split",
        )
