"""The epochs of a run, as a model gives them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from foveal.bundle import Bundle
from foveal.errors import DataError
from foveal.model import Model


def run_with(results: str, bundle: Bundle, folder: Path) -> Path:
    """Return a run of a bundle, with a `results.csv`."""
    shutil.copytree(bundle.path, folder / "run" / "bundle")
    for name in ("recipe.yaml", "split.csv"):
        (folder / "run" / name).touch()
    (folder / "run" / "results.csv").write_text(results)
    return folder / "run"


def test_each_epoch_is_a_row_of_numbers(tiny_bundle: Bundle, tmp_path: Path) -> None:
    run = run_with(
        "stage,epoch,train_loss,val_accuracy\nhead,1,0.5,\nfull,2,0.25,0.75\nfull,3\n",
        tiny_bundle,
        tmp_path,
    )
    assert Model(run).history() == [
        {"epoch": 1, "train_loss": 0.5},
        {"epoch": 2, "train_loss": 0.25, "val_accuracy": 0.75},
        {"epoch": 3},
    ]


def test_a_model_without_a_run_has_no_epochs(tiny_bundle: Bundle) -> None:
    assert Model(tiny_bundle.path).history() == []


def test_a_table_that_is_none_of_epochs_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    run = run_with("stage,epoch\nhead,first\n", tiny_bundle, tmp_path)
    with pytest.raises(DataError, match=r"Cannot read .*results\.csv"):
        Model(run).history()
