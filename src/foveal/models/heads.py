"""The classification head: an evidence map whose mean over the positions is the logits."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn


@final
class EvidenceHead(nn.Module):
    """1x1 convolutions on the last feature map.

    Whatever the depth, the last step is the mean, so the map explains the logits exactly.
    Without a hidden layer the head is linear: feature maps may then be averaged over their
    positions beforehand (cached features) and give the same logits.

    Args:
        channels: Channels of the last feature map.
        classes: Number of labels.
        hidden: Channels of a hidden layer with ReLU; 0 for none.
        dropout: Share of channels dropped while training, before the last convolution.
    """

    def __init__(self, channels: int, classes: int, *, hidden: int, dropout: float) -> None:
        """Build the layers."""
        super().__init__()
        self.hidden = (
            nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU()) if hidden else nn.Identity()
        )
        # Whole channels: the same as dropout on the pooled vector of the usual head.
        self.dropout = nn.Dropout2d(dropout)
        self.evidence = nn.Conv2d(hidden or channels, classes, 1)
        self.is_linear = not hidden
        nn.init.normal_(self.evidence.weight, std=0.01)
        nn.init.zeros_(self.evidence.bias)  # type: ignore[arg-type]  # bias=True: never None

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return `logits` (N, C) and `evidence` (N, C, h, w), both float32 or wider.

        Args:
            features: Feature maps, finest first; the last, (N, channels, h, w), is used.
        """
        evidence = self.evidence(self.dropout(self.hidden(features[-1])))
        if evidence.element_size() < 4:
            evidence = evidence.float()  # a mean in bfloat16 would lose the small evidence
        return {"logits": evidence.mean(dim=(2, 3)), "evidence": evidence}
