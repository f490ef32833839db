"""The share of the background in some masks, from which the labels that count are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.recipe import Recipe, make_recipe
from foveal.workflow.resolve import resolve_recipe


def write_masks(root: Path, *shares: float) -> Path:
    """Write pictures of 40 x 40 with masks of which a share is 0 and the rest 255."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for i, share in enumerate(shares):
        mask = np.full((40, 40), 255, np.uint8)
        mask[: round(40 * share)] = 0
        PILImage.fromarray(mask // 2).convert("RGB").save(root / "images" / f"{i}.png")
        PILImage.fromarray(mask).save(root / "masks" / f"{i}.png")
    return root


def resolved(root: Path) -> Recipe:
    return resolve_recipe(str(root), make_recipe(None, ["task=segment", "train.device=cpu"], {}))[1]


@pytest.mark.parametrize(
    ("shares", "options", "reason"),
    [
        ((0.2, 0.2), {"count_background": True}, "20 % of the pixels"),
        ((0.2, 0.6), {"count_background": True}, "40 % of the pixels"),
        ((0.8, 0.9), {}, None),
    ],
)
def test_the_background_counts_where_the_masks_are_mostly_something_else(
    shares: tuple[float, ...], options: dict[str, bool], reason: str | None, tmp_path: Path
) -> None:
    recipe = resolved(write_masks(tmp_path, *shares))
    assert recipe.task_options == options
    said = recipe.reasons.get("task_options.count_background")
    assert said is None if reason is None else reason in str(said)


def test_pixels_of_unknown_class_are_not_counted(tmp_path: Path) -> None:
    root = write_masks(tmp_path, 0.25, 0.25)
    (root / "classes.txt").write_text("0 background\n255 ignore\n7 cell\n")
    assert resolved(root).task_options == {}


def test_without_a_background_there_is_nothing_to_choose(tmp_path: Path) -> None:
    root = write_masks(tmp_path, 0.2, 0.2)
    (root / "classes.txt").write_text("0 membrane\n255 cell\n")
    assert resolved(root).task_options == {}
