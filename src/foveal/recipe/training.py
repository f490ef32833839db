"""The recipe's section of the training loop and its augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias, final

from foveal.settings import About, Knob

Strategy: TypeAlias = Literal["auto", "frozen", "staged", "full", "scratch"]


@final
@dataclass(frozen=True, kw_only=True)
class AugmentOptions:
    """Augmentation of training pictures, on whole batches."""

    enabled: Annotated[bool | None, About("Whether training pictures are augmented.")] = None
    share: Annotated[
        float,
        About("Share of the pictures that are changed; the others stay as they are.", ge=0, le=1),
    ] = 1.0
    rotation: Annotated[
        float, About("Degrees, drawn from [-rotation, rotation].", ge=0, le=180)
    ] = 10.0
    zoom: Annotated[float, About("Scale, drawn from [1 - zoom, 1 + zoom].", ge=0, lt=1)] = 0.1
    shear: Annotated[float, About("Degrees, drawn from [-shear, shear].", ge=0, le=45)] = 5.0
    shift: Annotated[
        float, About("Share of the side, drawn from [-shift, shift].", ge=0, le=0.5)
    ] = 0.06
    stretch: Annotated[
        float,
        About(
            "Narrow or flatten half of the pictures, down to 1 / (1 + stretch) of their size.",
            ge=0,
            le=2,
        ),
    ] = 0.0
    shrink: Annotated[
        float,
        About(
            "Shrink half of the pictures, down to 1 / (1 + shrink) of their size, and place them "
            "anywhere in the frame.",
            ge=0,
            le=4,
        ),
    ] = 0.0
    flip_horizontal: Annotated[bool | None, About("Mirror half of the pictures left to right.")] = (
        None
    )
    flip_vertical: Annotated[bool, About("Mirror half of the pictures top to bottom.")] = False
    brightness: Annotated[
        float, About("Brightness factor, drawn from [1 - brightness, 1 + brightness].", ge=0, le=1)
    ] = 0.15
    contrast: Annotated[
        float, About("Contrast factor, drawn from [1 - contrast, 1 + contrast].", ge=0, le=1)
    ] = 0.15
    color: Annotated[
        float, About("Saturation factor, drawn from [1 - color, 1 + color].", ge=0, le=1)
    ] = 0.1
    tint: Annotated[
        float, About("Factor of each colour, drawn from [1 - tint, 1 + tint].", ge=0, le=1)
    ] = 0.0
    fade: Annotated[
        float,
        About(
            "Share by which pixels move towards the padding colour, drawn from [0, fade].",
            ge=0,
            le=1,
        ),
    ] = 0.0
    invert: Annotated[
        float, About("Share of the pictures whose colours are inverted.", ge=0, le=1)
    ] = 0.0
    stroke: Annotated[
        float,
        About(
            "Pixels by which dark parts grow or shrink, drawn from [-stroke, stroke].", ge=0, le=4
        ),
    ] = 0.0
    bolder: Annotated[
        float,
        About(
            "Pixels by which dark parts of half of the pictures grow, drawn from [0, bolder].",
            ge=0,
            le=4,
        ),
    ] = 0.0
    ink_color: Annotated[
        float,
        About(
            "How strongly the ink of half of the pictures is coloured: share of the difference "
            "from the padding colour that is taken away, drawn from [0, ink_color] for each "
            "of red, green and blue.",
            ge=0,
            le=1,
        ),
    ] = 0.0
    shade: Annotated[
        float,
        About("Share of the light that is missing on one side, drawn from [0, shade].", ge=0, le=1),
    ] = 0.0
    lines: Annotated[
        float,
        About(
            "Share of the pictures with parallel lines drawn across them, as on ruled paper.",
            ge=0,
            le=1,
        ),
    ] = 0.0
    elastic: Annotated[
        float,
        About(
            "With `fit: tile`: pixels by which the points of a grid are moved, drawn from "
            "[-elastic, elastic]; the displacement between them is interpolated.",
            ge=0,
            le=32,
        ),
    ] = 0.0
    stain: Annotated[
        float,
        About(
            "Factor of each stain (haematoxylin, eosin and the remainder) in pictures of tissue, "
            "drawn from [1 - stain, 1 + stain].",
            ge=0,
            le=1,
        ),
    ] = 0.0
    blur: Annotated[
        float,
        About("Share of the pictures that are blurred (Gaussian, 3 or 5 pixels).", ge=0, le=1),
    ] = 0.0
    noise: Annotated[
        float,
        About(
            "Standard deviation of Gaussian noise, as a share of the range of values.", ge=0, le=0.5
        ),
    ] = 0.0
    erasing: Annotated[
        float, About("Share of the pictures in which a random rectangle is erased.", ge=0, le=1)
    ] = 0.0

    @property
    def is_on(self) -> bool:
        """Whether pictures are changed: unless it was switched off."""
        return self.enabled is not False


# Of epochs, by quality.
_PASSES: Mapping[str, float] = MappingProxyType({"fast": 1 / 3, "good": 1.0, "best": 2.0})


@final
@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The training loop."""

    strategy: Annotated[
        Strategy,
        About(
            "Train the head only (frozen), the head and then everything (staged), everything "
            "(full), or everything from random weights (scratch)."
        ),
        Knob(metavar="WAY"),
    ] = "auto"
    quality: Annotated[
        Literal["fast", "good", "best"],
        About(
            "How thoroughly to train, where other settings leave it open: `fast` (a first answer), "
            "`good`, or `best` (everything, for twice the epochs, on larger pictures)."
        ),
        Knob(metavar="QUALITY"),
    ] = "good"
    epochs: Annotated[
        int | None,
        About("Epochs for the whole network, or for the head if the backbone stays frozen.", ge=1),
        Knob(metavar="N"),
    ] = None
    head_epochs: Annotated[
        int | None,
        About("Epochs for the head on the frozen backbone (frozen and staged).", ge=1),
    ] = None
    batch_size: Annotated[
        int | None,
        About("Pictures per training step.", ge=1),
        Knob(("--batch-size", "--batch"), "N"),
    ] = None
    optimizer: Annotated[Literal["adamw", "sgd"], About("Optimizer.")] = "adamw"
    lr: Annotated[
        float | None,
        About("Peak learning rate; also the head's, unless train.head_lr is given.", gt=0),
        Knob(metavar="RATE"),
    ] = None
    feature_views: Annotated[
        int,
        About(
            "Views of each training picture whose features are cached for the head: the first "
            "unchanged, the others augmented.",
            ge=1,
            le=32,
        ),
    ] = 2
    head_is_enough: Annotated[
        float,
        About(
            "With `staged`: skip fine-tuning when the head alone reaches this value of the "
            "primary metric on validation (with folds: on the first one); above 1 never skips.",
            gt=0,
        ),
    ] = 0.97
    blend: Annotated[
        bool,
        About(
            "With `staged`: after fine-tuning, keep the weights of the least validation loss on "
            "the line from those before it to those after it; by default for classifiers."
        ),
    ] = False
    keep_statistics: Annotated[
        bool,
        About(
            "Keep the statistics of the backbone's batch normalisation instead of following those "
            "of the training pictures; by default for classifiers that are fine-tuned."
        ),
    ] = False
    frozen_stages: Annotated[
        int,
        About(
            "Feature maps of the backbone, the finest first, whose layers keep their pretrained "
            "weights while the others are fine-tuned; by default for classifiers.",
            ge=0,
        ),
    ] = 0
    head_solver: Annotated[
        Literal["steps", "lbfgs"],
        About(
            "How to fit the head on the frozen backbone: by epochs of gradient steps, or by "
            "L-BFGS until convergence, with the L2 penalty chosen by cross-validation."
        ),
    ] = "steps"
    head_lr: Annotated[
        float | None,
        About("Peak learning rate of the head on the frozen backbone (frozen and staged).", gt=0),
    ] = None
    weight_decay: Annotated[float, About("Weight decay.", ge=0)] = 0.02
    momentum: Annotated[float, About("Momentum of `sgd`.", ge=0, lt=1)] = 0.9
    beta1: Annotated[
        float, About("Decay of the running mean of the gradients (`adamw`).", ge=0, lt=1)
    ] = 0.9
    beta2: Annotated[
        float, About("Decay of the running mean of the squared gradients (`adamw`).", ge=0, lt=1)
    ] = 0.999
    schedule: Annotated[
        Literal["one_cycle", "steps", "plateau", "constant"],
        About(
            "Learning-rate schedule; `steps` is the full rate for two thirds of a stage, then a "
            "tenth of it."
        ),
    ] = "one_cycle"
    label_smoothing: Annotated[
        float,
        About(
            "Label smoothing: share of each target that is spread over the other labels.",
            ge=0,
            lt=1,
        ),
    ] = 0.05
    mixup: Annotated[float, About("Alpha of the Beta distribution of MixUp; 0 is off.", ge=0)] = 0.0
    ema: Annotated[
        float | None,
        About("Decay of the exponential moving average of the weights.", gt=0, lt=1, none="off"),
    ] = None
    balance: Annotated[
        Literal["none", "weights", "sampling"],
        About(
            "How to balance the labels: larger losses for rare ones (weights), or "
            "more frequent samples (sampling)."
        ),
    ] = "none"
    foreground: Annotated[
        float,
        About(
            "With `fit: tile`: share of the crops that are centred on a pixel of a class other "
            "than the most frequent one.",
            ge=0,
            le=1,
        ),
    ] = 0.5
    folds: Annotated[
        int | None,
        About(
            "Cross-validate in this many folds instead of keeping pictures for validation, and "
            "train the model on all of them.",
            ge=2,
            none="off",
        ),
        Knob(metavar="K"),
    ] = None
    patience: Annotated[
        int | None,
        About("Stop early after this many epochs without improvement.", ge=1, none="never"),
        Knob(metavar="N"),
    ] = None
    budget_s: Annotated[
        float | None,
        About(
            "Time limit for reading and training; the learning-rate schedule fits it.",
            gt=0,
            none="no limit",
        ),
        Knob(("--budget",), "10m"),
    ] = None
    augment: AugmentOptions = AugmentOptions()
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "bf16_head"],
        About("Number format of forward passes; `bf16_head` uses bf16 for the head alone."),
    ] = "auto"
    device: Annotated[
        str, About("Where to train: auto, cpu, cuda, cuda:1, mps."), Knob(metavar="DEVICE")
    ] = "auto"
    devices: Annotated[
        int,
        About(
            "Processes on this machine that train together, each on its share of every batch: on "
            "GPUs of their own, or on a share of the CPU cores.",
            ge=1,
        ),
        Knob(metavar="N"),
    ] = 1
    devices_timeout_s: Annotated[
        float,
        About(
            "With several processes: seconds that one may keep the others waiting before all "
            "restart from the last checkpoint.",
            gt=0,
        ),
    ] = 600.0
    compile: Annotated[
        bool | None,
        About("Compile the network with torch.compile.", none="long runs on CUDA"),
    ] = None

    @property
    def fine_tunes(self) -> bool:
        """Whether pretrained weights of a backbone are trained."""
        return self.strategy in ("staged", "full")

    @property
    def passes(self) -> float:
        """Factor on the number of epochs that would be chosen without `quality`."""
        return _PASSES[self.quality]

    @property
    def quality_note(self) -> str:
        """What the reason for a choice adds where `quality` had a part in it."""
        return "" if self.quality == "good" else f" (train.quality is {self.quality})"
