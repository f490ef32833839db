"""Conservative rules for resolving findings automatically, one per finding.

A finding without a rule is left to a person.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from foveal.curation.plan import Change
from foveal.data.findings import plural
from foveal.data.source import Sample
from foveal.errors import UsageError, unknown_name
from foveal.types import Finding, Suspect

MOST = 0.25
"""Unless it is named, a rule is not applied when it would take away more of the pictures: then
something else is wrong with the data, or with the check."""

_SIDES = {None: 0, "train": 0, "val": 1, "test": 2}


@final
@dataclass(frozen=True, slots=True)
class Known:
    """The input of the rules.

    Attributes:
        samples: Id → sample.
        pixels: From an id to the number of pixels; 0 where it cannot be told.
        kept: Ids of pictures that stay whatever is found: a person has said so.
    """

    samples: Mapping[str, Sample]
    pixels: Callable[[str], int]
    kept: Collection[str]


Apply: TypeAlias = Callable[[Finding, Known], Iterable[Change]]


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """The rule for a finding.

    Attributes:
        words: What it does, for people.
        apply: From the finding to changes.
        by_default: Whether it is applied without being named.
    """

    words: str
    apply: Apply
    by_default: bool = True


def _quarantine(words: str, least: float = 0.0) -> Apply:
    """Return a rule that takes away what has a score of at least `least`."""

    def apply(finding: Finding, known: Known) -> Iterator[Change]:
        for suspect in _suspects(finding):
            if suspect.score >= least:
                yield Change(suspect.sample, "quarantine", None, words, finding.id)

    return apply


def _relabel(surely: float, likely: float) -> Apply:
    """Return a rule that gives another label from one score on, and takes away from another."""

    def apply(finding: Finding, known: Known) -> Iterator[Change]:
        for suspect in _suspects(finding):
            score = f"its label is wrong with a probability of {100 * suspect.score:.0f} %"
            if suspect.label is not None and suspect.score >= surely:
                yield Change(suspect.sample, "relabel", suspect.label, score, finding.id)
            elif suspect.score >= likely:
                yield Change(suspect.sample, "quarantine", None, score, finding.id)

    return apply


def _keep_best(finding: Finding, known: Known) -> Iterator[Change]:
    """Of copies with one label, keep one: held out before trained on, then the most pixels."""
    for members in _sets(finding, known):
        if len({known.samples[name].raw for name in members}) != 1:
            # Which label is right is another question.
            continue
        kept = [name for name in members if name in known.kept]
        best = kept[0] if kept else max(members, key=lambda name: _worth(name, known))
        for name in members:
            if name != best:
                yield Change(name, "quarantine", None, f"a copy of {best}", finding.id)


def _worth(name: str, known: Known) -> tuple[int, int, int]:
    # Where all else is equal, the shortest name: `a (1).jpg` is the copy.
    return _SIDES[known.samples[name].split], known.pixels(name), -len(name)


def _keep_majority(finding: Finding, known: Known) -> Iterator[Change]:
    """Of copies under several labels, keep those of the label that most of them have."""
    for members in _sets(finding, known):
        labels = Counter(known.samples[name].raw for name in members)
        label, count = labels.most_common(1)[0]
        for name in members:
            if known.samples[name].raw != label or count <= len(members) / 2:
                words = f"labelled differently from its copy {_other(name, members, known)}"
                yield Change(name, "quarantine", None, words, finding.id)


def _other(name: str, members: Sequence[str], known: Known) -> str:
    raw = known.samples[name].raw
    return next((other for other in members if known.samples[other].raw != raw), name)


def _sets(finding: Finding, known: Known) -> Iterator[list[str]]:
    """Yield the samples of each set of copies that are there, in order."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for suspect in finding.suspects:
        for other in suspect.like:
            parent[max(root(suspect.sample), root(other))] = min(root(suspect.sample), root(other))
    sets: defaultdict[str, list[str]] = defaultdict(list)
    for name in list(parent):
        if name in known.samples:
            sets[root(name)].append(name)
    yield from (sorted(names) for _, names in sorted(sets.items()) if len(names) > 1)


def _suspects(finding: Finding) -> tuple[Suspect, ...]:
    """Return all that a finding is about; nothing where it names only some of them."""
    if finding.suspects or finding.count != len(finding.samples):
        return finding.suspects
    return tuple(Suspect(sample, 1.0) for sample in finding.samples)


RULES: dict[str, Rule] = {
    "images.unreadable": Rule("cannot be read: quarantine", _quarantine("cannot be read")),
    "images.two_labels": Rule(
        "copies under several labels: keep the label of more than half, quarantine the others",
        _keep_majority,
    ),
    "images.near_duplicate": Rule(
        "copies with one label: keep the one held out, then the largest, quarantine the others",
        _keep_best,
    ),
    "split.leak": Rule("as images.near_duplicate, across the sides of a split", _keep_best),
    "images.blank": Rule("of one colour: quarantine", _quarantine("of one colour")),
    "labels.suspect": Rule(
        "the label looks wrong: relabel from a score of 0.9 on, quarantine from 0.7 on",
        _relabel(0.9, 0.7),
    ),
    "images.outlier": Rule(
        "of no class: quarantine from a score of 0.9 on",
        _quarantine("looks like no class", 0.9),
        # Odd but right pictures are among them.
        by_default=False,
    ),
    "images.blurred": Rule("blurred: quarantine", _quarantine("blurred"), by_default=False),
    "images.dark": Rule("dark: quarantine", _quarantine("dark"), by_default=False),
    "images.bright": Rule("bright: quarantine", _quarantine("bright"), by_default=False),
    "images.low_information": Rule(
        "little to see: quarantine", _quarantine("little to see"), by_default=False
    ),
    "images.odd_size": Rule(
        "of an odd size: quarantine", _quarantine("of an odd size"), by_default=False
    ),
    "images.odd_aspect": Rule(
        "of odd proportions: quarantine", _quarantine("of odd proportions"), by_default=False
    ),
}
"""Id of the finding → what is done, in the order in which it is done; see `foveal clean --auto`."""


def by_rules(
    findings: Iterable[Finding], known: Known, only: Sequence[str] = ()
) -> tuple[list[Change], list[str]]:
    """Return the changes that the rules make of findings, at most one for each sample.

    Args:
        findings: What a check found.
        known: What is known of the data.
        only: Ids of findings; then no other rules are applied.

    Returns:
        The changes, and sentences about findings whose rule was not applied.

    Raises:
        UsageError: If `only` names a finding without a rule.
    """
    for name in only:
        if name not in RULES:
            raise UsageError(
                unknown_name("finding with a rule", name, RULES), hint="foveal clean --help"
            )
    changes: dict[str, Change] = {}
    notes: list[str] = []
    found = {finding.id: finding for finding in findings}
    for name, rule in RULES.items():
        if name not in found or not (name in only if only else rule.by_default):
            continue
        # What earlier rules have dealt with is no longer there for this one.
        left = {i: sample for i, sample in known.samples.items() if i not in changes}
        made = [
            change
            for change in rule.apply(found[name], Known(left, known.pixels, known.kept))
            if change.sample in left and change.sample not in known.kept
        ]
        away = sum(change.action == "quarantine" for change in made)
        if away > MOST * len(known.samples) and not only:
            notes.append(
                f"{name} is skipped: its rule would remove {away:,} of "
                f"{plural(len(known.samples), 'picture')}; look at them (foveal review), or name "
                f"it (--only {name})"
            )
            continue
        changes.update({change.sample: change for change in made})
    return list(changes.values()), notes
