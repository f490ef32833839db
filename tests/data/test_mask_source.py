"""Pictures with masks are found however they lie; what does not fit is said and not trained on."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything, Source
from foveal.errors import DataError, ImageError
from foveal.types import IGNORED, Finding

LIMITS = DecodeLimits(max_bytes=1_000_000, max_pixels=1_000_000)
MASKS = ReadAnything(target="mask")
HALF = np.repeat(np.array([0, 255], np.uint8), 4)[None].repeat(6, axis=0)
"""(6, 8): background on the left, foreground on the right."""


def draw(root: Path, *names: str) -> Path:
    """Write pictures of 8 x 6 pixels, no two alike."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PILImage.new("RGB", (8, 6), (number % 256, 0, 0)).save(path)
    return root


def mask(root: Path, name: str, values: np.ndarray = HALF) -> Path:  # type: ignore[type-arg]
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(values).save(path)
    return root


def opened(root: Path) -> Source:
    return open_source(root, MASKS)


def said(source: Source, id: str) -> Finding:
    (found,) = [finding for finding in source.findings if finding.id == id]
    return found


@pytest.mark.parametrize(
    ("picture", "mask_name"),
    [
        ("images/a.png", "masks/a.png"),
        ("imgs/a.jpg", "mask/a.png"),
        ("image/a.png", "labels/a_mask.png"),
        ("img/a.png", "label/a-mask.png"),
        ("Images/a.b.png", "GT/a.b_gt.bmp"),
        ("images/a.png", "annotations/a_label.png"),
        ("images/a.png", "annotations/a_labels.png"),
        ("images/a.png", "groundtruth/a_seg.tif"),
        ("images/a.png", "labels/a_L.png"),
        # Wrapped, and with folders of patients inside.
        ("dataset/images/a.png", "dataset/masks/a.png"),
        ("images/patient 1/a.png", "masks/patient 1/a.png"),
        # A whole name may end like a mask's.
        ("images/a_mask.png", "masks/a_mask.png"),
    ],
)
def test_a_mask_is_found_by_its_stem(tmp_path: Path, picture: str, mask_name: str) -> None:
    source = opened(mask(draw(tmp_path, picture), mask_name))
    assert [(s.id, s.raw) for s in source.samples] == [(picture, ("background", "foreground"))]
    assert source.layout == "1 picture with masks: 0 → background, 255 → foreground"
    assert [finding.id for finding in source.findings] == ["masks.classes"]
    assert source.mask(source.samples[0]).tolist() == [[0] * 4 + [1] * 4] * 6


@pytest.mark.parametrize(
    "pattern",
    ["{side}/images/{n}.png|{side}/masks/{n}.png", "images/{side}/{n}.png|masks/{side}/{n}.png"],
)
def test_a_given_split_is_kept(tmp_path: Path, pattern: str) -> None:
    for n, side in enumerate(("train", "valid", "test")):
        picture, mask_name = pattern.format(side=side, n=n).split("|")
        mask(draw(tmp_path, picture), mask_name)
    source = opened(tmp_path)
    assert {s.split: s.raw is not None for s in source.samples} == {
        "train": True,
        "val": True,
        "test": True,
    }
    assert source.layout.endswith("split as given (train 1, val 1, test 1)")


def test_sides_may_be_called_differently_on_both_ways(tmp_path: Path) -> None:
    draw(tmp_path, "images/train/1.png", "images/validation/1.png")
    mask(mask(tmp_path, "masks/train/1.png"), "masks/val/1.png")
    assert all(sample.raw for sample in opened(tmp_path).samples)


def test_nnunet_is_read(tmp_path: Path) -> None:
    draw(tmp_path, "imagesTr/a_0000.png", "imagesTr/a_0001.png", "imagesTs/b_0000.png")
    ids = np.repeat(np.array([0, 1, 2, 3], np.uint8), 2)[None].repeat(6, axis=0)
    mask(mask(tmp_path, "labelsTr/a.png", ids), "labelsTs/b.png", ids)
    labels = {"background": 0, "cancer": 1, "fat": 2, "ignore": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".png"}))
    source = opened(tmp_path)
    assert [(s.id, s.split) for s in source.samples] == [
        ("imagesTr/a_0000.png", "train"),
        ("imagesTs/b_0000.png", "test"),
    ]
    assert source.classes == ("background", "cancer", "fat")
    assert source.mask(source.samples[0])[0].tolist() == [0, 0, 1, 1, 2, 2, IGNORED, IGNORED]
    assert said(source, "masks.channels").samples == ("imagesTr/a_0001.png",)


def test_nnunet_without_test_labels_leaves_the_test_pictures_out(tmp_path: Path) -> None:
    draw(tmp_path, "imagesTr/a_0000.png", "imagesTs/b_0000.png")
    source = opened(mask(tmp_path, "labelsTr/a.png"))
    assert [(s.id, s.split) for s in source.samples] == [("imagesTr/a_0000.png", None)]
    assert said(source, "data.passed_over").samples == ("imagesTs/b_0000.png",)


def test_two_masks_of_one_picture_are_refused(tmp_path: Path) -> None:
    mask(mask(draw(tmp_path, "images/a.png"), "masks/a.png"), "labels/a.png")
    with pytest.raises(DataError, match=r"two masks, labels/a\.png and masks/a\.png"):
        opened(tmp_path)


def test_masks_are_read_only_where_masks_are_asked_for(tmp_path: Path) -> None:
    mask(draw(tmp_path, "images/a.png"), "masks/a.png")
    with pytest.raises(DataError, match="pictures and masks"):
        open_source(tmp_path)
    assert open_source(tmp_path, ReadAnything(layout="folders")).classes == ()
    with pytest.raises(DataError, match="no pictures with masks"):
        opened(draw(tmp_path / "x", "cat/1.png", "dog/1.png"))


def test_pictures_without_masks_have_no_label(tmp_path: Path) -> None:
    mask(draw(tmp_path, "images/a.png", "images/b.png"), "masks/a.png")
    source = opened(mask(tmp_path, "masks/c.png"))
    assert [sample.raw is None for sample in source.samples] == [False, True]
    missing = said(source, "masks.missing")
    assert (missing.severity, missing.samples, missing.count) == ("warning", ("images/b.png",), 1)
    assert said(source, "masks.without_picture").samples == ("masks/c.png",)
    assert source.layout.startswith("2 pictures, 1 with masks: 0 → background")
    with pytest.raises(ImageError, match=r"images/b\.png has no mask"):
        source.mask(source.samples[1])


def test_no_mask_at_all_is_an_error(tmp_path: Path) -> None:
    source = opened(mask(draw(tmp_path, "images/a.png"), "masks/c.png"))
    assert said(source, "masks.missing").severity == "error"
    assert source.layout == "1 picture without masks that can be used"


def test_a_mask_of_another_size_is_not_trained_on(tmp_path: Path) -> None:
    mask(draw(tmp_path, "images/a.png", "images/b.png"), "masks/a.png")
    source = opened(mask(tmp_path, "masks/b.png", np.zeros((3, 4), np.uint8)))
    found = said(source, "masks.size_mismatch")
    assert found.severity == "error"
    assert found.message == (
        "1 mask of another size than the picture: masks/b.png has 4 x 3 "
        "and images/b.png 8 x 6 pixels."
    )
    assert [sample.raw is None for sample in source.samples] == [False, True]


def test_a_mask_that_was_not_turned_with_its_picture_is_told(tmp_path: Path) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    PILImage.new("RGB", (8, 6)).save(tmp_path / "images/a.jpg", exif=exif)
    source = opened(mask(tmp_path, "masks/a.png"))
    found = said(source, "masks.size_mismatch")
    assert found.message.endswith("masks/a.png has 8 x 6 and images/a.jpg 6 x 8 pixels.")
    assert found.hint is not None and "rotated by its EXIF orientation" in found.hint


def test_an_upright_mask_fits_a_picture_turned_by_exif(tmp_path: Path) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    PILImage.new("RGB", (6, 8)).save(tmp_path / "images/a.jpg", exif=exif)
    source = opened(mask(tmp_path, "masks/a.png"))
    assert source.samples[0].raw is not None
    picture = source.load(source.samples[0], LIMITS).picture
    assert source.mask(source.samples[0]).shape == (picture.height, picture.width) == (6, 8)


def test_a_damaged_mask_is_not_trained_on(tmp_path: Path) -> None:
    mask(draw(tmp_path, "images/a.png", "images/b.png"), "masks/a.png")
    (tmp_path / "masks/b.png").write_bytes((tmp_path / "masks/a.png").read_bytes()[:40])
    source = opened(tmp_path)
    found = said(source, "masks.unreadable")
    assert (found.severity, found.samples) == ("error", ("images/b.png",))
    assert "masks/b.png: The PNG mask cannot be decoded" in found.message
    assert [sample.raw is None for sample in source.samples] == [False, True]


def test_a_damaged_picture_is_left_to_those_who_decode_it(tmp_path: Path) -> None:
    mask(tmp_path, "masks/a.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(b"")
    assert opened(tmp_path).samples[0].raw is not None


def test_a_value_without_a_name_is_not_trained_on(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.png", "images/b.png")
    mask(tmp_path, "masks/a.png", np.eye(8, dtype=np.uint8)[:6])
    mask(tmp_path, "masks/b.png", 7 * np.eye(8, dtype=np.uint8)[:6])
    (tmp_path / "classes.txt").write_text("0 background\n1 membrane\n")
    source = opened(tmp_path)
    assert source.classes == ("background", "membrane")
    found = said(source, "masks.unknown_value")
    assert found.severity == "error"
    assert "classes.txt does not name: masks/b.png contains 7 in 6 pixels." in found.message
    assert found.hint is not None and "`7 NAME`" in found.hint
    assert [sample.raw is None for sample in source.samples] == [False, True]


def test_masks_of_nothing_but_background_are_counted_and_used(tmp_path: Path) -> None:
    mask(draw(tmp_path, "images/a.png", "images/b.png"), "masks/a.png")
    source = opened(mask(tmp_path, "masks/b.png", np.zeros((6, 8), np.uint8)))
    assert source.samples[1].raw == ("background",)
    found = said(source, "masks.empty")
    assert (found.severity, found.samples, found.count) == ("info", ("images/b.png",), 1)


def test_a_mask_in_which_all_is_ignored_teaches_nothing(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.png", "images/b.png")
    mask(tmp_path, "masks/a.png", np.arange(48, dtype=np.uint8).reshape(6, 8) % 3)
    source = opened(mask(tmp_path, "masks/b.png", np.full((6, 8), 255, np.uint8)))
    assert source.samples[1].raw is None
    assert said(source, "masks.ignored").samples == ("images/b.png",)


def test_white_that_is_ignored_for_the_sake_of_one_odd_mask_is_said(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.png", "images/b.png", "images/c.png")
    for name in ("a", "b"):
        mask(tmp_path, f"masks/{name}.png")
    odd = HALF.copy()
    odd[0, 0] = 128
    mask(tmp_path, "masks/c.png", odd)
    found = said(opened(tmp_path), "masks.ignored_white")
    assert found.message == (
        "2 masks of only 0 and 255, where 255 is ignored, because other masks contain ids: "
        "masks/c.png contains 128."
    )
    assert found.samples == ("images/a.png", "images/b.png")
    (tmp_path / "classes.txt").write_text("0 background\n128 ignore\n255 cell\n")
    assert opened(tmp_path).classes == ("background", "cell")
    assert not any(f.id == "masks.ignored_white" for f in opened(tmp_path).findings)


def test_white_around_objects_is_ignored_without_a_word(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.png", "images/b.png", "images/c.png")
    around = HALF.copy()
    around[0, 0] = 7
    for name in ("a", "b"):
        mask(tmp_path, f"masks/{name}.png", around)
    mask(tmp_path, "masks/c.png")
    assert not any(f.id == "masks.ignored_white" for f in opened(tmp_path).findings)


def test_the_shares_of_the_classes_are_said(tmp_path: Path) -> None:
    mask(draw(tmp_path, "images/a.png", "images/b.png"), "masks/a.png")
    source = opened(mask(tmp_path, "masks/b.png", np.zeros((6, 8), np.uint8)))
    found = said(source, "masks.classes")
    assert found.severity == "info"
    assert found.message == (
        "background 75.0 % of all pixels in 2 pictures, foreground 25.0 % in 1."
    )


def test_ignored_pixels_have_a_share_too(tmp_path: Path) -> None:
    values = np.repeat(np.array([0, 1, 2, 255], np.uint8), 2)[None].repeat(6, axis=0)
    source = opened(mask(draw(tmp_path, "images/a.png"), "masks/a.png", values))
    assert said(source, "masks.classes").message == (
        "background 25.0 % of all pixels in 1 picture, class_1 25.0 % in 1, class_2 25.0 % in 1, "
        "ignored 25.0 %."
    )


def test_stray_colors_are_said(tmp_path: Path) -> None:
    colors = np.zeros((6, 8, 3), np.uint8)
    colors[:, 4:] = (255, 0, 0)
    colors[0, 0] = (1, 0, 0)
    source = opened(mask(draw(tmp_path, "images/a.png"), "masks/a.png", colors))
    assert source.classes == ("background", "#ff0000")
    assert (
        said(source, "masks.ignored_colors").message == "Pixels of 1 colour are ignored: #010000."
    )


def test_palettes_among_colors_are_looked_up(tmp_path: Path) -> None:
    colors = np.zeros((6, 8, 3), np.uint8)
    colors[:, 4:] = (255, 0, 0)
    draw(tmp_path, "images/a.png", "images/b.png")
    mask(tmp_path, "masks/a.png", colors)
    PILImage.fromarray(colors).quantize(2).save(tmp_path / "masks/b.png")
    source = opened(tmp_path)
    assert source.classes == ("background", "#ff0000")
    first, second = (source.mask(sample) for sample in source.samples)
    assert np.array_equal(first, second)


def test_names_are_found_beside_wrapped_folders(tmp_path: Path) -> None:
    mask(draw(tmp_path, "set/images/a.png"), "set/masks/a.png")
    (tmp_path / "set/classes.json").write_text('{"background": 0, "nucleus": 1}')
    assert opened(tmp_path).layout.endswith("0 → background, 255 → nucleus")


def test_tiff_pictures_are_opened_in_parts_and_tiff_masks_read(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "images/a.tif", pixels, tile=(16, 16), photometric="rgb")
    tifffile.imwrite(tmp_path / "masks/a.tif", pixels[:, :, 0] // 64, compression="deflate")
    source = opened(tmp_path)
    (sample,) = source.samples
    limits = DecodeLimits(max_bytes=100, max_pixels=100)
    opened_picture = source.open(sample, limits)
    assert np.array_equal(opened_picture.raster.read(3, 5, 20, 30), pixels[3:23, 5:35])
    assert opened_picture.digest == source.load(sample, LIMITS).digest
    assert np.array_equal(source.mask(sample), pixels[:, :, 0] // 64)


def test_other_pictures_are_opened_within_the_limits(tmp_path: Path) -> None:
    source = opened(mask(draw(tmp_path, "images/a.png"), "masks/a.png"))
    found = source.open(source.samples[0], LIMITS)
    assert (found.raster.height, found.raster.width) == (6, 8)
    assert found.digest == source.load(source.samples[0], LIMITS).digest
    with pytest.raises(ImageError):
        source.open(source.samples[0], DecodeLimits(max_bytes=1_000_000, max_pixels=10))


def test_arrays_are_masks_too(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.png")
    (tmp_path / "masks").mkdir()
    np.save(tmp_path / "masks/a.npy", HALF.astype(np.int64))
    source = opened(tmp_path)
    assert source.mask(source.samples[0]).tolist() == [[0] * 4 + [1] * 4] * 6


def test_masks_behind_a_url_are_read(tmp_path: Path) -> None:
    mask(draw(tmp_path, "images/a.png"), "masks/a.png")
    files = fsspec.filesystem("memory")
    files.put(str(tmp_path), "/masks-test", recursive=True)
    source = open_source("memory://masks-test", MASKS)
    assert source.mask(source.samples[0])[0].tolist() == [0] * 4 + [1] * 4
    assert source.open(source.samples[0], LIMITS).raster.width == 8


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.integers(1, 254), min_size=2, max_size=6, unique=True),
    st.integers(0, 2**32 - 1),
)
def test_any_drawn_map_comes_back_from_a_folder(tmp_path: Path, ids: list[int], seed: int) -> None:
    ids = sorted({0, *ids})
    label_map = np.random.default_rng(seed).integers(0, len(ids), (6, 8)).astype(np.uint8)
    label_map[0, : len(ids)] = range(len(ids))
    root = mask(draw(tmp_path, "images/a.png"), "masks/a.png", np.array(ids, np.uint8)[label_map])
    source = opened(root)
    (sample,) = source.samples
    assert np.array_equal(source.mask(sample), label_map)
    assert sample.raw == ("background", *(f"class_{v}" for v in ids[1:]))


@pytest.mark.parametrize(
    ("name", "count", "size"), [("monuseg", 30, 1000), ("isbi_membrane", 24, 512)]
)
def test_real_masks_open_as_they_are(shared_data: Path, name: str, count: int, size: int) -> None:
    if not (shared_data / name).is_dir():
        pytest.skip(f"the real pictures of {name} are not on this machine")
    source = opened(shared_data / name)
    assert source.layout == f"{count} pictures with masks: 0 → background, 255 → foreground"
    assert {sample.raw for sample in source.samples} == {("background", "foreground")}
    assert all(finding.severity == "info" for finding in source.findings)
    found = source.mask(source.samples[0])
    assert found.shape == (size, size)
    assert np.unique(found).tolist() == [0, 1]
