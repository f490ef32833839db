"""The classification head: an evidence map whose mean over the positions is the logits."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from foveal.models.familiarity import statistics
from foveal.tasks.training import Head, at_least_float32

# The spread of a channel that never fires would be divided by; such channels are left out.
_MIN_STD = 1e-4


@final
class EvidenceHead(Head):
    """1x1 convolutions on one or more feature maps, brought to the grid of the last and added.

    Whatever the depth, the last step is the mean, so the map explains the logits exactly.
    Without a hidden layer everything is linear: feature maps may then be averaged over their
    positions beforehand (`reduce`, for cached features) and give the same logits.

    Several levels see more than the last one: on frozen features of the laptop/phone pictures a
    linear head on the last map reaches 92.2 %, on three levels 93.1 % (docs/decisions/0004).

    Args:
        channels: Channels of each feature map that is used, finest first.
        classes: Number of labels.
        hidden: Channels of a hidden layer with ReLU on the last map; 0 for none. With a hidden
            layer only the last map is used.
        dropout: Share of channels dropped while training, before the last convolution.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, channels: tuple[int, ...], classes: int, *, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.levels = 1 if hidden else len(channels)
        used = channels[-self.levels :]
        self.channels = used
        self.hidden = (
            nn.Sequential(nn.Conv2d(used[-1], hidden, 1), nn.ReLU()) if hidden else nn.Identity()
        )
        # Whole channels: the same as dropout on the pooled vector of the usual head.
        self.dropout = nn.Dropout2d(dropout)
        self.evidence = nn.Conv2d(hidden or sum(used), classes, 1)
        self.is_linear = not hidden
        self.register_buffer("mean", torch.zeros(sum(used)))
        self.register_buffer("scale", torch.ones(sum(used)))
        nn.init.normal_(self.evidence.weight, std=0.01)
        nn.init.zeros_(self.evidence.bias)  # type: ignore[arg-type]  # bias=True: never None

    def reduce(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the least that gives the same logits: what is worth caching.

        Args:
            features: Feature maps, finest first.

        Returns:
            For a linear head the means of all feature maps, after the texture, each (N, D_i, 1, 1):
            also of those that it does not use, because they are few numbers, and how familiar
            pictures are is judged by them. Otherwise the map that is used.
        """
        if self.is_linear:
            return tuple(rows[:, :, None, None] for rows in statistics(features))
        return (features[-1],)

    @property
    def reduces_to_statistics(self) -> bool:
        """Whether the head is linear."""
        return self.is_linear

    def standardise(self, reduced: tuple[Tensor, ...]) -> None:
        """Centre and scale each channel from now on, so that one learning rate suits them all.

        Args:
            reduced: `reduce` of the training pictures, in float32.
        """
        if not self.is_linear:
            return
        rows = self._joined(reduced).flatten(1)
        std = rows.std(dim=0)
        scale = torch.where(std > _MIN_STD, 1.0 / std.clamp(min=_MIN_STD), torch.zeros_like(std))
        self.mean.copy_(rows.mean(dim=0))
        self.scale.copy_(scale)

    def rows(self, reduced: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return standardised features of which, side by side, the logits are an affine map."""
        if not self.is_linear:
            raise NotImplementedError("a head with a hidden layer is no affine map")
        rows = (self._joined(reduced).float().flatten(1) - self.mean) * self.scale
        return torch.split(rows, list(self.channels), dim=1)

    def set_map(self, weight: Tensor, bias: Tensor) -> None:
        """Set the affine map from `rows` to the logits."""
        with torch.no_grad():
            self.evidence.weight.copy_(weight[:, :, None, None])
            self.evidence.bias.copy_(bias)  # type: ignore[union-attr]  # bias=True: never None

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return `logits` (N, C) and `evidence` (N, C, h, w), both float32 or wider.

        Args:
            features: Feature maps, finest first, or what `reduce` made of them.
        """
        joined = self._joined(features)
        if self.is_linear:
            shape = (1, -1, 1, 1)
            joined = (joined - self.mean.view(shape)) * self.scale.view(shape)
        evidence = self.evidence(self.dropout(self.hidden(joined)))
        evidence = at_least_float32(evidence)  # a mean in bfloat16 would lose the small evidence
        return {"logits": evidence.mean(dim=(2, 3)), "evidence": evidence}

    def _joined(self, features: tuple[Tensor, ...]) -> Tensor:
        used = features[-self.levels :]
        if len(used) == 1:
            return used[0]
        size = (int(used[-1].shape[-2]), int(used[-1].shape[-1]))
        return torch.cat([_pool_to(m, size) for m in used], dim=1)


def _pool_to(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring (N, C, H, W) to (N, C, *size) without changing any channel's mean."""
    height, width = int(features.shape[-2]), int(features.shape[-1])
    if (height, width) == size:
        return features
    if height % size[0] == 0 and width % size[1] == 0:
        kernel = (height // size[0], width // size[1])
        return functional.avg_pool2d(features, kernel)
    resized = functional.interpolate(features, size, mode="bilinear", align_corners=False)
    axes = (2, 3)
    mean, changed = features.mean(axes, keepdim=True), resized.mean(axes, keepdim=True)
    return resized + (mean - changed)
