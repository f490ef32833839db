"""A tiny study to test with: drawn pictures, a small network, a few epochs."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveal.console import NoProgress, Progress
from foveal.recipe import Recipe, make_recipe
from foveal.tune.folder import StudyFolder
from foveal.tune.result import Tuning
from foveal.tune.run import Asked, run_tuning
from foveal.tune.work import Worker

FIXED = {"backbone": "fovea", "image_size": 16, "batch_size": 4}
OVERRIDES = ("split.val_share=0.3", "evaluate.bootstrap=100", "train.label_smoothing=0.0")
KEYS = frozenset({"model.backbone", "pipeline.image_size"})


def small_recipe(epochs: int = 3, **more: object) -> Recipe:
    """Return what is given of the recipe of a tiny study."""
    return make_recipe(None, OVERRIDES, {**FIXED, "epochs": epochs, **more})


def study(
    photos: Path,
    out: Path,
    *,
    trials: int | None = 2,
    budget_s: float | None = None,
    epochs: int = 3,
    workers: int = 1,
    space_file: Path | None = None,
    progress: Progress | None = None,
    **more: object,
) -> Tuning:
    """Work on a tiny study until its end."""
    return run_tuning(
        photos,
        small_recipe(epochs, **more),
        Asked(budget_s=budget_s, trials=trials, workers=workers),
        fixed=KEYS,
        space_file=space_file,
        out=out,
        name="tiny",
        progress=progress or NoProgress(),
    )


def without_comparison(patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time and has nothing to do with the search."""
    patch.setattr(Worker, "_compare", lambda *about, **more: None)


def folder_in(out: Path) -> StudyFolder:
    """Return the folder of such a study."""
    return StudyFolder(out / "tune" / "classify" / "tiny")
