"""The small CNNs of textbooks and tutorials, as fully convolutional backbones.

They end where the original flattens: the "dense" layer after it becomes a 1x1 convolution in the
head (`BackboneSpec.hidden`), so that the logits stay the mean of an evidence map. What the dense
layer knew about positions is given up, and with it most of its weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from foveal.models.backbone import BACKBONES, Backbone, BackboneSpec, Triple, WeightSource

# Plain [-1, 1]: what these networks were published with or without hardly matters.
_HALF: Triple = (0.5, 0.5, 0.5)


class PlainCnn(Backbone):
    """Blocks of convolution, activation and 2x2 pooling; each block's output is a feature map.

    Args:
        widths: Channels of each block.
        kernel: Side of the convolutions, in pixels.
        activation: Made anew for each block.
        pool: Made anew for each block; halves the size, rounding down.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        kernel: int = 3,
        activation: type[nn.Module] = nn.ReLU,
        pool: type[nn.MaxPool2d] | type[nn.AvgPool2d] = nn.MaxPool2d,
    ) -> None:
        """Build the blocks."""
        super().__init__()
        inputs = (3, *widths[:-1])
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, kernel, padding=kernel // 2), pool(2), activation()
            )
            for before, after in zip(inputs, widths, strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # bias=True: never None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the output of each block."""
        maps: list[Tensor] = []
        features = images
        for block in self.blocks:
            features = block(features)
            maps.append(features)
        return tuple(maps)


def _cnn3(weights: WeightSource) -> Backbone:
    return PlainCnn((32, 64, 128))


def _cnn2(weights: WeightSource) -> Backbone:
    return PlainCnn((32, 32))


def _lenet5(weights: WeightSource) -> Backbone:
    return PlainCnn((6, 16), kernel=5, activation=nn.Tanh, pool=nn.AvgPool2d)


BACKBONES.add(
    "cnn3",
    BackboneSpec(
        name="cnn3",
        build=_cnn3,
        channels=(32, 64, 128),
        strides=(2, 4, 8),
        mean=_HALF,
        std=_HALF,
        paper="the 3-block CNN of many tutorials",
        licence="Apache-2.0",
        pretrained=False,
        default_size=64,
        hidden=128,
        dropout=0.5,
    ),
)
BACKBONES.add(
    "cnn2",
    BackboneSpec(
        name="cnn2",
        build=_cnn2,
        channels=(32, 32),
        strides=(2, 4),
        mean=_HALF,
        std=_HALF,
        paper="the 2-block CNN of many tutorials",
        licence="Apache-2.0",
        pretrained=False,
        default_size=64,
        hidden=128,
        dropout=0.5,
    ),
)
BACKBONES.add(
    "lenet5",
    BackboneSpec(
        name="lenet5",
        build=_lenet5,
        channels=(6, 16),
        strides=(2, 4),
        mean=_HALF,
        std=_HALF,
        paper=(
            "Gradient-Based Learning Applied to Document Recognition, 1998, "
            "https://doi.org/10.1109/5.726791 (colour input, same padding, dense as 1x1)"
        ),
        licence="Apache-2.0",
        pretrained=False,
        default_size=32,
        hidden=120,
        dropout=0.0,
    ),
)
