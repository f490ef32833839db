"""What a task must say about its training: the torch half of the abstraction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Generic, final

import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from foveal.recipe import ModelOptions, Recipe, TrainOptions
from foveal.tasks.base import Task
from foveal.tasks.facts import DataFacts

TaskT = TypeVar("TaskT", bound=Task, default=Any)


class Head(nn.Module, ABC):
    """From a backbone's feature maps to the task's outputs."""

    @abstractmethod
    def reduce(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the least of the feature maps that gives the same core outputs.

        It is what is cached while the backbone is frozen.
        """

    @abstractmethod
    def standardise(self, reduced: tuple[Tensor, ...]) -> None:
        """Adapt to the spread of cached features, before the head is trained on them.

        Args:
            reduced: What `reduce` gave for many training pictures.
        """

    @abstractmethod
    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the outputs for feature maps, or for what `reduce` made of them.

        Args:
            features: Each (N, C_i, H / s_i, W / s_i), finest first.

        Returns:
            A dict with exactly the names of `task.output_specs()`.
        """

    def rows(self, reduced: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return standardised features of which, side by side, the logits are an affine map.

        For each level (N, D_i) float32, the finest first. Only of a head that is linear in what
        `reduce` gave.

        Args:
            reduced: What `reduce` gave.
        """
        raise NotImplementedError

    def set_map(self, weight: Tensor, bias: Tensor) -> None:
        """Set the affine map from `rows` to the logits.

        Args:
            weight: (C, sum of D_i) float32.
            bias: (C,) float32.
        """
        raise NotImplementedError


class LevelsHead(Head):
    """A head that uses some of the feature maps and has nothing to standardise.

    Args:
        levels: Positions of the maps that are used, finest first; negative ones from the end.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.levels = tuple(levels)

    @final
    def reduce(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the maps that are used."""
        if len(features) == len(self.levels):
            return features
        return tuple(features[i] for i in self.levels)

    @final
    def standardise(self, reduced: tuple[Tensor, ...]) -> None:
        """Do nothing: the batch normalisation after the first layer adapts by itself."""


def at_least_float32(values: Tensor) -> Tensor:
    """Return values of less than 32 bits as float32, others as they are."""
    return values.float() if values.element_size() < 4 else values


class TaskTraining(ABC, Generic[TaskT]):
    """Builds the head, the targets' tensors and the losses of one task.

    Args:
        task: The bound task.
    """

    scratch_steps: ClassVar[int] = 300
    """Steps from random weights that it takes, at the least, to learn something useful. Where a
    time budget allows fewer, batch and pictures are made smaller."""

    adds_over_processes: ClassVar[bool] = False
    """Whether `losses` adds up by `batch_total`, so that every process returns the losses of the
    whole batch. Where it does not, the batch's loss is the mean of the processes' losses, weighted
    by their samples: right for a loss that is a plain mean over the samples."""

    has_labels: ClassVar[bool] = False
    """Whether `labels` says which labels apply to a picture as a whole, so that a linear head can
    be fitted as a logistic regression."""

    def __init__(self, task: TaskT) -> None:
        """Keep the task."""
        self.task = task

    def labels(self, targets: dict[str, Tensor]) -> tuple[Tensor, bool]:
        """Return which labels apply, (N, C) float32, and whether that may be any number of them.

        Args:
            targets: What `collate` gave.
        """
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def choose(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        """Fill in what this task wants of a recipe; the rest is chosen for all tasks alike.

        Args:
            recipe: As the user gave it, with the task's options.
            facts: What a sample of the pictures says.

        Returns:
            The recipe with choices and their reasons laid under it; see `Recipe.filled`.

        Raises:
            RecipeError: For a combination that the task cannot train.
        """

    @classmethod
    def choose_sized(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        """Fill in what depends on the size of the model input, which is chosen by then.

        Args:
            recipe: With the backbone and the sides of the model input.
            facts: What a sample of the pictures says.

        Returns:
            As `choose`.
        """
        return recipe

    @classmethod
    @abstractmethod
    def unused(cls, recipe: Recipe) -> dict[str, str]:
        """Return key of the recipe → why the task does not read it, under a resolved recipe.

        A user who gave such a key is warned.
        """

    @abstractmethod
    def build_head(
        self,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        options: ModelOptions,
    ) -> Head:
        """Return the module from a backbone's feature maps to the outputs.

        Args:
            channels: Channels of each feature map that the backbone gives.
            strides: Model-input pixels per feature-map pixel, of each feature map.
            options: The recipe's model section.
        """

    @abstractmethod
    def collate(self, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Return the targets of ALL given samples as tensors, first axis the sample.

        Called once per split; batches are then taken by indexing.
        """

    @abstractmethod
    def class_counts(self, targets: dict[str, Tensor]) -> Tensor:
        """Return (C,) float32: how often each label occurs, for weights or balanced sampling."""

    @abstractmethod
    def sample_weights(self, targets: dict[str, Tensor]) -> Tensor:
        """Return (N,) float32: how often a sample is drawn when sampling is balanced."""

    @abstractmethod
    def losses(
        self,
        outputs: dict[str, Tensor],
        targets: dict[str, Tensor],
        options: TrainOptions,
        label_weights: Tensor | None,
    ) -> dict[str, Tensor]:
        """Return the losses of a batch.

        Args:
            outputs: What the network gave.
            targets: The batch's part of `collate`; under MixUp its floating-point tensors are
                already mixed. `weight`, (N,) float32, is the samples' own weight.
            options: The recipe's train section (label smoothing).
            label_weights: (C,) float32 or None.

        Returns:
            A dict whose `loss` is the scalar to minimise; the rest is logged.
        """


_adding: ContextVar[Callable[[Tensor], Tensor] | None] = ContextVar("foveal_adding", default=None)


@contextmanager
def adding_over_processes(add: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let `batch_total` add by `add` within the block: several processes share each batch."""
    token = _adding.set(add)
    try:
        yield
    finally:
        _adding.reset(token)


def batch_total(part: Tensor) -> Tensor:
    """Return the sum of a quantity over the batch, given that of the rows at hand.

    The two differ where several processes share a batch.

    Args:
        part: A tensor of any shape, which is the same in all processes.
    """
    add = _adding.get()
    return part if add is None else add(part)


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Return the mean of the samples' losses over the batch, weighted by the samples' own weights.

    Args:
        losses: (N,) float32.
        weight: (N,) float32, or None for 1.
    """
    if weight is None:
        if _adding.get() is None:
            return losses.mean()
        weight = torch.ones_like(losses)
    total, weights = batch_total(torch.stack([(losses * weight).sum(), weight.sum()]))
    # A batch whose samples all weigh nothing teaches nothing, rather than NaN.
    mean: Tensor = total / weights.clamp(min=1e-6)
    return mean
