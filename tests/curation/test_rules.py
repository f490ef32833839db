from __future__ import annotations

from collections.abc import Sequence

import pytest

from foveal.curation.plan import Change
from foveal.curation.rules import RULES, Known, by_rules
from foveal.data.source import Sample
from foveal.errors import UsageError
from foveal.types import Finding, SplitName, Suspect


def known(
    *names: str, pixels: dict[str, int] | None = None, kept: Sequence[str] = (),
    sides: dict[str, SplitName] | None = None,
) -> Known:  # fmt: skip
    """Return samples whose first letter is their label."""
    samples = {name: Sample(name, (name[0],), (sides or {}).get(name)) for name in names}
    return Known(samples, lambda name: (pixels or {}).get(name, 0), kept)


def found(id: str, *suspects: Suspect) -> Finding:
    return Finding(id, "warning", "", count=len(suspects), suspects=suspects)


def copies(id: str, *names: str) -> Finding:
    sets = [
        Suspect(name, 1.0, like=tuple(other for other in names if other != name)) for name in names
    ]
    return found(id, *sets)


def done(
    finding: Finding, given: Known, only: Sequence[str] = ()
) -> dict[str, tuple[str, str | None]]:
    changes, _ = by_rules([finding], given, only or [finding.id])
    return {change.sample: (change.action, change.label) for change in changes}


AWAY = ("quarantine", None)


def test_of_copies_the_held_out_one_stays_then_the_largest_then_the_shortest_name() -> None:
    id = "images.near_duplicate"
    names = ("a1", "a2", "a3", "b1")
    assert done(copies(id, *names[:3]), known(*names, pixels={"a2": 9})) == {
        "a1": AWAY,
        "a3": AWAY,
    }
    sided = known(*names, pixels={"a2": 9}, sides={"a1": "train", "a3": "test"})
    assert done(copies(id, *names[:3]), sided) == {"a1": AWAY, "a2": AWAY}
    assert done(copies(id, "a (1)", "a"), known("a", "a (1)")) == {"a (1)": AWAY}


def test_a_copy_that_a_person_keeps_is_the_one_that_stays() -> None:
    given = known("a1", "a2", "a3", pixels={"a2": 9}, kept=["a1"])
    finding = copies("images.near_duplicate", "a1", "a2", "a3")
    assert done(finding, given) == {"a2": AWAY, "a3": AWAY}


def test_copies_under_several_labels_stay_where_most_of_them_are() -> None:
    id = "images.two_labels"
    assert done(copies(id, "a1", "b1"), known("a1", "b1")) == {"a1": AWAY, "b1": AWAY}
    assert done(copies(id, "a1", "b1", "a2"), known("a1", "a2", "b1")) == {"b1": AWAY}
    # Nothing is known of which label is right when a set is split in halves.
    assert len(done(copies(id, "a1", "b1", "a2", "b2"), known("a1", "a2", "b1", "b2"))) == 4
    assert done(copies("images.near_duplicate", "a1", "b1"), known("a1", "b1")) == {}


def test_a_set_whose_members_are_gone_is_left_alone() -> None:
    assert done(copies("images.near_duplicate", "a1", "a2"), known("a1")) == {}


def test_a_label_is_changed_when_it_is_surely_wrong_and_a_picture_taken_when_it_likely_is() -> None:
    finding = found(
        "labels.suspect",
        Suspect("a1", 0.95, "b"),
        Suspect("a2", 0.95),
        Suspect("a3", 0.8, "b"),
        Suspect("a4", 0.6, "b"),
    )
    given = known("a1", "a2", "a3", "a4", "b1", kept=["a2"])
    assert done(finding, given) == {"a1": ("relabel", "b"), "a3": AWAY}


def test_findings_that_name_only_some_of_their_samples_are_not_applied() -> None:
    some = Finding("images.unreadable", "warning", "", samples=("a1",), count=2)
    assert done(some, known("a1", "a2")) == {}
    all_of_them = Finding("images.unreadable", "warning", "", samples=("a1",), count=1)
    assert done(all_of_them, known("a1", "a2")) == {"a1": AWAY}


def test_only_what_is_sure_is_done_without_being_named() -> None:
    blurred = found("images.blurred", Suspect("a1", 1.0))
    given = known(*(f"a{number}" for number in range(9)))
    assert by_rules([blurred], given)[0] == []
    assert len(by_rules([blurred], given, ["images.blurred"])[0]) == 1
    assert by_rules([found("plugin.finding", Suspect("a1", 1.0))], given) == ([], [])
    with pytest.raises(UsageError, match=r"Did you mean 'images\.blurred'"):
        by_rules([blurred], given, ["images.blured"])


def test_a_rule_that_would_take_a_quarter_of_the_pictures_is_not_applied() -> None:
    given = known("a1", "a2", "a3")
    broken = found("images.unreadable", Suspect("a1", 1.0))
    changes, notes = by_rules([broken], given)
    assert changes == []
    assert notes[0].startswith("images.unreadable is skipped: its rule would remove 1 of 3")
    assert len(by_rules([broken], given, ["images.unreadable"])[0]) == 1


def test_one_sample_gets_one_change_by_the_first_rule() -> None:
    given = known(*(f"a{number}" for number in range(20)))
    findings = [
        copies("images.near_duplicate", "a1", "a2"),
        found("images.unreadable", Suspect("a1", 1.0)),
    ]
    changes, _ = by_rules(findings, given)
    assert changes == [Change("a1", "quarantine", None, "cannot be read", "images.unreadable")]


def test_every_rule_says_what_it_does() -> None:
    assert all(rule.words for rule in RULES.values())
