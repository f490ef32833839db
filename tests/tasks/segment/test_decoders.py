"""Decoders bring a backbone's maps back to the tile; losses look at every known pixel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from foveal.errors import RecipeError
from foveal.models.backbones import resolve_backbone
from foveal.recipe import Recipe, TrainOptions, make_recipe
from foveal.tasks import get_task, get_training
from foveal.tasks.facts import DataFacts
from foveal.tasks.segment.heads import build_decoder
from foveal.types import IGNORED, Labels

FACTS = DataFacts(
    samples=24,
    median_side=512,
    median_height=512,
    widest=1.0,
    pad_color=(0, 0, 0),
    ink_share=0.0,
    single_characters=False,
    longest_target=8,
)
TRAINING = get_training("segment")
TASK = get_task("segment").bind(Labels(("background", "cell")), {})
PLAIN = TrainOptions(label_smoothing=0.0)


def losses(logits: torch.Tensor, mask: torch.Tensor, **targets: torch.Tensor) -> dict[str, float]:
    found = TRAINING(TASK).losses({"logits": logits}, {"mask": mask, **targets}, PLAIN, None)
    return {name: float(value) for name, value in found.items()}


def sure(mask: torch.Tensor, classes: int) -> torch.Tensor:
    """Return logits that are sure of a mask."""
    return 40 * torch.nn.functional.one_hot(mask.long(), classes).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "fovea"])
@pytest.mark.parametrize("decoder", ["unet", "fpn", "fcn8s"])
def test_every_decoder_answers_every_pixel_of_the_tile(decoder: str, backbone: str) -> None:
    spec = resolve_backbone(backbone)
    if backbone == "fovea" and decoder == "fpn":
        with pytest.raises(RecipeError, match="4 feature maps, but the backbone has 3"):
            build_decoder(decoder, spec.channels, spec.strides, 3, dropout=0.0)
        return
    head = build_decoder(decoder, spec.channels, spec.strides, 3, dropout=0.0).eval()
    maps = tuple(
        torch.rand(2, c, 64 // s, 96 // s) for c, s in zip(spec.channels, spec.strides, strict=True)
    )
    logits = head(maps)["logits"]
    assert (logits.shape, logits.dtype) == ((2, 3, 64, 96), torch.float32)
    reduced = head.reduce(maps)
    torch.testing.assert_close(head(reduced)["logits"], logits)


def test_of_two_maps_of_one_stride_the_narrower_is_decoded() -> None:
    spec = resolve_backbone("efficientnet_lite0")
    head = build_decoder("unet", spec.channels, spec.strides, 2, dropout=0.0)
    maps = tuple(
        torch.rand(1, c, 64 // s, 64 // s) for c, s in zip(spec.channels, spec.strides, strict=True)
    )
    assert [m.shape[1] for m in head.reduce(maps)] == [16, 24, 40, 112, 320]


def test_a_shallow_backbone_cannot_carry_fcn8s() -> None:
    with pytest.raises(RecipeError, match="coarsest has 4"):
        build_decoder("fcn8s", (8, 16), (2, 4), 2, dropout=0.0)


def test_a_right_and_sure_answer_costs_nothing_and_a_wrong_one_much() -> None:
    mask = torch.randint(0, 3, (2, 8, 8), dtype=torch.uint8)
    right = losses(sure(mask, 3), mask)
    assert right["loss"] == pytest.approx(0.0, abs=1e-4)
    wrong = losses(sure((mask + 1) % 3, 3), mask)
    assert wrong["cross_entropy"] == pytest.approx(40.0, rel=1e-3)
    assert wrong["dice"] > 0.95
    assert wrong["loss"] == pytest.approx(wrong["cross_entropy"] + wrong["dice"])


def test_ignored_pixels_teach_nothing() -> None:
    mask = torch.zeros((1, 8, 8), dtype=torch.uint8)
    mask[0, :4] = 1
    answer = sure(mask, 2)
    mask[0, 6:] = IGNORED
    answer[0, :, 6:] = torch.tensor([-40.0, 40.0])[:, None, None]
    assert losses(answer, mask)["loss"] == pytest.approx(0.0, abs=1e-4)
    nothing = losses(answer, torch.full((1, 8, 8), IGNORED, dtype=torch.uint8))
    assert nothing["cross_entropy"] == 0.0


def test_a_sample_that_weighs_nothing_adds_no_cross_entropy() -> None:
    mask = torch.zeros((2, 4, 4), dtype=torch.uint8)
    answer = sure(mask, 2)
    answer[1] = answer[1].flip(0)
    heavy = losses(answer, mask)["cross_entropy"]
    light = losses(answer, mask, weight=torch.tensor([1.0, 0.0]))["cross_entropy"]
    assert heavy == pytest.approx(20.0) and light == pytest.approx(0.0, abs=1e-6)


def test_the_dice_of_a_class_is_that_of_the_whole_batch() -> None:
    # 4 of 8 pixels are class 1 and so answered are 2 of them: 2 * 2 / (2 + 4), smoothed by one.
    mask = torch.tensor([[[1, 1, 1, 1, 0, 0, 0, 0]]], dtype=torch.uint8)
    said = torch.tensor([[[1, 1, 0, 0, 0, 0, 0, 0]]], dtype=torch.uint8)
    ones, zeros = (2 * 2 + 1) / (2 + 4 + 1), (2 * 4 + 1) / (6 + 4 + 1)
    assert losses(sure(said, 2), mask)["dice"] == pytest.approx(1 - (ones + zeros) / 2, abs=1e-5)


def test_rare_classes_weigh_more() -> None:
    task = get_task("segment").bind(Labels(("background", "cell")), {})
    common, rare = torch.zeros(2, 4, 4, dtype=torch.uint8).numpy()
    rare = rare.copy()
    rare[0, 0] = 1
    targets = TRAINING(task).collate([common, rare])
    assert TRAINING(task).class_counts(targets).tolist() == [31.0, 1.0]
    first, second = TRAINING(task).sample_weights(targets).tolist()
    assert second > first and first + second == pytest.approx(2.0)


@pytest.mark.parametrize(("share", "counts"), [(None, False), (0.5, False), (0.49, True)])
def test_a_background_that_is_the_smaller_part_counts(share: float | None, counts: bool) -> None:
    recipe = chosen(facts=replace(FACTS, background_share=share))
    assert recipe.task_options == ({"count_background": True} if counts else {})
    declined = chosen(
        "task_options.count_background=false", facts=replace(FACTS, background_share=share)
    )
    assert declined.task_options == {"count_background": False}


def chosen(*overrides: str, facts: DataFacts = FACTS) -> Recipe:
    return TRAINING.choose(make_recipe(None, overrides, {"task": "segment"}), facts)


def test_stained_tissue_keeps_its_colours_and_is_turned_in_every_direction() -> None:
    recipe = chosen()
    augment = recipe.train.augment
    assert (augment.rotation, augment.flip_horizontal, augment.flip_vertical) == (180, True, True)
    assert augment.brightness == augment.contrast == augment.color == 0
    assert "stain" in recipe.reasons["train.augment.color"]
    assert (recipe.pipeline.fit, recipe.pipeline.height, recipe.pipeline.width) == (
        "tile",
        256,
        256,
    )
    assert chosen("train.augment.color=0.3").train.augment.color == 0.3


def test_small_pictures_make_small_tiles() -> None:
    assert chosen(facts=replace(FACTS, median_side=100)).pipeline.height == 128


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.mixup=0.2", "mixup"),
        ("pipeline.fit=stretch", "Expected tile"),
        ("pipeline.steps=[grey]", "pipeline.steps"),
        ("pipeline.image_size=100", "multiple of 32"),
    ],
)
def test_what_cannot_be_trained_is_refused(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        chosen(override)


def test_what_is_given_is_kept_though_it_is_the_usual_value() -> None:
    recipe = chosen("train.augment.rotation=10.0", "train.label_smoothing=0.05")
    assert (recipe.train.augment.rotation, recipe.train.label_smoothing) == (10.0, 0.05)
    augment = chosen("train.augment.brightness=0.15", "train.lr=0.01").train.augment
    assert (augment.brightness, augment.contrast) == (0.15, 0.0)
