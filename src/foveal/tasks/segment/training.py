"""The torch half of segment: decoders, target tensors and losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foveal.recipe import ModelOptions, Recipe, TrainOptions
from foveal.tasks.facts import DataFacts
from foveal.tasks.segment.collecting import CORES
from foveal.tasks.segment.defaults import choose_recipe, unused_keys
from foveal.tasks.segment.heads import build_decoder
from foveal.tasks.segment.task import SegmentTask
from foveal.tasks.training import Head, TaskTraining, batch_total
from foveal.types import IGNORED

MASK, PIXELS = "mask", "pixels"
"""Names of the targets' tensors: (N, H, W) uint8 classes, and (N, C) float32 pixels of each."""

# Keeps the Dice of a class that a batch has no pixel of from being 0 / 0.
_SMOOTH = 1.0


@final
class SegmentTraining(TaskTraining[SegmentTask]):
    """Cross entropy over the pixels plus the Dice loss over the classes of the batch.

    V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation, 2016,
    https://arxiv.org/abs/1606.04797 (Dice); the sum of both as in nnU-Net, 2021,
    https://doi.org/10.1038/s41592-020-01008-z.
    """

    adds_over_processes: ClassVar[bool] = True

    @classmethod
    def choose(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        """Choose tiles, backbone, augmentation and schedule."""
        return choose_recipe(recipe, facts)

    @classmethod
    def unused(cls, recipe: Recipe) -> dict[str, str]:
        """Return what this recipe's head and loss do not read."""
        return unused_keys(recipe)

    def build_head(
        self,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        options: ModelOptions,
    ) -> Head:
        """Return the decoder that the task's options name."""
        return build_decoder(
            self.task.options.decoder,
            channels,
            strides,
            len(self.task.labels),
            cores=bool(self.task.objects),
            dropout=options.dropout or 0.0,
        )

    def collate(self, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Return masks of one size, and how many pixels of each class they hold."""
        masks = torch.from_numpy(np.stack(targets) if targets else np.zeros((0, 1, 1), np.uint8))
        labels = torch.arange(len(self.task.labels))
        # One label at a time: bincount has no axis.
        pixels = torch.stack([(masks == label).sum(dim=(1, 2)) for label in labels], dim=1)
        return {MASK: masks, PIXELS: pixels.float()}

    def class_counts(self, targets: dict[str, Tensor]) -> Tensor:
        """Return (C,) float32: the pixels of each class."""
        return targets[PIXELS].sum(dim=0)

    def sample_weights(self, targets: dict[str, Tensor]) -> Tensor:
        """Return (N,) float32 with mean 1: pictures that hold more of rare classes weigh more."""
        pixels = targets[PIXELS]
        rarity = 1.0 / pixels.sum(dim=0).clamp(min=1.0)
        weights = (pixels * rarity).sum(dim=1)
        return weights / weights.mean().clamp(min=1e-12)

    def losses(
        self,
        outputs: dict[str, Tensor],
        targets: dict[str, Tensor],
        options: TrainOptions,
        label_weights: Tensor | None,
    ) -> dict[str, Tensor]:
        """Return the loss and its two halves; ignored pixels teach nothing."""
        logits, mask = outputs["logits"].float(), targets[MASK].long()
        known = mask != IGNORED
        entropy = functional.cross_entropy(
            logits,
            mask,
            weight=label_weights,
            ignore_index=IGNORED,
            label_smoothing=options.label_smoothing,
            reduction="none",
        )
        weight = targets.get("weight")
        if weight is not None:
            entropy = entropy * weight[:, None, None]
        total, pixels = batch_total(torch.stack([entropy.sum(), known.sum().to(entropy.dtype)]))
        cross_entropy = total / pixels.clamp(min=1)
        dice = _dice_loss(logits, mask, known)
        losses = {"loss": cross_entropy + dice, "cross_entropy": cross_entropy, "dice": dice}
        if self.task.objects:
            cores = self._cores_loss(outputs[CORES].float(), targets[MASK], known, weight)
            losses |= {"loss": losses["loss"] + cores, "cores": cores}
        return losses

    def _cores_loss(
        self, odds: Tensor, mask: Tensor, known: Tensor, weight: Tensor | None
    ) -> Tensor:
        """Return the cross entropy of the cores plus 1 - their Dice.

        Args:
            odds: (N, 1, H, W) log odds.
            mask: (N, H, W) classes, or `IGNORED`.
            known: (N, H, W) whether a pixel is not ignored.
            weight: (N,) of the samples, or None for equal ones.
        """
        is_core = core_targets(mask, self.task.options.core_px)
        objects = torch.tensor(self.task.objects, device=mask.device)
        is_core &= torch.isin(mask, objects.to(mask.dtype))
        entropy = functional.binary_cross_entropy_with_logits(
            odds[:, 0], is_core.to(odds.dtype), reduction="none"
        )
        entropy = entropy * known
        if weight is not None:
            entropy = entropy * weight[:, None, None]
        total, pixels = batch_total(torch.stack([entropy.sum(), known.sum().to(entropy.dtype)]))
        # As of two classes, of which the second is known by its log odds alone.
        pair = torch.cat([torch.zeros_like(odds), odds], dim=1)
        loss: Tensor = total / pixels.clamp(min=1) + _dice_loss(pair, is_core, known)
        return loss


def core_targets(mask: Tensor, depth: int) -> Tensor:
    """Return which pixels have no other class within `depth` rows and columns, (N, H, W) bool.

    What is beyond the edge of a crop is not known, and takes nothing away.

    Args:
        mask: (N, H, W) classes.
        depth: In pixels.
    """
    values = mask.float()[:, None]
    side = 2 * depth + 1

    def largest(numbers: Tensor) -> Tensor:
        rows = functional.max_pool2d(numbers, (side, 1), 1, (depth, 0))
        return functional.max_pool2d(rows, (1, side), 1, (0, depth))

    is_core: Tensor = (largest(values) == -largest(-values))[:, 0]
    return is_core


def _dice_loss(logits: Tensor, mask: Tensor, known: Tensor) -> Tensor:
    """Return 1 - the mean over the classes of the soft Dice over the whole batch."""
    probabilities = logits.softmax(dim=1) * known[:, None]
    # One class at a time: a one-hot tensor would be as large as the logits, in 8-byte integers.
    parts = []
    for label in range(logits.shape[1]):
        truth = (mask == label).to(logits.dtype)
        answer = probabilities[:, label]
        parts.append(torch.stack([(answer * truth).sum(), answer.sum(), truth.sum()]))
    both, answers, truths = batch_total(torch.stack(parts, dim=1))
    scores: Tensor = (2 * both + _SMOOTH) / (answers + truths + _SMOOTH)
    return 1 - scores.mean()


TRAINING = SegmentTraining
