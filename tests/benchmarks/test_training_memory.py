import argparse
import os
from pathlib import Path

import numpy as np

from training_memory import CLASSES, draw, memory_of_tree, pictures


def test_every_class_is_drawn_and_pictures_differ(tmp_path: Path) -> None:
    options = argparse.Namespace(side=8, layout="folder")

    root = draw(tmp_path / "drawn", 60, options)

    files = sorted(root.rglob("*.png"))
    assert sorted(folder.name for folder in root.iterdir()) == sorted(CLASSES)
    assert len(files) == 60
    assert len({path.read_bytes() for path in files}) == 60


def test_arrays_hold_the_same_pictures_as_folders(tmp_path: Path) -> None:
    root = draw(tmp_path / "drawn", 30, argparse.Namespace(side=8, layout="npy"))

    images, labels = (np.load(root / f"{name}.npy") for name in ("images", "labels"))
    drawn = next(pictures(30, 8))
    assert np.array_equal(images, drawn[0])
    assert [CLASSES.index(str(name)) for name in labels] == drawn[1].tolist()


def test_the_memory_of_this_process_is_found() -> None:
    memory = memory_of_tree(os.getpid())

    assert memory["rss_mb"] >= memory["anonymous_mb"] > 1
