"""Random crops of pictures and masks: where they lie, how they turn, that a resumed run repeats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from foveal.data.cache import Windows
from foveal.pipeline import Pipeline
from foveal.recipe import AugmentOptions
from foveal.train.augmentation import Augmenter
from foveal.train.crops import CropPlan, RandomCrops
from foveal.train.data import PictureReader, WindowLoader
from foveal.train.sampling import windows_in_order
from foveal.types import IGNORED, Image, Mask

PLAIN = AugmentOptions(enabled=False)
TURNED = AugmentOptions(rotation=180, zoom=0.2, shear=0, shift=0, brightness=0, contrast=0, color=0)
IDENTITY = np.arange(256, dtype=np.uint8)


class Pages:
    """Pictures whose red channel says the mask's class, so that both can be held together."""

    def __init__(self, *sizes: tuple[int, int], cell: tuple[int, int] | None = None) -> None:
        self.sizes = np.array(sizes, np.int64)
        self.cell = cell
        self.pipeline = Pipeline(32, 32, "tile")

    def read(self, windows: Windows) -> NDArray[np.uint8]:
        return np.stack([image for image, _ in self._crops(windows)])

    def read_masks(self, windows: Windows) -> NDArray[np.uint8]:
        return np.stack([mask for _, mask in self._crops(windows)])

    def _crops(self, windows: Windows) -> list[tuple[Image, Mask]]:
        places = zip(windows.samples, windows.tops, windows.lefts, strict=True)
        return [self.crop(index, top, left, *windows.size) for index, top, left in places]

    def crop(self, index: int, top: int, left: int, height: int, width: int) -> tuple[Image, Mask]:
        rows, columns = self.sizes[index]
        ys, xs = np.mgrid[top : top + height, left : left + width]
        inside = (ys >= 0) & (xs >= 0) & (ys < rows) & (xs < columns)
        mask = ((ys // 16 + xs // 16) % 2).astype(np.uint8)
        if self.cell is not None:
            mask = ((ys == self.cell[0]) & (xs == self.cell[1])).astype(np.uint8)
        image = np.stack([mask * 200, np.full_like(mask, index), mask * 0], 2)
        return image, np.where(inside, mask, IGNORED).astype(np.uint8)

    def place(self, index: int, label: int, draw: float) -> tuple[int, int] | None:
        return self.cell if label == 1 else None


def crops(
    pages: Any,
    options: AugmentOptions,
    own_weights: list[float] | None = None,
    **changes: object,
) -> WindowLoader:
    """Return a loader of random crops of all pages."""
    augment = Augmenter(options, (0, 0, 0))
    values = {
        "indices": np.arange(len(pages.sizes), dtype=np.int64),
        "size": (32, 32),
        "side": augment.margin,
        "batch_size": 4,
        "rare": (1,),
        "foreground": 0.0,
        "seed": 3,
    }
    plan = CropPlan(**{**values, **changes})
    reader = PictureReader(pages, augment, seed=plan.seed, classes=IDENTITY)
    weights = {} if own_weights is None else {"weight": torch.tensor(own_weights)}
    return WindowLoader(reader, RandomCrops(pages, plan), weights, device=torch.device("cpu"))


def batches(loader: WindowLoader, epoch: int = 0, first: int = 0) -> list[tuple[NDArray, NDArray]]:
    found = []
    for images, targets, _ in loader.epoch(epoch, first):
        assert isinstance(images, torch.Tensor)
        found.append((images.numpy(), targets["mask"].numpy()))
    return found


def test_an_epoch_has_about_the_pixels_of_the_pictures() -> None:
    loader = crops(Pages((64, 64), (320, 160)), PLAIN)
    assert len(loader) == round((4 + 50) / 4)
    assert loader.samples == 4 * len(loader)
    assert len(batches(loader)) == len(loader)


def test_small_pictures_count_as_a_whole_crop() -> None:
    loader = crops(Pages(*[(8, 8)] * 12), PLAIN)
    assert len(loader) == 3


@pytest.mark.parametrize(
    "options",
    [
        PLAIN,
        TURNED,
        AugmentOptions(
            rotation=0, zoom=0, shear=0, shift=0, flip_horizontal=True, flip_vertical=True
        ),
    ],
)
def test_mask_and_picture_are_turned_alike(options: AugmentOptions) -> None:
    plain_colours = replace(options, brightness=0.0, contrast=0.0, color=0.0)
    loader = crops(Pages((200, 240)), plain_colours)
    for images, masks in batches(loader):
        assert images.shape == (4, 3, 32, 32) and masks.shape == (4, 32, 32)
        assert masks.dtype == np.uint8
        known = masks != IGNORED
        said = images[:, 0] > 100
        # Resampled edges are between the two classes; a pixel away from them both agree.
        assert (said == (masks == 1))[known].mean() > 0.96
        assert known.mean() > 0.6


def test_turning_needs_no_filling_inside_a_large_picture() -> None:
    loader = crops(Pages((400, 400)), TURNED)
    masks = np.concatenate([mask for _, mask in batches(loader)])
    # Only windows at the picture's edge reach over it.
    assert (masks == IGNORED).mean() < 0.1


def test_flips_alone_keep_every_pixel_exactly() -> None:
    flips = AugmentOptions(
        rotation=0, zoom=0, shear=0, shift=0, brightness=0, contrast=0, color=0,
        flip_horizontal=True, flip_vertical=True,
    )  # fmt: skip
    for images, masks in batches(crops(Pages((64, 64)), flips)):
        np.testing.assert_array_equal(images[:, 0], np.where(masks == 1, 200, 0))


def test_a_share_of_the_crops_holds_the_rare_class() -> None:
    pages = Pages((512, 512), cell=(100, 401))
    always = crops(pages, PLAIN, foreground=1.0)
    masks = np.concatenate([mask for _, mask in batches(always)])
    assert (masks == 1).any(axis=(1, 2)).all()
    places = {tuple(np.argwhere(mask == 1)[0]) for mask in masks}
    assert len(places) > 20
    never = crops(pages, PLAIN, foreground=0.0)
    masks = np.concatenate([mask for _, mask in batches(never)])
    assert (masks == 1).any(axis=(1, 2)).mean() < 0.1


def test_a_picture_without_the_rare_class_is_cropped_anywhere() -> None:
    loader = crops(Pages((64, 64)), PLAIN, foreground=1.0)
    assert len(batches(loader)) == len(loader)


def test_a_resumed_epoch_goes_on_with_the_same_crops() -> None:
    loader = crops(Pages((300, 300)), TURNED)
    whole = batches(loader, epoch=2)
    rest = batches(loader, epoch=2, first=5)
    assert len(rest) == len(whole) - 5
    for (images, masks), (again, masks_again) in zip(whole[5:], rest, strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(masks, masks_again)
    other = batches(loader, epoch=3)
    assert not np.array_equal(other[0][1], whole[0][1])


def test_weights_decide_how_often_a_picture_is_taken() -> None:
    pages = Pages((64, 64), (64, 64))
    loader = crops(pages, PLAIN, batch_size=64, sample_weights=np.array([1.0, 0.0]))
    ((images, _),) = batches(loader)
    assert (images[:, 1] == 0).all()


def test_own_weights_go_with_their_pictures() -> None:
    loader = crops(Pages((64, 64), (64, 64)), PLAIN, own_weights=[1.0, 0.25], batch_size=16)
    ((images, targets, _),) = list(loader.epoch(0))
    assert isinstance(images, torch.Tensor)
    expected = torch.where(images[:, 1, 0, 0] == 0, 1.0, 0.25)
    torch.testing.assert_close(targets["weight"], expected)


def test_tiles_cover_every_pixel_once() -> None:
    pages = Pages((70, 32), (1, 1))
    parts = windows_in_order(pages, np.arange(2), pixels=3 * 32 * 32, most=128)
    places = [
        place
        for part in parts
        for place in zip(
            part.samples.tolist(), part.tops.tolist(), part.lefts.tolist(), strict=True
        )
    ]
    assert places == [(0, 0, 0), (0, 32, 0), (0, 64, 0), (1, 0, 0)]
    assert [len(part) for part in parts] == [2, 2]
    masks = np.concatenate([pages.read_masks(part) for part in parts])
    assert [(mask != IGNORED).sum() for mask in masks] == [32 * 32, 32 * 32, 6 * 32, 1]


def test_classes_are_those_of_the_task() -> None:
    swapped = IDENTITY.copy()
    swapped[[0, 1]] = [1, 0]
    pages, augment = Pages((32, 32)), Augmenter(PLAIN, (0, 0, 0))
    (windows,) = windows_in_order(pages, np.arange(1), pixels=32 * 32, most=1)
    plain, other = (
        PictureReader(pages, augment, seed=0, classes=classes).read(windows)[1].numpy()
        for classes in (IDENTITY, swapped)
    )
    np.testing.assert_array_equal(other, 1 - plain)
