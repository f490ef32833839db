"""Label suspects and outliers, on features that are drawn so that the truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from foveal.checks import CheckInput, run_checks
from foveal.checks.answering import answer_out_of_fold, recalibrate
from foveal.checks.folds import compress, deal_folds
from foveal.checks.neighbours import nearest, outlyingness
from foveal.checks.noise import fit_noise
from foveal.data.scan import Scan
from foveal.data.source import Sample
from foveal.types import Finding


def drawn(
    truth: NDArray[np.int64], *, apart: float, seed: int = 0, size: int = 16
) -> NDArray[np.float32]:
    """Return features around a centre for each class."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(int(truth.max()) + 1, size))
    centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
    return (centres[truth] + rng.normal(size=(len(truth), size))).astype(np.float32)


def given(features: NDArray[np.float32], raws: list[tuple[str, ...]]) -> CheckInput:
    """Return what checks get, with answers, for pictures that are all different."""
    count = len(raws)
    scan = Scan.empty(count)
    scan.ok[:] = True
    scan.sizes[:] = 32
    scan.spread[:] = 50
    rng = np.random.default_rng(1)
    scan.digest[:] = rng.integers(0, 256, scan.digest.shape)
    scan.phash[:] = rng.integers(0, 1 << 63, count)
    samples = tuple(Sample(f"{i}.png", raw) for i, raw in enumerate(raws))
    rows = compress(lambda at: features[at], count)
    answers = answer_out_of_fold(rows, raws, np.arange(count))
    split = np.zeros(count, np.int8)
    return CheckInput(samples, scan, split, 2, features=rows, out_of_fold=answers)


def found(looked_at: CheckInput, id: str) -> Finding | None:
    return next((f for f in run_checks(looked_at) if f.id == id), None)


def flipped(
    truth: NDArray[np.int64], share: float, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels of which some are wrong, and which."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(truth), round(share * len(truth)), replace=False)
    labels = truth.copy()
    classes = int(truth.max()) + 1
    labels[chosen] = (truth[chosen] + rng.integers(1, classes, len(chosen))) % classes
    return labels, chosen


@pytest.mark.parametrize("classes", [2, 5, 40])
def test_flipped_labels_are_found_with_the_right_class(classes: int) -> None:
    truth = np.arange(20 * classes) % classes
    labels, wrong = flipped(truth, 0.1)
    looked_at = given(drawn(truth, apart=9.0), [(f"c{i}",) for i in labels])
    finding = found(looked_at, "labels.suspect")
    assert finding is not None
    assert {s.sample for s in finding.suspects} == {f"{i}.png" for i in wrong}
    assert all(s.label == f"c{truth[int(s.sample[:-4])]}" for s in finding.suspects)
    assert finding.count == len(wrong)
    scores = [s.score for s in finding.suspects]
    assert scores == sorted(scores, reverse=True)
    assert all(0.5 <= score <= 1 for score in scores)


def test_beside_a_suspect_are_pictures_of_the_class_that_it_looks_like() -> None:
    truth = np.arange(120) % 3
    labels, _ = flipped(truth, 0.05)
    finding = found(given(drawn(truth, apart=9.0), [(f"c{i}",) for i in labels]), "labels.suspect")
    assert finding is not None
    for suspect in finding.suspects:
        assert len(suspect.like) == 3
        assert {f"c{labels[int(name[:-4])]}" for name in suspect.like} == {suspect.label}


def test_right_labels_of_classes_that_are_told_apart_are_no_suspects() -> None:
    truth = np.arange(200) % 4
    looked_at = given(drawn(truth, apart=9.0), [(f"c{i}",) for i in truth])
    assert found(looked_at, "labels.suspect") is None


def test_scores_are_the_share_of_wrong_labels() -> None:
    truth = np.arange(6000) % 3
    labels, wrong = flipped(truth, 0.2)
    looked_at = given(drawn(truth, apart=2.5), [(f"c{i}",) for i in labels])
    answers = looked_at.out_of_fold
    assert answers is not None
    chance = fit_noise(np.log(answers.scores + 1e-9), labels, temperatures=(1.0,)).wrong
    is_wrong = np.isin(np.arange(len(truth)), wrong)
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01)):
        inside = (chance >= low) & (chance < high)
        assert abs(chance[inside].mean() - is_wrong[inside].mean()) < 0.12


@pytest.mark.parametrize("several", [False, True])
def test_answers_that_were_calibrated_on_wrong_labels_are_sharpened(several: bool) -> None:
    # The logits of calibrated answers, halved.
    truth = np.arange(400) % 2
    labels, wrong = flipped(truth, 0.1, seed=3)
    logits = np.random.default_rng(3).normal(3, 2, 400) / 2
    of_truth = 1 / (1 + np.exp(-logits))
    scores = np.where(np.eye(2)[truth] == 1, of_truth[:, None], 1 - of_truth[:, None])
    scores = scores.astype(np.float32)
    raws = [(f"c{i}",) for i in labels]
    if several:
        scores = np.concatenate([scores, np.full((400, 1), 0.5, np.float32)], axis=1)
        raws = [(*raw, "often") if i % 4 < 2 else raw for i, raw in enumerate(raws)]

    def doubted(values: NDArray[np.float32]) -> set[int]:
        given = np.log(values[:, :2] + 1e-9)
        return set(np.flatnonzero(fit_noise(given, labels, temperatures=(1.0,)).wrong >= 0.5))

    sharp = recalibrate(scores, raws, ("c0", "c1", "often")[: scores.shape[1]])
    right = doubted(sharp) & set(wrong.tolist())
    assert len(doubted(scores)) <= 0.1 * len(wrong)
    assert len(right) >= 0.6 * len(wrong)
    # The model itself is wrong on one answer in 15.
    assert len(right) >= 0.7 * len(doubted(sharp))
    if several:
        assert sharp[:, 2] == pytest.approx(0.5)


def test_a_rare_class_is_not_taken_for_wrong_labels() -> None:
    truth = np.array([0] * 400 + [1] * 8 + [2] * 2 + [3])
    looked_at = given(drawn(truth, apart=9.0), [(f"c{i}",) for i in truth])
    assert found(looked_at, "labels.suspect") is None


def test_of_several_labels_missing_ones_are_found() -> None:
    rng = np.random.default_rng(0)
    several = rng.random((900, 3)) < 0.5
    features = (several @ rng.normal(size=(3, 16)) * 5 + rng.normal(size=(900, 16))).astype("f4")
    both = np.flatnonzero(several[:, 0] & several[:, 1] & ~several[:, 2])[:30]
    given_labels = several.copy()
    given_labels[both, 1] = False
    raws = [tuple(n for n, on in zip("abc", row, strict=True) if on) for row in given_labels]
    finding = found(given(features, raws), "labels.suspect")
    assert finding is not None
    said = {(s.sample, s.label) for s in finding.suspects}
    assert len({(f"{i}.png", "a|b") for i in both} & said) >= 25
    assert len(said) <= len(both) + 3


def test_a_warning_says_that_held_out_pictures_are_not_cleaned_and_believed() -> None:
    truth = np.arange(120) % 3
    labels, wrong = flipped(truth, 0.05)
    looked_at = given(drawn(truth, apart=9.0), [(f"c{i}",) for i in labels])
    split = np.zeros(120, np.int8)
    split[wrong[0]] = 1
    held_out, without = (
        found(one, "labels.suspect") for one in (replace(looked_at, split=split), looked_at)
    )
    assert held_out is not None
    assert without is not None
    assert "validation or test pictures" in (held_out.hint or "")
    assert "validation or test pictures" not in (without.hint or "")


def test_a_picture_unlike_all_others_is_an_outlier() -> None:
    truth = np.arange(300) % 3
    features = drawn(truth, apart=9.0)
    features[7] = np.random.default_rng(5).normal(size=16) * 6
    finding = found(given(features, [(f"c{i}",) for i in truth]), "images.outlier")
    assert finding is not None
    assert finding.suspects[0].sample == "7.png"
    assert finding.count <= 3


def test_a_copy_of_an_odd_picture_does_not_hide_it() -> None:
    truth = np.arange(300) % 3
    features = drawn(truth, apart=9.0)
    features[[7, 8, 9, 10]] = np.random.default_rng(5).normal(size=16) * 6
    looked_at = given(features, [(f"c{i}",) for i in truth])
    looked_at.scan.digest[[8, 9, 10]] = looked_at.scan.digest[7]
    finding = found(looked_at, "images.outlier")
    assert finding is not None
    assert {"7.png", "8.png", "9.png", "10.png"} <= {s.sample for s in finding.suspects}


def test_without_features_nothing_is_doubted() -> None:
    looked_at = given(drawn(np.arange(60) % 3, apart=0.1), [(f"c{i % 3}",) for i in range(60)])
    bare = replace(looked_at, features=None, out_of_fold=None)
    assert found(bare, "labels.suspect") is None
    assert found(bare, "images.outlier") is None


@pytest.mark.parametrize("several", [False, True])
def test_labels_that_the_pictures_do_not_tell_are_not_called_wrong(several: bool) -> None:
    labels = np.random.default_rng(1).integers(0, 3, 90)
    raws = [(f"c{i}", "too") if several and i == 0 else (f"c{i}",) for i in labels]
    looked_at = given(drawn(np.arange(90) % 3, apart=3.0), raws)
    assert found(looked_at, "labels.suspect") is None
    finding = found(looked_at, "labels.unpredictable")
    assert finding is not None
    assert "no more than by chance" in finding.message
    assert finding.count == 90


def test_labels_that_the_pictures_tell_are_checked() -> None:
    truth = np.arange(200) % 4
    looked_at = given(drawn(truth, apart=2.5), [(f"c{i}",) for i in truth])
    assert found(looked_at, "labels.unpredictable") is None


def test_too_few_pictures_or_one_class_are_not_answered() -> None:
    features = np.zeros((30, 4), np.float32)
    units = np.arange(30)
    assert answer_out_of_fold(features[:19], [("a",), ("b",)] * 9 + [("a",)], units[:19]) is None
    assert answer_out_of_fold(features, [("a",)] * 30, units) is None


def test_folds_keep_units_whole_and_spread_every_label() -> None:
    labels = np.repeat(np.arange(4), 25)
    units = np.arange(100) // 2
    fold = deal_folds(labels, units)
    assert (fold[0::2] == fold[1::2]).all()
    counts = np.array([np.bincount(fold[labels == label], minlength=5) for label in range(4)])
    assert counts.min() >= 4
    assert counts.max() <= 6


def test_nearest_rows_come_by_falling_cosine() -> None:
    among = np.array([[1, 0], [0, 1], [1, 1], [-1, 0]], np.float32)
    assert nearest(np.array([[2, 0.1]], np.float32), among, 3).tolist() == [[0, 2, 1]]
    assert nearest(np.zeros((2, 2), np.float32), among[:0], 3).shape == (2, 0)


def test_the_tail_of_one_cloud_holds_hardly_an_outlier() -> None:
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 256, (2000, 16)).astype(np.uint8)
    said = outlyingness(rng.normal(size=(2000, 32)).astype(np.float32), digests)
    assert said is not None
    assert (said.score >= 0.5).mean() < 0.01
    assert outlyingness(np.zeros((49, 4), np.float32), digests[:49]) is None
