"""Cores grow to objects, which are matched with true ones and are part of an answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal import metrics
from foveal.tasks.segment.collecting import CORES
from foveal.tasks.segment.instances import Instances, find_instances, inner
from foveal.tasks.segment.matching import object_counts
from foveal.tasks.segment.prediction import Segmentation
from foveal.tasks.segment.task import SegmentTask
from foveal.tasks.segment.training import core_targets
from foveal.types import IGNORED, Calibration, Frame, Labels, Mask, Numbers, Picture

# Two squares of 6 x 6 that share a side, and one that stands alone without a core.
TOUCHING = np.zeros((12, 20), np.uint8)
TOUCHING[2:8, 1:13] = 1
TOUCHING[9:11, 15:17] = 1
LEFT, RIGHT, ALONE = slice(1, 7), slice(7, 13), slice(15, 17)


def cores_of(*columns: tuple[int, int]) -> NDArray[np.bool_]:
    cores = np.zeros(TOUCHING.shape, np.bool_)
    for first, last in columns:
        cores[4:6, first:last] = True
    return cores


def found(mask: Mask, cores: NDArray[np.bool_]) -> tuple[Instances, Numbers]:
    return find_instances(mask, cores, np.full(mask.shape, 255, np.uint8), (1,))


def task(**options: object) -> SegmentTask:
    chosen = {"instances": "patches", **options}
    return SegmentTask.bind(Labels(("background", "cell")), chosen)


def answered(cores: NDArray[np.bool_], bound: SegmentTask | None = None) -> Segmentation:
    logits = 10 * (np.arange(2)[:, None, None] == TOUCHING).astype(np.float32)
    odds = np.where(cores, 10, -10).astype(np.float32)[None]
    (answer,) = (bound or task()).decode(
        {"logits": logits[None], CORES: odds[None]},
        [Frame(TOUCHING.shape, TOUCHING.shape, (1.0, 1.0), (0.0, 0.0))],
        Calibration(),
    )
    return answer


def test_each_core_grows_to_an_object_and_what_has_none_is_one_too() -> None:
    objects, numbers = found(TOUCHING, cores_of((3, 5), (9, 11)))
    assert len(objects) == 3
    assert np.unique(numbers[2:8, LEFT]).tolist() == [1]
    assert np.unique(numbers[2:8, RIGHT]).tolist() == [2]
    assert np.unique(numbers[9:11, ALONE]).tolist() == [3]
    assert ((numbers > 0) == (TOUCHING == 1)).all()
    assert objects.areas.tolist() == [36, 36, 4]
    assert objects.boxes.tolist() == [[1, 2, 7, 8], [7, 2, 13, 8], [15, 9, 17, 11]]
    assert objects.scores.tolist() == [1, 1, 1]


def test_without_cores_patches_are_objects() -> None:
    objects, _ = found(TOUCHING, cores_of())
    assert objects.areas.tolist() == [72, 4]


def test_a_core_that_is_too_small_makes_no_object() -> None:
    cores = cores_of((3, 5), (9, 11))
    cores[6, 12] = True
    assert len(found(TOUCHING, cores)[0]) == 4
    full = np.full(TOUCHING.shape, 255, np.uint8)
    objects, _ = find_instances(TOUCHING, cores, full, (1,), (0, 4))
    assert objects.areas.tolist() == [36, 36, 4]
    objects, _ = find_instances(TOUCHING, cores, full, (1,), (0, 5))
    assert objects.areas.tolist() == [72, 4]


def test_validation_chooses_the_smallest_core_by_pq() -> None:
    bound = task()
    cores = cores_of((3, 5), (9, 11))
    # Specks that divide both squares.
    cores[2, 1] = cores[2, 8] = True
    logits = 10 * (np.arange(2)[:, None, None] == TOUCHING).astype(np.float32)
    odds = np.where(cores, 10, -10).astype(np.float32)[None]
    frame = Frame(TOUCHING.shape, TOUCHING.shape, (1.0, 1.0), (0.0, 0.0))
    truth = TOUCHING.copy()
    truth[:, 7] = 0
    batch = {"logits": logits[None], CORES: odds[None]}
    fitted = bound.fit_calibration([(batch, [frame])] * 2, [truth, truth])
    assert fitted.cores == (0, 4)
    (answer,) = bound.decode(batch, [frame], fitted)
    assert answer.instances is not None
    assert answer.instances.areas.tolist() == [36, 36, 4]
    assert bound.vote([answer, answer]).instances.least == (0, 4)
    kept = task(postprocess=False).fit_calibration([(batch, [frame])], [truth])
    assert kept.cores == ()


def test_a_core_does_not_grow_into_another_label() -> None:
    mask = TOUCHING.copy()
    mask[2:8, RIGHT] = 2
    cores = cores_of((3, 5))
    full = np.full(mask.shape, 255, np.uint8)
    objects, numbers = find_instances(mask, cores, full, (1, 2))
    assert objects.labels.tolist() == [1, 1, 2]
    assert set(np.unique(numbers[2:8, LEFT])) == {1}
    assert set(np.unique(numbers[2:8, RIGHT])) == {3}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_objects_are_patches_that_cover_their_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 3, (13, 17)).astype(np.uint8)
    cores = rng.random(mask.shape) < 0.3
    full = rng.integers(0, 256, mask.shape).astype(np.uint8)
    objects, numbers = find_instances(mask, cores, full, (1, 2))
    assert ((numbers > 0) == (mask > 0)).all()
    assert objects.areas.sum() == (mask > 0).sum()
    for i, (x0, y0, x1, y1) in enumerate(objects.boxes.tolist()):
        own = numbers == i + 1
        assert set(mask[own].tolist()) == {objects.labels[i]}
        rows, columns = np.nonzero(own)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (x0, y0, x1, y1) == box
        assert len(found(own.astype(np.uint8), np.zeros_like(own))[0]) == 1
        assert objects.scores[i] == pytest.approx(full[own].mean() / 255)


def test_numbers_above_254_are_objects_like_others() -> None:
    mask = np.zeros((40, 80), np.uint8)
    mask[::2, ::2] = 1
    objects, numbers = found(mask, mask == 1)
    assert len(objects) == 800
    assert (np.bincount(numbers[numbers > 0])[1:] == 1).all()
    assert not inner(numbers, 1).any()


def test_the_inside_of_an_object_is_far_from_any_other() -> None:
    _, numbers = found(TOUCHING, cores_of((3, 5), (9, 11)))
    inside = np.zeros(TOUCHING.shape, np.bool_)
    inside[4:6, 3:5] = inside[4:6, 9:11] = True
    assert np.array_equal(inner(numbers, 2), inside)


def test_a_perfect_answer_has_full_scores_and_a_merged_one_pays() -> None:
    truth = TOUCHING.copy()
    truth[:, 6] = 0
    truth[9:11, ALONE] = IGNORED
    perfect = object_counts(*found(truth, truth == 1), truth, 2, (1,))[1]
    assert perfect.tolist() == [2, 2, 0, 0, 66, 66]
    merged = object_counts(*found(TOUCHING, cores_of()), truth, 2, (1,))[1]
    # One answer of 72 pixels, 36 of them in the larger object, and 30 in the other: an IoU of a
    # half is no match. AJI pairs both true objects with it.
    assert merged.tolist() == [0, 0, 1, 2, 66, 72 + 72]
    scores = metrics.instance_scores(np.stack([perfect, merged]))
    assert scores["pq"].tolist() == [1, 0]
    assert scores["aji"].tolist() == [1, 66 / 144]
    assert np.isnan(scores["sq"][1])
    empty = metrics.instance_scores(np.zeros(6))
    assert all(np.isnan(value) for value in empty.values())


def test_metrics_of_objects_are_only_there_where_they_are_told_apart() -> None:
    bound = task()
    answer = answered(cores_of((3, 5), (9, 11)), bound)
    truth = TOUCHING.copy()
    truth[:, 6] = 0
    figures = bound.summarise(bound.measure(answer, truth)[None])
    # The line takes a column of 6 pixels from the left object.
    assert figures["rq"] == 1
    assert figures["pq"] == pytest.approx((30 / 36 + 1 + 1) / 3)
    assert figures["aji"] == pytest.approx((30 + 36 + 4) / (36 + 36 + 4))
    plain = SegmentTask.bind(Labels(("background", "cell")), {})
    assert "pq" not in plain.summarise(plain.measure(answer, truth)[None])
    assert plain.core_outputs == ("logits",)
    assert bound.core_outputs == ("logits", "cores")
    assert (plain.epoch_metric, bound.epoch_metric) == ("dice", "pq")


def test_an_answer_says_its_objects_and_keeps_to_its_schema() -> None:
    answer = answered(cores_of((3, 5), (9, 11)))
    assert answer.summary.startswith("3 objects: cell ")
    first = answer.to_json()["instances"][0]
    assert first == {"label": "cell", "area": 36, "box": [1, 2, 7, 8], "score": 1.0}
    light = answer.without_maps()
    assert light.numbers is None
    assert light.to_json() == answer.to_json()
    assert answer != answered(cores_of())


def test_touching_objects_are_drawn_in_different_colours() -> None:
    white = Picture.from_array(np.full((*TOUCHING.shape, 3), 255, np.uint8))
    drawn = answered(cores_of((3, 5), (9, 11))).draw(white)
    assert not np.array_equal(drawn[4, 3], drawn[4, 10])
    assert (drawn[0, 0] == 255).all()


def test_a_vote_makes_objects_of_the_joint_mask() -> None:
    bound = task(core_px=2)
    apart, merged = answered(cores_of((3, 5), (9, 11)), bound), answered(cores_of(), bound)
    joint = bound.vote([apart, merged, apart])
    assert joint.instances is not None
    assert joint.instances.areas.tolist() == [36, 36, 4]
    light = [
        Segmentation(**{**vars(each), "probabilities": None}) for each in (apart, merged, apart)
    ]
    by_majority = bound.vote(light)
    assert by_majority.instances is not None
    assert by_majority.instances.areas.tolist() == [36, 36, 4]


def test_cores_that_drifted_are_no_agreement() -> None:
    bound = task()
    first, other = answered(cores_of((3, 5))), answered(cores_of((3, 6)))
    share, difference = bound.agreement(first, other)
    assert share == pytest.approx(1 - 2 / TOUCHING.size)
    assert difference > 0.9


def test_a_target_is_a_core_where_no_other_class_is_near() -> None:
    truth = TOUCHING.copy()
    truth[:, 7] = 0
    truth[9:11, ALONE] = IGNORED
    is_core = core_targets(torch.from_numpy(truth)[None], 2)[0].numpy() & (truth == 1)
    rows, columns = np.nonzero(is_core)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {
        (4, 3), (4, 4), (5, 3), (5, 4), (4, 10), (5, 10),
    }  # fmt: skip
    whole = core_targets(torch.ones(1, 8, 8, dtype=torch.uint8), 3)
    assert bool(whole.all()), "beyond the edge of a crop nothing is known"
