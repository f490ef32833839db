"""The interface of tasks for training: the torch half."""

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
    """Computes the outputs of a task from the feature maps of a backbone."""

    @abstractmethod
    def reduce(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Reduce the feature maps as far as possible without changing the core outputs.

        The result is cached while the backbone is frozen.
        """

    @property
    def reduces_to_statistics(self) -> bool:
        """Whether `reduce` gives the `statistics` of all feature maps, as (N, D_i, 1, 1)."""
        return False

    @abstractmethod
    def standardise(self, reduced: tuple[Tensor, ...]) -> None:
        """Standardise cached features before the head is trained on them.

        Args:
            reduced: Output of `reduce` for many training pictures.
        """

    @abstractmethod
    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the outputs for feature maps or for their reduction by `reduce`.

        Args:
            features: Feature maps, each (N, C_i, H / s_i, W / s_i), finest first.

        Returns:
            A dict with exactly the names of `task.output_specs()`.
        """

    def rows(self, reduced: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return standardised features whose concatenation gives the logits by an affine map.

        One (N, D_i) float32 tensor per level, finest first. Only for heads that are linear in the
        result of `reduce`.

        Args:
            reduced: Output of `reduce`.
        """
        raise NotImplementedError

    def set_map(self, weight: Tensor, bias: Tensor) -> None:
        """Set the affine map from `rows` to the logits.

        Args:
            weight: Weights, (C, sum of D_i) float32.
            bias: Biases, (C,) float32.
        """
        raise NotImplementedError


class LevelsHead(Head):
    """A head that uses some of the feature maps and standardises nothing.

    Args:
        levels: Positions of the maps to use, finest first; negative positions count from the end.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.levels = tuple(levels)

    @final
    def reduce(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the maps to use."""
        if len(features) == len(self.levels):
            return features
        return tuple(features[i] for i in self.levels)

    @final
    def standardise(self, reduced: tuple[Tensor, ...]) -> None:
        """Do nothing: batch normalisation after the first layer adapts to the features."""


def at_least_float32(values: Tensor) -> Tensor:
    """Convert tensors of less than 32 bits to float32, and return others unchanged."""
    return values.float() if values.element_size() < 4 else values


class TaskTraining(ABC, Generic[TaskT]):
    """Builds the head, the target tensors and the losses of a task.

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
        """Store the task."""
        self.task = task

    def labels(self, targets: dict[str, Tensor]) -> tuple[Tensor, bool]:
        """Return which labels apply, (N, C) float32, and whether any number of them may apply.

        Args:
            targets: Output of `collate`.
        """
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def choose(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        """Choose the task-specific settings of a recipe; the others are chosen for all tasks alike.

        Args:
            recipe: Recipe of the user, with the options of the task.
            facts: Statistics of the pictures.

        Returns:
            The recipe, completed with the choices and their reasons; see `Recipe.filled`.

        Raises:
            RecipeError: If the task cannot train with this combination of settings.
        """

    @classmethod
    def choose_sized(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        """Fill in what depends on the size of the model input, which is chosen by then.

        Args:
            recipe: With the backbone and the sides of the model input.
            facts: Facts from a sample of the pictures.

        Returns:
            As `choose`.
        """
        return recipe

    @classmethod
    @abstractmethod
    def unused(cls, recipe: Recipe) -> dict[str, str]:
        """Return the keys of a resolved recipe that the task ignores, each with the reason.

        A user who set such a key is warned.
        """

    @abstractmethod
    def build_head(
        self,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        options: ModelOptions,
    ) -> Head:
        """Return the module that maps the feature maps of a backbone to the outputs.

        Args:
            channels: Number of channels of each feature map.
            strides: Model-input pixels per feature-map pixel, of each feature map.
            options: Model section of the recipe.
        """

    @abstractmethod
    def collate(self, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Return the targets of all given samples as tensors, samples on the first axis.

        Called once per split; batches are taken by indexing.
        """

    @abstractmethod
    def class_counts(self, targets: dict[str, Tensor]) -> Tensor:
        """Return the number of occurrences of each label, (C,) float32, for class weights."""

    @abstractmethod
    def sample_weights(self, targets: dict[str, Tensor]) -> Tensor:
        """Return the weight of each sample for balanced sampling, (N,) float32."""

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
            outputs: Outputs of the network.
            targets: Batch of the targets from `collate`; with MixUp, floating-point tensors are
                already mixed. `weight`, (N,) float32, holds the sample weights.
            options: Train section of the recipe (label smoothing).
            label_weights: Class weights, (C,) float32, or None.

        Returns:
            A dict whose `loss` is the scalar to minimise; other entries are logged.
        """


_adding: ContextVar[Callable[[Tensor], Tensor] | None] = ContextVar("foveal_adding", default=None)


@contextmanager
def adding_over_processes(add: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let `batch_total` sum over processes by `add` within the block."""
    token = _adding.set(add)
    try:
        yield
    finally:
        _adding.reset(token)


def batch_total(part: Tensor) -> Tensor:
    """Return the sum of a quantity over the batch, given its sum over the local rows.

    The two differ if several processes share a batch.

    Args:
        part: Local sum, a tensor whose shape is the same in all processes.
    """
    add = _adding.get()
    return part if add is None else add(part)


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Return the weighted mean of the sample losses over the batch.

    Args:
        losses: Loss of each sample, (N,) float32.
        weight: Sample weights, (N,) float32; None for 1.
    """
    if weight is None:
        if _adding.get() is None:
            return losses.mean()
        weight = torch.ones_like(losses)
    total, weights = batch_total(torch.stack([(losses * weight).sum(), weight.sum()]))
    # A batch whose samples all weigh nothing teaches nothing, rather than NaN.
    mean: Tensor = total / weights.clamp(min=1e-6)
    return mean
