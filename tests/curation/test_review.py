"""Suspects and decisions, without the page."""

import json
from pathlib import Path

import pytest
from doubted import DrawnSource

from foveal.checks.report import CheckReport
from foveal.curation.decisions import Decisions
from foveal.curation.review import Review
from foveal.data.source import Sample, TargetKind
from foveal.errors import UsageError
from foveal.types import Finding, Suspect

RAWS: tuple[tuple[str, ...] | None, ...] = (("cat",), ("cat",), ("dog",), ("dog",), None)


def review_of(path: Path, target: TargetKind = "labels") -> Review:
    samples = tuple(Sample(f"{i}.png", raw) for i, raw in enumerate(RAWS))
    source = DrawnSource("memory", "5 pictures", samples, ())
    suspects = (Suspect("0.png", 0.9, "dog"), Suspect("2.png", 0.8, "cat"), Suspect("gone", 0.7))
    findings = (
        Finding("labels.suspect", "warning", "2 look like others.", suspects=suspects),
        Finding("images.outlier", "info", "2 are odd.", ("4.png", "0.png"), 2),
        Finding("labels.balance", "info", "Even."),
    )
    report = CheckReport("memory", "5 pictures", 5, target, {}, "", findings)
    return Review(source, report, path / "review.jsonl")


def actions(review: Review) -> dict[str, str]:
    return {s: d.label or d.action for s, d in review.decisions().items()}


def test_only_findings_about_samples_that_are_there_are_reviewed(tmp_path: Path) -> None:
    review = review_of(tmp_path)
    assert [[s.sample for s in q.suspects] for q in review.queues] == [
        ["0.png", "2.png"],
        ["4.png", "0.png"],
    ]
    assert review.labels == ("cat", "dog")


def test_a_decision_counts_wherever_the_sample_is_suspected(tmp_path: Path) -> None:
    review = review_of(tmp_path)
    review.decide(0, [0], "relabel")
    assert actions(review) == {"0.png": "dog"}
    assert (review.counts(0), review.counts(1)) == ({"relabel": 1}, {"relabel": 1})
    assert review.next_open(0, 0) == 1
    assert review.next_open(0, 2) == 1
    review.decide(0, [0, 1], "keep")
    assert review.counts(0) == {"keep": 2}
    assert review.next_open(0, 1) is None


def test_undo_takes_back_an_act_at_a_time_also_in_another_session(tmp_path: Path) -> None:
    review = review_of(tmp_path)
    review.decide(0, [0], "keep")
    review.decide(0, [0, 1], "quarantine")
    review.decide(1, [0], "skip")
    review = review_of(tmp_path)
    assert review.undo().samples == ("4.png",)
    assert review.undo().samples == ("0.png", "2.png")
    assert actions(review) == {"0.png": "keep"}
    assert review.undo(["2.png", "0.png"]).samples == ("0.png",)
    assert review.undo().samples == ()
    assert review.counts(0) == {}


def test_two_sessions_see_each_others_decisions(tmp_path: Path) -> None:
    one, two = review_of(tmp_path), review_of(tmp_path)
    version = two.version
    one.decide(0, [0], "keep")
    two.decide(0, [1], "skip")
    assert actions(one) == actions(two) == {"0.png": "keep", "2.png": "skip"}
    assert two.changed_since(version) == ("0.png", "2.png")
    assert two.undo().samples == ("2.png",)
    assert one.undo().samples == ("0.png",)


def test_undo_leaves_the_decisions_of_others_alone(tmp_path: Path) -> None:
    review = review_of(tmp_path)
    review.decide(0, [0], "skip")
    review.decide(0, [0, 1], "keep", by="anna")
    review.decide(1, [0], "keep", by="bert")
    review.decide(0, [1], "quarantine", by="bert")
    # Of what anna decided, bert has since decided 2.png anew.
    assert review.undo(by="anna").samples == ("0.png",)
    assert actions(review) == {"0.png": "skip", "2.png": "quarantine", "4.png": "keep"}
    assert review.undo(by="anna").samples == ("0.png",)
    assert review.undo(by="anna").samples == ()
    review = review_of(tmp_path)
    assert review.undo(by="bert").samples == ("2.png",)
    assert review.undo(by="anna").samples == ("2.png",)
    assert review.undo(by="bert").samples == ("4.png",)
    assert actions(review) == {}


def test_a_log_that_is_moved_away_begins_a_new_session(tmp_path: Path) -> None:
    review = review_of(tmp_path)
    session = review.session
    review.decide(0, [0], "keep")
    review.path.rename(tmp_path / "applied.jsonl")
    review.refresh()
    assert (review.decisions(), review.counts(0), review.version) == ({}, {}, 0)
    assert review.session != session
    review.decide(0, [1], "keep")
    assert actions(review) == {"2.png": "keep"}


def test_what_has_no_suggestion_is_passed_over_and_counted(tmp_path: Path) -> None:
    act = review_of(tmp_path).decide(1, [0, 1], "relabel")
    assert (act.samples, act.passed_over) == ((), 2)
    assert not (tmp_path / "review.jsonl").exists()


def test_the_label_that_a_sample_has_is_kept(tmp_path: Path) -> None:
    review = review_of(tmp_path)
    review.decide(0, [0, 1], "relabel", " cat ")
    assert actions(review) == {"0.png": "keep", "2.png": "cat"}


@pytest.mark.parametrize(
    "label", ["", " ", "a/b", "..", ".hidden", "a\\b", "a\nb", "a" * 256, "ä" * 128, "a" * 1001]
)
def test_a_label_that_could_be_no_class_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(UsageError):
        review_of(tmp_path).decide(0, [0], "relabel", label)


def test_a_class_may_be_as_long_as_the_name_of_a_folder(tmp_path: Path) -> None:
    review = review_of(tmp_path)
    review.decide(0, [0], "relabel", "a" * 255)
    assert actions(review) == {"0.png": "a" * 255}
    with pytest.raises(UsageError, match=r"^Invalid class .a{39}….\. Expected .* 255 bytes"):
        review.decide(0, [0], "relabel", "a" * 256)


def test_texts_may_hold_anything_of_one_line_and_masks_have_no_label(tmp_path: Path) -> None:
    texts = review_of(tmp_path, "text")
    texts.decide(0, [0], "relabel", "1/2 | .5")
    assert actions(texts) == {"0.png": "1/2 | .5"}
    assert texts.labels == ()
    with pytest.raises(UsageError, match="mask has no label"):
        review_of(tmp_path, "mask").decide(0, [0], "relabel", "cat")


def test_acts_of_one_moment_are_told_apart(tmp_path: Path) -> None:
    review = review_of(tmp_path)
    for _ in range(5):
        review.decide(0, [0], "keep")
    lines = review.path.read_text().splitlines()
    assert len({json.loads(line)["at"] for line in lines}) == 5
    assert len(Decisions(review.path).read()) == 1


def test_of_copies_the_one_that_cleaning_keeps_is_known(tmp_path: Path) -> None:
    samples = tuple(
        Sample(f"cat/{name}.png", ("cat",), side)
        for name, side in (("one", "train"), ("two", "test"), ("odd", "train"))
    )
    source = DrawnSource("memory", "3 pictures", samples, ())
    one, two, odd = (sample.id for sample in samples)
    suspects = (Suspect(one, 1.0, None, (two,)), Suspect(two, 1.0, None, (one,)))
    findings = (
        Finding("images.near_duplicate", "info", "Copies: 1.", suspects=suspects),
        Finding("images.blurred", "info", "Blurred: 1.", suspects=(Suspect(odd, 0.5),)),
    )
    report = CheckReport("memory", "3 pictures", 3, "labels", {}, "", findings)
    review = Review(source, report, tmp_path / "review.jsonl")
    assert review.best_copies(0) == {two}
    assert review.best_copies(1) == set()
    assert not any(queue.scores_are_chances for queue in review.queues)
