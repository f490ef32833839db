"""The torch half of classify: head, target tensors and losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foveal.recipe import ModelOptions, Recipe, TrainOptions
from foveal.tasks.classify.head import EvidenceHead
from foveal.tasks.classify.ink import choose_ink
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.facts import DataFacts
from foveal.tasks.training import Head, TaskTraining, weighted_mean

# The name of the targets' tensor says which loss they are for.
ONE_HOT = "one_hot"
"""(N, C) float32, one class each: softmax."""
MULTI_HOT = "multi_hot"
"""(N, C) float32, any number of classes each: sigmoid."""

# Finer maps hold edges and colours rather than parts of things.
_MIN_STRIDE = 8
_MAX_LEVELS = 4


@final
class ClassifyTraining(TaskTraining[ClassifyTask]):
    """Cross entropy for one label of many, binary cross entropy for several."""

    adds_over_processes: ClassVar[bool] = True
    has_labels: ClassVar[bool] = True

    @classmethod
    def choose(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        """Leave everything to the defaults of all tasks."""
        return recipe

    @classmethod
    def choose_sized(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        """Choose how ink is changed, by the backbone and the width of strokes in its input."""
        return recipe.filled(choose_ink(recipe, facts))

    @classmethod
    def unused(cls, recipe: Recipe) -> dict[str, str]:
        """Return nothing: all keys are read."""
        return {}

    def build_head(
        self,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        options: ModelOptions,
    ) -> Head:
        """Return the evidence head on the feature maps of stride 8 and more, at most four."""
        deep = [c for c, stride in zip(channels, strides, strict=True) if stride >= _MIN_STRIDE]
        used = tuple(deep[-_MAX_LEVELS:]) or channels[-1:]
        return EvidenceHead(
            used, len(self.task.labels), hidden=options.hidden or 0, dropout=options.dropout or 0.0
        )

    def collate(self, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Stack the (C,) targets into one (N, C) float32 tensor."""
        classes = len(self.task.labels)
        stacked = np.stack(targets) if len(targets) else np.zeros((0, classes), np.float32)
        name = MULTI_HOT if self.task.options.multi_label else ONE_HOT
        return {name: torch.from_numpy(stacked.astype(np.float32))}

    def labels(self, targets: dict[str, Tensor]) -> tuple[Tensor, bool]:
        """Return which labels apply, and whether that may be any number of them."""
        return _labels(targets), MULTI_HOT in targets

    def class_counts(self, targets: dict[str, Tensor]) -> Tensor:
        """Return (C,) float32: in how many samples each class applies."""
        return _labels(targets).sum(dim=0)

    def sample_weights(self, targets: dict[str, Tensor]) -> Tensor:
        """Return (N,) float32 with mean 1: the inverse frequency of a sample's rarest class.

        Samples without any class count as a class of their own.
        """
        labels = _labels(targets)
        nothing = (labels.sum(dim=1, keepdim=True) == 0).float()
        labels = torch.cat([labels, nothing], dim=1)
        rarity = labels / labels.sum(dim=0).clamp(min=1.0)
        weights = rarity.amax(dim=1)
        return weights / weights.mean()

    def losses(
        self,
        outputs: dict[str, Tensor],
        targets: dict[str, Tensor],
        options: TrainOptions,
        label_weights: Tensor | None,
    ) -> dict[str, Tensor]:
        """Return the loss, weighted by sample and by class.

        Label smoothing moves that share of each target to the uniform distribution (one half
        for several labels). Class weights multiply each class's term; the mean is over samples.
        """
        logits = outputs["logits"].float()
        labels = _labels(targets)
        smoothing = options.label_smoothing
        if MULTI_HOT in targets:
            soft = labels * (1.0 - smoothing) + smoothing / 2
            terms = functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")
            terms = terms / logits.shape[1]
        else:
            soft = labels * (1.0 - smoothing) + smoothing / logits.shape[1]
            terms = -soft * functional.log_softmax(logits, dim=1)
        if label_weights is not None:
            terms = terms * label_weights
        losses = terms.sum(dim=1)
        return {"loss": weighted_mean(losses, targets.get("weight"))}


def _labels(targets: dict[str, Tensor]) -> Tensor:
    return targets[MULTI_HOT] if MULTI_HOT in targets else targets[ONE_HOT]


TRAINING = ClassifyTraining
