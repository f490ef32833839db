"""Checks of masks that number objects: options of the task that say how masks are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

import foveal
from foveal.console import NoProgress
from foveal.errors import RecipeError
from foveal.recipe import Recipe
from foveal.workflow.kept import checked

OBJECTS = "task_options.instances=objects"


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Return pictures whose masks number 600 objects, more than there can be classes."""
    ids = np.arange(600, dtype=np.uint16).reshape(20, 30).repeat(4, 0).repeat(4, 1)
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "cells" / kind).mkdir(parents=True)
    for i in range(4):
        pixels = rng.integers(0, 256, (*ids.shape, 3), np.uint8)
        PILImage.fromarray(pixels).save(tmp_path / "cells" / "images" / f"{i}.png")
        PILImage.fromarray(ids).save(tmp_path / "cells" / "masks" / f"{i}.png")
    return tmp_path / "cells"


def test_numbered_masks_are_checked_as_they_are_trained_on(cells: Path) -> None:
    report = foveal.check(cells, task="segment", overrides=[OBJECTS], verbose=False)
    assert list(report.balance) == ["background", "foreground"]
    # What comes after the check reads them in the same way.
    recipe = checked(cells, Recipe(task="segment"), NoProgress()).recipe
    assert recipe.task_options == {"instances": "objects"}


def test_numbered_masks_are_split(cells: Path, tmp_path: Path) -> None:
    out = tmp_path / "split"
    divided = foveal.split(cells, out, val=0.5, task="segment", overrides=[OBJECTS], verbose=False)
    assert divided.totals == {"train": 2, "val": 2}
    assert len(list((out / "val" / "masks").iterdir())) == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task_options.instances=patches", "task_options.instances has no effect on a check"),
        ("task_options.core_px=5", "task_options.core_px has no effect on a check"),
        ("task_options.instances=things", "Expected one of none, patches, objects"),
        ("task_options.instance=objects", "Did you mean 'task_options.instances'"),
    ],
)
def test_options_that_do_not_change_what_is_read_are_refused(
    cells: Path, override: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        foveal.check(cells, task="segment", overrides=[override], verbose=False)
