"""A tiny problem, network, loader and task for the tests of the loop: bright or dark pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from foveal.data.cache import Windows
from foveal.pipeline import Pipeline
from foveal.recipe import AugmentOptions, ModelOptions, Recipe, TrainOptions
from foveal.tasks.facts import DataFacts
from foveal.tasks.training import TaskTraining
from foveal.train.augmentation import Augmenter
from foveal.train.data import Dealt, PictureReader, WindowLoader, plain_inputs
from foveal.train.precision import Precision
from foveal.train.records import Validated
from foveal.train.sampling import WholePictures
from foveal.train.share import Share

FP32 = Precision("cpu", None, scaled=False)
CPU = torch.device("cpu")
PLAIN = AugmentOptions(enabled=False)


class ArrayReader:
    """Pictures in memory, read like those of a cache."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels
        count, height, width = pixels.shape[:3]
        self.pipeline = Pipeline(height, width)
        self.sizes = np.full((count, 2), (height, width), np.int64)

    def whole(self, samples: NDArray[np.int64]) -> Windows:
        return Windows.whole(samples, (self.pipeline.height, self.pipeline.width))

    def read(self, windows: Windows) -> NDArray[np.uint8]:
        return self.pixels[windows.samples]


def picture_loader(
    reader: Any,
    indices: NDArray[np.int64],
    targets: dict[str, Tensor],
    *,
    batch_size: int,
    seed: int = 0,
    augment: AugmentOptions = PLAIN,
    weights: NDArray[np.float64] | None = None,
    dealt: Dealt = Share.whole,
) -> WindowLoader:
    """Return a loader of whole pictures."""
    sampler = WholePictures(
        reader, indices, batch_size=batch_size, seed=seed, sample_weights=weights
    )
    pictures = PictureReader(reader, Augmenter(augment, (128, 128, 128)), seed=seed)
    return WindowLoader(pictures, sampler, targets, device=CPU, dealt=dealt)


class TinyNetwork(nn.Module):
    """Convolution, normalisation and dropout in front of a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = TinyHead()

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.backbone(images / 255 - 0.5),)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.head(self.features(images))
        return outputs


class TinyHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.3)
        self.score = nn.Linear(8, 2)

    def forward(self, maps: tuple[Tensor, ...]) -> dict[str, Tensor]:
        return {"logits": self.score(self.dropout(maps[0].mean((2, 3))))}


class TinyTraining(TaskTraining):
    """Soft-target cross entropy on the target `y`."""

    @classmethod
    def choose(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        """Leave everything as it is."""
        return recipe

    @classmethod
    def unused(cls, recipe: Recipe) -> dict[str, str]:
        return {}

    def build_head(
        self,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        options: ModelOptions,
    ) -> nn.Module:
        return TinyHead()

    def collate(self, targets: Sequence[Any]) -> dict[str, Tensor]:
        return {"y": torch.stack(list(targets))}

    def class_counts(self, targets: dict[str, Tensor]) -> Tensor:
        return targets["y"].sum(0)

    def sample_weights(self, targets: dict[str, Tensor]) -> Tensor:
        return torch.ones(len(targets["y"]))

    def losses(
        self,
        outputs: dict[str, Tensor],
        targets: dict[str, Tensor],
        options: TrainOptions,
        label_weights: Tensor | None,
    ) -> dict[str, Tensor]:
        loss = F.cross_entropy(outputs["logits"], targets["y"], label_weights)
        return {"loss": loss, "peak": outputs["logits"].detach().abs().max()}


def bright_or_dark(count: int = 64, size: int = 8, seed: int = 0) -> tuple[ArrayReader, Tensor]:
    """Return noisy pictures and their (N, 2) targets: dark ones, then bright ones."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 150, (count, size, size, 3))
    pixels[count // 2 :] += 100
    targets = F.one_hot(torch.arange(count) * 2 // count, 2).float()
    return ArrayReader(pixels.astype(np.uint8)), targets


def tiny_loader(count: int = 64, batch_size: int = 8, **options: Any) -> WindowLoader:
    reader, targets = bright_or_dark(count)
    return picture_loader(
        reader,
        np.arange(count),
        {"y": targets},
        **{
            "batch_size": batch_size,
            "seed": 3,
            "augment": AugmentOptions(flip_horizontal=True),
            **options,
        },
    )


def tiny_network(seed: int = 0) -> TinyNetwork:
    torch.manual_seed(seed)
    return TinyNetwork()


def accuracy(model: nn.Module) -> Validated:
    """Measure on pictures that the loaders do not have."""
    reader, targets = bright_or_dark(64, seed=99)
    images = plain_inputs(reader.pixels, CPU)
    with torch.inference_mode():
        logits = model(images)["logits"]
    return Validated({"accuracy": float((logits.argmax(1) == targets.argmax(1)).float().mean())})


def weights_of(model: nn.Module) -> dict[str, NDArray[Any]]:
    return {name: value.detach().numpy().copy() for name, value in model.state_dict().items()}


class FakeClock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s
