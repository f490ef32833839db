"""Heads of readers: the columns of the feature map, pooled over the height, are time steps."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from foveal.tasks.training import LevelsHead, at_least_float32

# Rows that the feature map is pooled to before they are folded into the channels: where in its
# line a stroke stands tells a comma from an apostrophe, which a mean over the height forgets.
_ROWS = 4
_COLUMN_CHANNELS = 256
# Neighbouring columns say whether a stroke is the end of one character or the start of the next.
# Seven columns to each side also reach over the bar of a fraction, whose upper part is read first
# though it stands in its middle.
_DILATIONS = (1, 2, 4)
# Of the classic network's dense layer and of each direction of its recurrent layers.
_CLASSIC_CHANNELS = 128


class Columns(nn.Module):
    """Maps feature maps, finest first, to one vector per column, (N, channels, T).

    The last map with a stride of at most 8 gives the columns; deeper maps are enlarged to it.

    Args:
        channels: Channels of each map that is used.
        width: Channels of the result.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Conv1d(sum(channels) * _ROWS, width, 1, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Return (N, width, T)."""
        first = features[0]
        size = (int(first.shape[2]), first.shape[3])
        maps = [first] + [functional.interpolate(m, size, mode="nearest") for m in features[1:]]
        joined = _to_rows(torch.cat(maps, dim=1) if len(maps) > 1 else first)
        columns: Tensor = self.project(joined.flatten(1, 2))
        return columns


def _to_rows(features: Tensor) -> Tensor:
    """Pool (N, C, h, T) to (N, C, _ROWS, T); a height that does not divide is filled with zeros."""
    height = int(features.shape[2])
    kernel = -(-height // _ROWS)
    missing = kernel * _ROWS - height
    if missing:
        features = functional.pad(features, (0, 0, missing // 2, missing - missing // 2))
    # Not `avg_pool2d`: the exporter joins it with the filling, which ONNX Runtime refuses where
    # that is as high as the kernel (an input of 80 px).
    rows = [features[:, :, first::kernel] for first in range(kernel)]
    return torch.stack(rows).mean(dim=0) if kernel > 1 else features


def _split(logits: Tensor, classes: int) -> Tensor:
    """Return (N, T * steps, classes) for (N, T, steps * classes); the steps go from left to right.

    As sub-pixel convolution does it for pictures: Real-Time Single Image and Video Super-Resolution
    Using an Efficient Sub-Pixel Convolutional Neural Network, 2016,
    https://arxiv.org/abs/1609.05158.
    """
    # Nothing is written to the graph where there is nothing to split.
    return logits if logits.shape[2] == classes else logits.reshape(logits.shape[0], -1, classes)


@final
class _Neighbours(nn.Module):
    """A convolution along the columns, added to its input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(
            channels, channels, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, columns: Tensor) -> Tensor:
        """Return (N, channels, T)."""
        return torch.relu(columns + self.norm(self.conv(columns)))


@final
class CtcHead(LevelsHead):
    """Convolutions along the columns, followed by one distribution per column.

    Args:
        channels: Channels of each map that is used, finest first.
        classes: Characters of the alphabet and the blank.
        dropout: Share of channels dropped while training.
        steps: Distributions for each column of the feature map.
    """

    def __init__(
        self, channels: tuple[int, ...], classes: int, *, dropout: float, steps: int = 1
    ) -> None:
        super().__init__(range(-len(channels), 0))
        self.columns = Columns(channels, _COLUMN_CHANNELS)
        self.context = nn.Sequential(*(_Neighbours(_COLUMN_CHANNELS, d) for d in _DILATIONS))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Conv1d(_COLUMN_CHANNELS, steps * classes, 1)
        self.classes = classes

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return `logits`, (N, T, classes) float32; class 0 is the blank."""
        columns = self.columns(self.reduce(features))
        logits = self.classify(self.dropout(self.context(columns))).transpose(1, 2)
        return {"logits": at_least_float32(_split(logits, self.classes))}


@final
class GruHead(LevelsHead):
    """The CRNN head: a dense layer, two bidirectional GRU layers, one distribution per column.

    The directions of the first layer are added, those of the second are concatenated.

    Args:
        channels: Channels of each map that is used, finest first.
        classes: Characters of the alphabet and the blank.
        dropout: Share of channels dropped while training.
        steps: Distributions for each column of the feature map.
    """

    def __init__(
        self, channels: tuple[int, ...], classes: int, *, dropout: float, steps: int = 1
    ) -> None:
        super().__init__(range(-len(channels), 0))
        width = _CLASSIC_CHANNELS
        self.columns = Columns(channels, width)
        self.first = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.second = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(2 * width, steps * classes)
        self.classes = classes

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return `logits`, (N, T, classes) float32; class 0 is the blank."""
        columns = self.columns(self.reduce(features)).transpose(1, 2)
        both, _ = self.first(columns)
        forward, backward = both.chunk(2, dim=2)
        both, _ = self.second(forward + backward)
        logits = _split(self.classify(self.dropout(both)), self.classes)
        return {"logits": at_least_float32(logits)}


@final
class PositionsHead(LevelsHead):
    """One classifier for each position of a text of a known length.

    Each classifier attends to the columns with its own weights, which depend on content and
    position. So it works for any width, and the weights show where it looked.

    Args:
        channels: Channels of each map that is used, finest first.
        classes: Characters of the alphabet, and class 0 for "no character here".
        positions: Longest text.
        dropout: Share of channels dropped while training.
    """

    def __init__(
        self, channels: tuple[int, ...], classes: int, *, positions: int, dropout: float
    ) -> None:
        super().__init__(range(-len(channels), 0))
        width = _COLUMN_CHANNELS
        self.positions = positions
        self.columns = Columns(channels, width)
        self.context = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.look = nn.Conv1d(width, positions, 1)
        # Where a position's classifier looks before it has learnt anything: its share of the line.
        centres = (torch.arange(positions, dtype=torch.float32) + 0.5) / positions
        self.centres = nn.Parameter(centres)
        self.sharpness = nn.Parameter(torch.full((positions,), float(positions)))
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.empty(positions, width, classes))
        self.bias = nn.Parameter(torch.zeros(positions, classes))
        nn.init.normal_(self.weight, std=1 / math.sqrt(width))

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return `logits`, (N, positions, classes), and `attention`, (N, positions, T)."""
        columns = self.columns(self.reduce(features))
        context = self.context(columns)
        count = columns.shape[2]
        ones = torch.ones_like(columns[:1, 0])
        where = ((torch.cumsum(ones, dim=1) - 0.5) / count).float()
        distance = (where - self.centres[:, None]) * self.sharpness[:, None]
        scores = self.look(context).float() - distance.square()
        attention = scores.softmax(dim=2)
        seen = torch.einsum("npt,nct->npc", attention.to(columns.dtype), context)
        logits = torch.einsum("npc,pck->npk", self.dropout(seen), self.weight.to(seen.dtype))
        logits = at_least_float32(logits) + self.bias
        return {"logits": logits, "attention": attention}
