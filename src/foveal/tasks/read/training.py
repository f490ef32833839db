"""The torch half of read: heads, target tensors and losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foveal.recipe import ModelOptions, Recipe, TrainOptions
from foveal.tasks.facts import DataFacts
from foveal.tasks.read.defaults import choose_recipe, unused_keys
from foveal.tasks.read.heads import CtcHead, GruHead, PositionsHead
from foveal.tasks.read.task import ReadTask
from foveal.tasks.training import Head, TaskTraining, weighted_mean

TEXT, LENGTH = "text", "length"
"""Names of the targets' tensors: (N, L) int64 classes filled with 0, and (N,) int64."""

# A column of a coarser map sees more than one character.
_MAX_STRIDE = 8


@final
class ReadTraining(TaskTraining[ReadTask]):
    """Connectionist temporal classification, or one cross entropy for each position.

    Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent
    Neural Networks, 2006, https://doi.org/10.1145/1143844.1143891 (through torch's `ctc_loss`).
    """

    # On 700 captchas of four characters at 48 px, in batches of 32: nothing is read after 40 steps,
    # 15 % after 130, 93 % after 200. At 24 px 250 steps read 4 %: smaller is the last resort.
    scratch_steps: ClassVar[int] = 200
    adds_over_processes: ClassVar[bool] = True

    @classmethod
    def choose(cls, recipe: Recipe, facts: DataFacts) -> Recipe:
        """Choose height, page pre-processing, augmentation and schedule for text."""
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
        """Return the head that the task's options name."""
        fine = [i for i, stride in enumerate(strides) if stride <= _MAX_STRIDE]
        used = channels[fine[-1] if fine else 0 :]
        classes, dropout = len(self.task.labels) + 1, options.dropout or 0.0
        if self.task.options.head == "positions":
            positions = self.task.options.length
            return PositionsHead(used, classes, positions=positions, dropout=dropout)
        head = GruHead if self.task.options.head == "gru" else CtcHead
        return head(used, classes, dropout=dropout, steps=self.task.options.steps_per_column)

    def collate(self, targets: Sequence[Any]) -> dict[str, Tensor]:
        """Return the texts as classes, filled with 0, and their lengths."""
        classes_of = {character: i for i, character in enumerate(self.task.labels.names)}
        longest = max((len(text) for text in targets), default=0)
        width = max(1, longest, self.task.options.length)
        classes = np.zeros((len(targets), width), np.int64)
        for row, text in zip(classes, targets, strict=True):
            row[: len(text)] = [1 + classes_of[character] for character in text]
        lengths = np.array([len(text) for text in targets], np.int64)
        return {TEXT: torch.from_numpy(classes), LENGTH: torch.from_numpy(lengths)}

    def class_counts(self, targets: dict[str, Tensor]) -> Tensor:
        """Return (C,) float32: how often each character of the alphabet occurs."""
        return _counts(targets, len(self.task.labels)).float()

    def sample_weights(self, targets: dict[str, Tensor]) -> Tensor:
        """Return (N,) float32 with mean 1: the inverse frequency of a text's rarest character."""
        counts = _counts(targets, len(self.task.labels)).float().clamp(min=1.0)
        rarity = torch.cat([torch.zeros(1), 1.0 / counts])
        weights = rarity[targets[TEXT]].amax(dim=1)
        return weights / weights.mean()

    def losses(
        self,
        outputs: dict[str, Tensor],
        targets: dict[str, Tensor],
        options: TrainOptions,
        label_weights: Tensor | None,
    ) -> dict[str, Tensor]:
        """Return the loss, and with one classifier for each position the loss of each.

        Label smoothing and class weights work on the positions; the sequence loss has no single
        classes to smooth or weigh. A text that has more characters than the picture has columns
        teaches nothing.
        """
        logits, weight = outputs["logits"].float(), targets.get("weight")
        if "attention" in outputs:
            terms = _position_losses(logits, targets[TEXT], options.label_smoothing, label_weights)
            means = {
                f"position_{i + 1}": weighted_mean(terms[:, i], weight)
                for i in range(terms.shape[1])
            }
            return {"loss": torch.stack(list(means.values())).mean(), **means}
        count, columns = logits.shape[0], logits.shape[1]
        sequence = functional.ctc_loss(
            logits.log_softmax(dim=2).transpose(0, 1),
            targets[TEXT],
            torch.full((count,), columns, dtype=torch.int64, device=logits.device),
            targets[LENGTH],
            reduction="none",
            zero_infinity=True,
        )
        per_character = sequence / targets[LENGTH].clamp(min=1)
        return {"loss": weighted_mean(per_character, weight)}


def _counts(targets: dict[str, Tensor], labels: int) -> Tensor:
    return torch.bincount(targets[TEXT].flatten(), minlength=labels + 1)[1:]


def _position_losses(
    logits: Tensor, classes: Tensor, smoothing: float, label_weights: Tensor | None
) -> Tensor:
    """Return (N, positions); a position after the end of the text has class 0."""
    weights = label_weights
    if weights is not None:
        weights = torch.cat([torch.ones(1, device=weights.device), weights])
    positions = logits.shape[1]
    losses = functional.cross_entropy(
        logits.flatten(0, 1),
        classes[:, :positions].flatten(),
        weight=weights,
        label_smoothing=smoothing,
        reduction="none",
    )
    return losses.view(-1, positions)


TRAINING = ReadTraining
