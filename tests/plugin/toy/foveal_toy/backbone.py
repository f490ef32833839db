"""A backbone of two convolutions."""

from torch import Tensor, nn

from foveal.models.backbone import Backbone, BackboneSpec, WeightSource

_CHANNELS = (16, 32)


class ToyNet(Backbone):
    """Each convolution halves the size."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            )
            for before, after in zip((3, *_CHANNELS), _CHANNELS, strict=False)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps: list[Tensor] = []
        for stage in self.stages:
            maps.append(stage(maps[-1] if maps else images))
        return tuple(maps)


def _build(weights: WeightSource) -> Backbone:
    return ToyNet()


TOY_NET = BackboneSpec(
    name="toy_net",
    build=_build,
    channels=_CHANNELS,
    strides=(2, 4),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    paper="none",
    licence="Apache-2.0",
    pretrained=False,
    default_size=32,
)
