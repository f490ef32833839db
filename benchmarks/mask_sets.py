"""Sets of pictures with masks, and how the test part of each is held out: never at random.

foveal sees the training part alone, as folders `images` and `masks` that a user would have.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.segment.options import ordered
from foveal.types import IGNORED


def every_third(pictures: Sequence[Path]) -> list[Path]:
    """Return every third picture, beginning with the third: the part that is held out."""
    return list(pictures[2::3])


def last_third(pictures: Sequence[Path]) -> list[Path]:
    """Return the last third as one block: for slices of one volume, whose neighbours look alike."""
    return list(pictures[len(pictures) - len(pictures) // 3 :])


@dataclass(frozen=True)
class Pictures:
    """A set of pictures with masks.

    Attributes:
        claim: What its claims are called, between `segment_` and the metric.
        what: In words.
        data: Name of its folder.
        classes: What the values of the masks stand for.
        positive: The value that the plain U-Net looks for; the rarer one, as is usual.
        is_named: Whether a classes.txt tells foveal the names, so that both classes count.
        held_out: Chooses the test part from the pictures in the order of their names.
    """

    claim: str
    what: str
    data: str
    classes: Mapping[int, str]
    positive: int
    is_named: bool
    held_out: Callable[[Sequence[Path]], list[Path]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the classes in the order that foveal gives labels."""
        return ordered(self.classes.values())

    @property
    def negative(self) -> int:
        """Return the value of everything that the plain U-Net does not look for."""
        return next(value for value in self.classes if value != self.positive)

    def table(self) -> NDArray[np.uint8]:
        """Return (256,) value of a mask → position in `labels`; what is neither is ignored."""
        table = np.full(256, IGNORED, np.uint8)
        for value, name in self.classes.items():
            table[value] = self.labels.index(name)
        return table


SETS = (
    Pictures(
        claim="monuseg",
        what="nuclei in a third of 30 pictures of tissue",
        data="monuseg",
        classes={0: "background", 255: "foreground"},
        positive=255,
        is_named=False,
        held_out=every_third,
    ),
    Pictures(
        claim="isbi",
        what="membranes and cells in the last third of 24 slices",
        data="isbi_membrane",
        classes={0: "membrane", 255: "cell"},
        positive=0,
        is_named=True,
        held_out=last_third,
    ),
)


def write_parts(pictures: Pictures, root: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy the pictures and masks of both parts into `folder`/train and `folder`/test.

    Copies, not links: what foveal gets is what a user would have.

    Returns:
        (training pictures, test pictures), the copies.
    """
    originals = sorted((root / "images").iterdir())
    held = set(pictures.held_out(originals))
    parts: dict[str, list[Path]] = {"train": [], "test": []}
    for name in parts:
        # A folder that was kept may hold the parts of another split.
        shutil.rmtree(folder / name, ignore_errors=True)
        for kind in ("images", "masks"):
            (folder / name / kind).mkdir(parents=True)
        if pictures.is_named:
            lines = [f"{value} {label}\n" for value, label in pictures.classes.items()]
            # Beside the folders, where foveal looks for it.
            (folder / name / "classes.txt").write_text("".join(lines), encoding="utf-8")
    for path in originals:
        part = "test" if path in held else "train"
        copy = folder / part / "images" / path.name
        shutil.copyfile(path, copy)
        mask = f"{path.stem}.png"
        shutil.copyfile(root / "masks" / mask, folder / part / "masks" / mask)
        parts[part].append(copy)
    return parts["train"], parts["test"]
