"""Training to count: the sum of the density is compared with the number."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from foveal.recipe import ModelOptions, Recipe, TrainOptions
from foveal.tasks.facts import DataFacts
from foveal.tasks.training import Head, TaskTraining, weighted_mean

from .task import CountTask


class DensityHead(Head):
    """One score a position, never negative; `count` is their sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.density = nn.Conv2d(channels, 1, 1)

    def reduce(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return features[-1:]

    def standardise(self, reduced: tuple[Tensor, ...]) -> None:
        pass

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        density = functional.softplus(self.density(features[-1]).float() - 3)
        return {"count": density.sum(dim=(2, 3)), "density": density}


class CountTraining(TaskTraining[CountTask]):
    """The torch half of the task."""

    @classmethod
    def choose(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        return recipe

    @classmethod
    def unused(cls, recipe: Recipe) -> dict[str, str]:
        return {}

    def build_head(
        self, channels: tuple[int, ...], strides: tuple[int, ...], options: ModelOptions
    ) -> Head:
        return DensityHead(channels[-1])

    def collate(self, targets: Sequence[int]) -> dict[str, Tensor]:
        return {"count": torch.tensor(targets, dtype=torch.float32)}

    def class_counts(self, targets: dict[str, Tensor]) -> Tensor:
        numbers = torch.tensor([float(name) for name in self.task.labels.names])
        return (targets["count"][:, None] == numbers).float().sum(dim=0)

    def sample_weights(self, targets: dict[str, Tensor]) -> Tensor:
        return torch.ones(len(targets["count"]))

    def losses(
        self,
        outputs: dict[str, Tensor],
        targets: dict[str, Tensor],
        options: TrainOptions,
        label_weights: Tensor | None,
    ) -> dict[str, Tensor]:
        errors = functional.smooth_l1_loss(
            outputs["count"][:, 0], targets["count"], reduction="none"
        )
        return {"loss": weighted_mean(errors, targets.get("weight"))}


TRAINING = CountTraining
