"""The segment task: labels, masks, decoding, metrics, votes and what it says."""

from __future__ import annotations

import base64
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.errors import RecipeError, TargetError
from foveal.render.masks import mask_json, mask_png, palette
from foveal.tasks import get_task
from foveal.tasks.agreement import Comparison
from foveal.tasks.segment.prediction import Segmentation
from foveal.tasks.segment.task import SegmentTask
from foveal.types import IGNORED, Calibration, Frame, Labels, Mask

PLAIN = Calibration()


def task(*names: str, **options: object) -> SegmentTask:
    return SegmentTask.bind(Labels(names or ("background", "cell")), options)


def mask(*rows: str) -> Mask:
    """A mask from digits; `x` is ignored."""
    return np.array([[IGNORED if c == "x" else int(c) for c in row] for row in rows], np.uint8)


def whole_frame(size: tuple[int, int]) -> Frame:
    return Frame(size, size, (1.0, 1.0), (0.0, 0.0))


def logits_of(labels: Mask, classes: int, height: float = 20.0) -> NDArray[np.float32]:
    """Logits that say these labels and nothing else."""
    return (height * (np.arange(classes)[:, None, None] == labels)).astype(np.float32)


def answered(bound: SegmentTask, labels: Mask, height: float = 20.0) -> Segmentation:
    outputs = {"logits": logits_of(labels, len(bound.labels), height)[None]}
    (answer,) = bound.decode(outputs, [whole_frame(labels.shape)], PLAIN)
    return answer


def scores(bound: SegmentTask, *pairs: tuple[Mask, Mask]) -> dict[str, float]:
    """The metrics of (answer, truth) pairs."""
    return bound.summarise(np.stack([bound.measure(answered(bound, a), t) for a, t in pairs]))


def test_the_task_is_found_by_its_folder() -> None:
    assert get_task("segment") is SegmentTask


def test_background_is_the_first_label_and_numbers_count() -> None:
    raws = [("class_10", "class_2"), ("background", "class_2"), ()]
    assert SegmentTask.fit_labels(raws).names == ("background", "class_2", "class_10")
    assert SegmentTask.fit_labels([("b", "2", "a1b", "a")]).names == ("2", "a", "a1b", "b")


def test_an_unknown_decoder_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'fcn8s'"):
        task(decoder="fcn")
    with pytest.raises(RecipeError, match="boundary_px"):
        task(boundary_px=-1)


def test_more_labels_than_a_mask_holds_are_refused() -> None:
    with pytest.raises(RecipeError, match="at most 255 labels"):
        SegmentTask.bind(Labels(tuple(str(i) for i in range(256))), {})


def test_a_target_is_a_mask() -> None:
    with pytest.raises(TargetError, match="Expected a mask"):
        task().parse_target(("cell",))


def test_classes_are_mapped_by_name_and_what_is_ignored_stays() -> None:
    bound = task("background", "cell", "fat")
    found = bound.parse_target(("fat", "unused", "cell"), mask("02", "x2"))
    assert found.tolist() == [[2, 1], [IGNORED, 1]]


def test_a_mask_whose_positions_are_right_is_not_copied() -> None:
    own = mask("01", "x1")
    assert task().parse_target(("background", "cell"), own) is own


def test_a_class_that_occurs_and_is_no_label_is_refused() -> None:
    with pytest.raises(TargetError, match="Unknown label 'fat'"):
        task().parse_target(("background", "fat"), mask("01"))
    with pytest.raises(TargetError, match="the value 7"):
        task().parse_target(("background", "cell"), mask("07"))


def test_a_perfect_answer_scores_one_everywhere() -> None:
    truth = mask("0011", "0011", "0000")
    found = scores(task(), (truth, truth))
    assert set(found) == {
        *("dice", "iou", "precision", "recall", "f1", "pixel_accuracy", "boundary_f1"),
        *("dice_global", "iou_global", "precision_global", "recall_global", "f1_global"),
        "pixel_accuracy_global",
    }
    assert all(value == 1.0 for value in found.values())


def test_means_over_pictures_and_over_all_pixels_differ() -> None:
    # 2 of 2 right in a picture with two cell pixels; 2 of 6 found in one with six.
    pairs = [(mask("1100"), mask("1100")), (mask("110000"), mask("111111"))]
    found = scores(task(), *pairs)
    assert found["dice"] == pytest.approx((1 + 2 * 2 / 8) / 2)
    assert found["iou"] == pytest.approx((1 + 2 / 6) / 2)
    assert found["recall"] == pytest.approx((1 + 2 / 6) / 2)
    assert found["precision"] == 1.0
    assert found["pixel_accuracy"] == pytest.approx((1 + 2 / 6) / 2)
    assert found["dice_global"] == pytest.approx(2 * 4 / (4 + 8))
    assert found["iou_global"] == pytest.approx(4 / 8)
    assert found["recall_global"] == pytest.approx(4 / 8)
    assert found["pixel_accuracy_global"] == pytest.approx(6 / 10)


@pytest.mark.parametrize(
    ("pairs", "expected", "reason"),
    [
        ([("00", "00")], math.nan, "nothing to find and nothing found says nothing"),
        ([("00", "00"), ("11", "11")], 1.0, "such a picture is left out of the mean"),
        ([("01", "00"), ("11", "11")], 0.5, "a false alarm counts 0"),
        ([("00", "01"), ("11", "11")], 0.5, "what is overlooked counts 0"),
        ([("xx", "xx"), ("11", "11")], 1.0, "so is one of which nothing is known"),
    ],
)
def test_empty_masks_are_treated_explicitly(
    pairs: list[tuple[str, str]], expected: float, reason: str
) -> None:
    found = scores(task(), *((mask(a.replace("x", "0")), mask(t)) for a, t in pairs))
    assert found["dice"] == pytest.approx(expected, nan_ok=True), reason


def test_the_background_counts_where_it_is_asked_for() -> None:
    truth, answer = mask("0111"), mask("0011")
    both = scores(task(count_background=True), (answer, truth))
    assert both["dice"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert both["dice_global"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    bound = task(count_background=True)
    rows = np.stack([bound.measure(answered(bound, mask("1111")), truth)])
    # Cells everywhere: Dice 6/7 of the cells, 0 of the background that is missed.
    assert bound.summarise(bound.baseline([()], rows).rows)["dice"] == pytest.approx(3 / 7)
    table = bound.analyse([], [], rows)["classes"]
    assert [entry["counted"] for entry in table] == [True, True]


def test_labels_without_a_background_all_count() -> None:
    truth, answer = mask("0111"), mask("0011")
    # Label 0: 2·1 / (1 + 2); label 1: 2·2 / (3 + 2).
    assert scores(task("bone", "cell"), (answer, truth))["dice"] == pytest.approx(
        (2 / 3 + 4 / 5) / 2
    )
    assert scores(task(), (answer, truth))["dice"] == pytest.approx(4 / 5)
    assert scores(task("background"), (mask("00"), mask("00")))["dice"] == 1.0


def test_ignored_pixels_do_not_count() -> None:
    found = scores(task(), (mask("1111"), mask("11xx")))
    assert found["dice"] == found["pixel_accuracy"] == 1.0


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 7))
def test_confusions_of_a_pictures_parts_add_up_to_its_own(seed: int, cut: int) -> None:
    bound = task("background", "cell", "fat")
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, IGNORED], (8, 5)).astype(np.uint8)
    answer = rng.integers(0, 3, (8, 5)).astype(np.uint8)
    parts = [
        bound.measure(answered(bound, answer[part]), truth[part])
        for part in (slice(0, cut), slice(cut, None))
    ]
    whole = bound.measure(answered(bound, answer), truth)
    assert (parts[0] + parts[1])[:9].tolist() == whole[:9].tolist()
    assert (parts[0] + parts[1])[-2:] == pytest.approx(whole[-2:])
    assert len(whole) == 9 + 4 * 3 + 2


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(
        TargetError, match=r"1 x 3 pixels\. Expected the size of the picture, 1 x 2"
    ):
        task().measure(answered(task(), mask("01")), mask("011"))


@pytest.mark.parametrize(
    ("answer", "truth", "right", "reason"),
    [
        ("1111100", "1111100", True, "every pixel"),
        ("1111000", "1111110", True, "Dice 0.8"),
        ("1100000", "1111100", False, "Dice 0.57"),
        ("0000000", "0000000", True, "nothing to find and nothing found"),
        ("0000001", "0000000", False, "a false alarm"),
        ("1111110111", "1110110111", False, "Dice 0.94, and half of the background is missed"),
        ("1111110110", "1110110110", True, "two of three pixels of the background are found"),
    ],
)
def test_a_picture_is_right_by_its_dice_and_by_what_is_found_of_every_label(
    answer: str, truth: str, right: bool, reason: str
) -> None:
    row = task().measure(answered(task(), mask(answer)), mask(truth))
    assert task().is_correct(row[None]).tolist() == [right], reason


def test_the_baseline_is_the_label_that_is_best_everywhere() -> None:
    bound = task("background", "cell", "fat")
    truths = [mask("1112"), mask("1102"), mask("0011")]
    rows = np.stack([bound.measure(answered(bound, mask("1111")), truth) for truth in truths])

    constant = bound.baseline([("background", "cell", "fat")] * 3, rows)

    # cell everywhere: its Dice is 6/7, 4/6 and 4/6; fat is missed in the first two.
    assert constant.answer == "cell"
    dice = (6 / 7 / 2 + 4 / 6 / 2 + 4 / 6) / 3
    assert bound.summarise(constant.rows)["dice"] == pytest.approx(dice)
    assert not bound.is_correct(constant.rows).any()


def test_tiles_and_whole_pictures_are_decided_alike() -> None:
    bound = task("background", "cell", "fat")
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((3, 12, 9)).astype(np.float32)
    calibration = Calibration(temperature=1.7, smallest=(4, 4, 4), holes=(0, 5, 0))
    (tile,) = bound.decode({"logits": logits[None]}, [whole_frame((12, 9))], calibration)
    collector = bound.collect(whole_frame((12, 9)), calibration)
    for top in range(0, 12, 4):
        collector.add(top, {"logits": logits[:, top : top + 4]})
    picture = collector.finish()
    assert picture == tile
    assert picture.confidence == pytest.approx(tile.confidence)
    assert picture.probabilities is None and tile.probabilities is not None


def test_an_answer_agrees_with_itself_and_says_how_much_of_another() -> None:
    first, second = answered(task(), mask("0011")), answered(task(), mask("0111"))
    assert task().agreement(first, first) == (1.0, 0.0)
    share, difference = task().agreement(first, second)
    assert share == 0.75
    assert difference == pytest.approx(1.0, abs=1e-6)
    assert task().agreement(first, answered(task(), mask("001"))) == (0.0, math.inf)


def test_an_answer_that_is_no_number_is_seen() -> None:
    broken = logits_of(mask("0011"), 2)
    broken[1, 0, 0] = math.nan
    (answer,) = task().decode({"logits": broken[None]}, [whole_frame((1, 4))], PLAIN)
    assert math.isnan(task().agreement(answered(task(), mask("0011")), answer)[1])


def test_masks_that_differ_in_few_pixels_are_told_by_the_share_of_equal_ones() -> None:
    comparison = Comparison(task())
    first, second = (answered(task(), mask("0" * 200 + end)) for end in ("11", "10"))
    comparison.add("slide.png", first, second)
    assert comparison.differing == ["slide.png (99.50 % of the pixels have the same label)"]


def test_bundles_vote_by_the_mean_of_their_probabilities() -> None:
    sure, other = answered(task(), mask("01"), 4.0), answered(task(), mask("10"), 1.0)
    joined = task().vote([other, sure])
    assert joined.known_mask().tolist() == [[0, 1]]
    p, q = 1 / (1 + math.exp(-4)), 1 / (1 + math.exp(-1))
    assert joined.confidence == pytest.approx((p + 1 - q) / 2, abs=1e-6)
    assert joined.pixels == (1, 1)


def test_votes_are_decided_with_the_mean_of_the_offsets() -> None:
    # A probability of 0.4 for cells: with odds of 2 to 1 in their favour they are answered.
    logits = np.array([0.0, math.log(0.4 / 0.6)], np.float32)[None, :, None, None]
    plain, keen = (
        task().decode({"logits": logits}, [whole_frame((1, 1))], calibration)[0]
        for calibration in (PLAIN, Calibration(offsets=(0.0, math.log(2))))
    )
    assert (plain.known_mask().item(), keen.known_mask().item()) == (0, 1)
    assert task().vote([keen, keen]).known_mask().item() == 1
    # The root of 2 to 1 is not enough: 0.4 x 1.41 < 0.6.
    joined = task().vote([plain, keen])
    assert joined.known_mask().item() == 0
    assert joined.offsets == pytest.approx((0.0, math.log(2) / 2))
    assert task().vote([keen, keen]).confidence == pytest.approx(0.4, abs=1e-6)


def test_without_maps_most_masks_win_and_the_first_breaks_a_tie() -> None:
    bound = task("background", "cell", "fat")
    drawn = [mask("0011"), mask("1021"), mask("1122")]
    frame = whole_frame((1, 4))
    bare = []
    for labels in drawn:
        collector = bound.collect(frame, PLAIN)
        collector.add(0, {"logits": logits_of(labels, 3)})
        bare.append(collector.finish())
    assert bound.vote(bare).known_mask().tolist() == [[1, 0, 2, 1]]
    assert bound.vote(bare[:2]).known_mask().tolist() == drawn[0].tolist()
    assert bound.vote(bare[1::-1]).known_mask().tolist() == drawn[1].tolist()


def test_an_answer_is_what_the_contract_says() -> None:
    record = answered(task(), mask("0111", "0000")).to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record == {
        "classes": [
            {"name": "background", "share": 0.625, "pixels": 5},
            {"name": "cell", "share": 0.375, "pixels": 3},
        ],
        "confidence": 1.0,
        "unsure": False,
        "size": [2, 4],
    }


def test_a_mask_is_sent_as_a_palette_png() -> None:
    drawn = mask("0111", "0000")
    png = mask_png(drawn, ("background", "cell"))
    sent = mask_json(drawn, ("background", "cell"), "png")["png_b64"]
    assert base64.b64decode(sent) == png
    image = PILImage.open(io.BytesIO(png))
    assert image.mode == "P"
    assert np.asarray(image).tolist() == [[0, 1, 1, 1], [0, 0, 0, 0]]
    assert image.getpalette()[:6] == [0, 0, 0, *palette(("background", "cell"))[1]]


def test_colours_of_many_labels_differ() -> None:
    colors = palette(("background", *(f"class_{i}" for i in range(60))))
    assert len(set(colors)) == 61
    assert all(0 <= value <= 255 for color in colors for value in color)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("0122", "fat 50.0 %, cell 25.0 %; 100.0 % sure"),
        ("0000", "only background; 100.0 % sure"),
    ],
)
def test_a_headline_names_what_was_found(rows: str, words: str) -> None:
    bound = task("background", "cell", "fat")
    assert answered(bound, mask(rows)).headline == words


def test_an_explanation_speaks_for_the_largest_label_beside_the_background() -> None:
    bound = task("background", "cell", "fat")
    answer = answered(bound, mask("0012", "0022"))
    assert answer.main_label == "fat"
    assert answered(bound, mask("00")).main_label == "cell"
    assert answer.support("fat") == pytest.approx(3 / 8, abs=1e-6)
    assert answer.heat().round().tolist() == [[0, 0, 0, 1], [0, 0, 1, 1]]
    with pytest.raises(TargetError, match="Did you mean 'fat'"):
        answer.heat("fats")


def test_what_an_evaluation_keeps_is_small_and_still_says_what_was_found() -> None:
    answer = answered(task(), mask("0111")).without_maps()
    assert answer.mask is None and answer.probabilities is None
    assert answer.headline == "cell 75.0 %; 100.0 % sure"
    assert answer.support("cell") == 0.75
    with pytest.raises(TargetError, match="no probability maps"):
        answer.heat()
    with pytest.raises(TargetError, match="no longer has its mask"):
        task().measure(answer, mask("0111"))
