import argparse
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage

from baselines.nnunet_2d import convert
from baselines.plain_unet import LR, LR_END, draw_batch, padding, rate
from drawn_slide import CELL_PX, draw_cell, draw_slide, write_slide
from foveal.data.tiff.raster import open_tiff
from foveal.machine import available_cores
from foveal.tasks.segment import analysis
from instances import gain as object_gain
from instances import merged
from instances import scores as object_scores
from mask_scores import by_class, compare, score
from mask_sets import SETS, Pictures, every_third, last_third, write_parts
from nnunet import named
from segment_unet import answer_of, judged_scores, outcome
from slide_memory import check, gigabytes, png_size
from tiling_throughput import ratios, thread_counts
from untrained_segmenter import recipe_of

MONUSEG, ISBI = SETS
LABELS = ("background", "foreground")


def slices(count: int) -> list[Path]:
    return [Path(f"{i:02d}.png") for i in range(count)]


def save(path: Path, values: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(values).save(path)
    return path


def write_set(root: Path, count: int, size: int = 4) -> Path:
    for path in slices(count):
        save(root / "images" / path.name, np.zeros((size, size), np.uint8))
        save(root / "masks" / path.name, np.full((size, size), 255, np.uint8))
    return root


def row(answer: list[int], truth: list[int]) -> NDArray[np.float64]:
    masks = (np.array([values], np.uint8) for values in (answer, truth))
    return analysis.row(*masks, 1.0, classes=2, boundary_px=2)


def test_slices_of_one_volume_are_held_out_as_a_block() -> None:
    assert last_third(slices(24)) == slices(24)[16:]
    assert last_third(slices(5)) == slices(5)[4:]


def test_pictures_of_their_own_are_held_out_one_in_three() -> None:
    held = every_third(slices(30))

    assert [path.stem for path in held[:3]] == ["02", "05", "08"]
    assert len(held) == 10


@pytest.mark.parametrize("pictures", SETS, ids=lambda pictures: pictures.claim)
def test_a_third_of_every_set_is_held_out_and_nothing_is_in_both_parts(
    pictures: Pictures, tmp_path: Path
) -> None:
    root = write_set(tmp_path / "set", 6)

    for _ in range(2):  # A second time over what is there.
        train, test = write_parts(pictures, root, tmp_path / "parts")

    assert (len(train), len(test)) == (4, 2)
    assert not {path.name for path in train} & {path.name for path in test}
    for part, paths in (("train", train), ("test", test)):
        folder = tmp_path / "parts" / part
        assert sorted((folder / "images").iterdir()) == paths
        assert [p.name for p in sorted((folder / "masks").iterdir())] == [p.name for p in paths]


def test_foveal_is_told_names_only_where_both_classes_count(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", 3)

    write_parts(ISBI, root, tmp_path / "isbi")
    write_parts(MONUSEG, root, tmp_path / "monuseg")

    names = (tmp_path / "isbi" / "train" / "classes.txt").read_text().splitlines()
    assert names == ["0 membrane", "255 cell"]
    assert not (tmp_path / "monuseg" / "train" / "classes.txt").exists()


def test_values_become_positions_in_the_order_of_labels() -> None:
    assert MONUSEG.labels == LABELS
    assert MONUSEG.table()[[0, 255, 7]].tolist() == [0, 1, 255]
    assert ISBI.labels == ("cell", "membrane")
    assert ISBI.table()[[0, 255]].tolist() == [1, 0]
    assert (ISBI.positive, ISBI.negative) == (0, 255)


def test_an_answer_is_read_by_the_names_of_its_own_record(tmp_path: Path) -> None:
    mask = PILImage.fromarray(np.array([[0, 1]], np.uint8), "L")
    mask.putpalette([9, 9, 9, 200, 0, 0])
    mask.save(tmp_path / "mask.png")
    record = {
        "classes": [{"name": "membrane"}, {"name": "cell"}],
        "mask": {"path": str(tmp_path / "mask.png")},
    }

    assert answer_of(record, ("cell", "membrane")).tolist() == [[1, 0]]


def test_both_programs_are_scored_against_the_masks_beside_the_pictures(tmp_path: Path) -> None:
    picture = tmp_path / "images" / "a.png"
    save(tmp_path / "masks" / "a.png", np.array([[255, 255, 0, 0]], np.uint8))

    rows = score(MONUSEG, {"a": np.array([[1, 0, 0, 0]], np.uint8)}, [picture])

    assert rows[0, :4].tolist() == [2, 0, 1, 1]
    with pytest.raises(SystemExit, match=r"a\.png"):
        score(MONUSEG, {"a": np.zeros((2, 2), np.uint8)}, [picture])


@pytest.mark.parametrize(
    ("shape", "channels"), [((2, 2), {"0": "grey"}), ((2, 2, 3), {"0": "R", "1": "G", "2": "B"})]
)
def test_pictures_and_masks_become_a_data_set_of_nnunet(
    shape: tuple[int, ...], channels: dict[str, str], tmp_path: Path
) -> None:
    save(tmp_path / "train" / "images" / "a.png", np.full(shape, 7, np.uint8))
    save(tmp_path / "train" / "masks" / "a.png", np.array([[0, 255], [255, 0]], np.uint8))

    convert(tmp_path / "train", tmp_path / "raw", 0)

    described = json.loads((tmp_path / "raw" / "dataset.json").read_text())
    assert described["channel_names"] == channels
    assert described["numTraining"] == 1
    with PILImage.open(tmp_path / "raw" / "imagesTr" / "a_0000.png") as image:
        assert np.array_equal(np.asarray(image), np.full(shape, 7))
    with PILImage.open(tmp_path / "raw" / "labelsTr" / "a.png") as mask:
        assert np.asarray(mask).tolist() == [[1, 0], [0, 1]]


def test_scores_of_nnunet_are_called_so() -> None:
    found = compare(*(np.stack([row([1, 0], [1, 0])]) for _ in range(2)), LABELS)

    scores = named(found)

    assert {"nnunet", "foveal", "difference"} < set(scores) and "plain" not in scores
    assert set(scores["classes"]) == {"nnunet", "foveal"}


def test_dice_is_the_mean_over_pictures_and_f1_that_of_all_pixels() -> None:
    truths = [[1, 1, 0, 0], [1, 0, 0, 0]]
    # One of two found: 2/3; then one of one, and one too many: 2/3.
    plain = np.stack([row([1, 0, 0, 0], truths[0]), row([1, 1, 0, 0], truths[1])])
    # Both found: 1; nothing found: 0.
    ours = np.stack([row([1, 1, 0, 0], truths[0]), row([0, 0, 0, 0], truths[1])])

    scores = compare(plain, ours, LABELS)

    dice, f1 = (judged_scores({"scores": scores}, ending) for ending in ("dice", "f1"))
    assert dice["plain"]["value"] == pytest.approx(2 / 3)
    assert dice["foveal"]["value"] == pytest.approx(1 / 2)
    assert dice["difference"]["value"] == pytest.approx(1 / 2 - 2 / 3)
    assert f1["plain"]["value"] == pytest.approx(2 * 2 / (3 + 3))
    assert f1["foveal"]["value"] == pytest.approx(2 * 2 / (2 + 3))
    assert scores["dice_of_pictures"]["foveal"] == [1.0, 0.0]
    # With two pictures the resamples are the first twice, the second twice, or both.
    assert dice["difference"]["low"] == pytest.approx(-2 / 3)
    assert dice["difference"]["high"] == pytest.approx(1 / 3)


def test_both_classes_count_where_neither_is_the_background() -> None:
    rows = np.stack([row([0, 0, 1, 1], [0, 0, 0, 1])])

    assert by_class(rows, ("cell", "membrane")) == pytest.approx(
        {"cell": 2 * 2 / (2 + 3), "membrane": 2 * 1 / (2 + 1)}
    )
    found = compare(rows, rows, ("cell", "membrane"))
    assert found["foveal"]["dice"]["value"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found["difference"]["dice"]["value"] == 0


def test_a_claim_is_a_difference_in_points() -> None:
    rows = np.stack([row([1, 0, 0, 0], [1, 1, 0, 0])])
    better = np.stack([row([1, 1, 0, 0], [1, 1, 0, 0])])
    trial = {"seed": 0, "scores": compare(rows, better, LABELS)}
    arguments = argparse.Namespace(minutes=8.0, train_option=[])

    made = outcome(MONUSEG, "dice", [trial], {}, arguments)

    assert made.claim == "segment_monuseg_dice"
    assert made.values == pytest.approx((100 / 3,))
    assert made.met is True


@pytest.mark.parametrize(
    ("size", "added"), [((1000, 1000), (24, 24)), ((512, 513), (0, 31)), ((32, 1), (0, 31))]
)
def test_pictures_are_padded_to_the_stride(size: tuple[int, int], added: tuple[int, int]) -> None:
    assert padding(*size) == added


def test_the_rate_falls_along_a_cosine_and_does_not_rise_again() -> None:
    assert rate(0) == pytest.approx(LR)
    assert rate(0.5) == pytest.approx((LR + LR_END) / 2)
    assert rate(1) == rate(1.5) == pytest.approx(LR_END)


def test_crops_and_their_masks_are_flipped_alike() -> None:
    torch = pytest.importorskip("torch")
    picture = torch.arange(300 * 260, dtype=torch.int32).reshape(1, 300, 260)

    images, masks = draw_batch([(picture, picture.clone())], np.random.default_rng(0))

    assert images.shape == (16, 1, 256, 256)
    assert torch.equal(images, masks)
    steps = {int(crop[0, 0, 1] - crop[0, 0, 0]) for crop in images}
    assert steps == {1, -1}


def test_a_drawn_cell_depends_on_its_place_alone() -> None:
    assert np.array_equal(draw_cell(3, 4), draw_cell(3, 4))
    assert not np.array_equal(draw_cell(3, 4), draw_cell(4, 3))


def test_a_slide_is_written_as_it_is_drawn(tmp_path: Path) -> None:
    side = CELL_PX + 88

    raster = open_tiff(write_slide(tmp_path / "slide.tif", side, "deflate"))

    assert (raster.height, raster.width) == (side, side)
    assert np.array_equal(raster.read(0, 0, side, side), draw_slide(side))
    assert [path.name for path in tmp_path.iterdir()] == ["slide.tif"]


def test_the_size_of_a_mask_is_read_from_its_header(tmp_path: Path) -> None:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 20_000, 19_000)
    (tmp_path / "mask.png").write_bytes(head + bytes(20))

    assert png_size(tmp_path / "mask.png") == (19_000, 20_000)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda record: record | {"size": [3, 4]}, "it says another size"),
        (lambda record: record | {"classes": [{"pixels": 15}]}, "a pixel has no class"),
    ],
)
def test_an_answer_that_is_not_one_for_every_pixel_ends_the_script(
    tmp_path: Path, change: Callable[[dict[str, object]], dict[str, object]], why: str
) -> None:
    path = save(tmp_path / "mask.png", np.zeros((4, 4), np.uint8))
    classes = [{"name": "a", "pixels": 12}, {"name": "b", "pixels": 4}]
    record: dict[str, object] = {"size": [4, 4], "mask": {"path": path}, "classes": classes}

    check(record, 4)

    with pytest.raises(SystemExit, match="the slide has 4 x 4"):
        check(change(record), 4)


def test_kilobytes_of_the_system_are_of_1024_bytes() -> None:
    assert gigabytes(1_000_000) == pytest.approx(1.024)


def test_throughputs_are_compared_within_each_turn() -> None:
    assert ratios([9.0, 8.0], [10.0, 10.0]) == (0.9, 0.8)


def test_all_cores_and_one_thread_are_measured_unless_a_number_is_asked_for() -> None:
    assert thread_counts(3) == (3,)
    assert thread_counts(None)[0] == available_cores()
    assert thread_counts(None)[-1] == 1
    assert len(set(thread_counts(None))) == len(thread_counts(None))


def test_the_untrained_network_is_that_of_the_default_recipe() -> None:
    recipe = recipe_of("auto")

    assert recipe.model.backbone == "efficientnet_lite0"
    assert (recipe.pipeline.fit, recipe.pipeline.height) == ("tile", 256)
    assert recipe_of("fovea").model.backbone == "fovea"


def test_objects_are_scored_by_picture_and_compared_in_pairs() -> None:
    perfect, half = [2.0, 2, 0, 0, 50, 50], [0.8, 1, 1, 1, 20, 80]

    better, worse = np.array([perfect, perfect]), np.array([half, half])

    assert object_scores(worse) == {
        "pq": pytest.approx(0.4), "sq": pytest.approx(0.8), "rq": 0.5, "aji": 0.25,
        "true": 4, "answered": 4, "matched": 2,
    }  # fmt: skip
    # Two equal differences show no spread: the Wilson limit of 0 in 2 is 0.6576.
    gain = object_gain(better, worse, "aji")
    assert gain == {"mean": 0.75, "low": pytest.approx(0.0924, abs=1e-4), "high": 1.0}


def test_numbered_masks_are_merged_for_the_network_without_cores(tmp_path: Path) -> None:
    numbers = np.array([[1, 1, 2, 2], [0, 0, 0, 0]], np.uint8)
    save(tmp_path / "train" / "images" / "00.png", np.zeros((2, 4), np.uint8))
    save(tmp_path / "train" / "masks" / "00.png", numbers)

    folder = merged(tmp_path / "train")

    mask = np.asarray(PILImage.open(folder / "masks" / "00.png"))
    assert mask.tolist() == [[1, 1, 0, 1], [0, 0, 0, 0]]
    assert (folder / "images" / "00.png").is_file()
