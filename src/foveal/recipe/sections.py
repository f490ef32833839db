"""The sections of the recipe: every key with its type, default, bounds and one line of help.

A value of None or `auto` means "chosen from the data" unless its help says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, final

from annotated_types import Interval

from foveal.settings import Help, Knob, Section

Layout: TypeAlias = Literal[
    "auto", "table", "text", "arrays", "folders", "names", "files", "masks", "polygons"
]
Strategy: TypeAlias = Literal["auto", "frozen", "staged", "full", "scratch"]

_SHARE = Interval(ge=0, le=1)


@final
@dataclass(frozen=True, kw_only=True)
class DataOptions(Section):
    """How the data is read."""

    layout: Annotated[Layout, Help("How the data is laid out.")] = "auto"
    group_regex: Annotated[
        str | None,
        Help(
            "Regular expression for file names; what its first group matches (a writer, a patient) "
            "stays on one side of the split. None: no groups."
        ),
    ] = None
    label_regex: Annotated[
        str | None,
        Help(
            "Regular expression that finds the label in a file name: its group `text`, or else "
            "its first."
        ),
        Knob(metavar="REGEX"),
    ] = None
    max_pixels: Annotated[
        int, Interval(ge=1), Help("Larger pictures are not decoded, but reported.")
    ] = 50_000_000
    max_bytes: Annotated[
        int, Interval(ge=1), Help("Larger files are not decoded, but reported.")
    ] = 100_000_000
    fresh_every: Annotated[
        int,
        Interval(ge=0),
        Help(
            "Generated data (`synth:KIND`): epochs before new pictures are drawn; 0 keeps the "
            "first ones."
        ),
    ] = 2
    focus: Annotated[
        float,
        Interval(ge=0, lt=1),
        Help(
            "Generated captchas: share of the characters that is taken from those that the model "
            "confused; 0 for none."
        ),
    ] = 0.5
    near_duplicate_distance: Annotated[
        int,
        Interval(ge=0, le=16),
        Help(
            "Pictures whose 64-bit perceptual hashes differ in at most this many bits stay on one "
            "side of the split."
        ),
    ] = 2


@final
@dataclass(frozen=True, kw_only=True)
class SplitOptions(Section):
    """How samples are divided when the data does not say."""

    val_share: Annotated[
        float, Interval(gt=0, lt=1), Help("Share of the samples for validation.")
    ] = 0.15
    test_share: Annotated[
        float, Interval(ge=0, lt=1), Help("Share of the samples that is kept for testing.")
    ] = 0.0


@final
@dataclass(frozen=True, kw_only=True)
class PipelineOptions(Section):
    """Pre-processing; see `foveal.pipeline.Pipeline`."""

    image_size: Annotated[
        int | None,
        Interval(ge=8, le=4096),
        Help(
            "Model input in pixels: side of the square (classify) or of a tile (segment), "
            "height of a line (read)."
        ),
        Knob(("--image-size", "--imgsz"), "PX"),
    ] = None
    height: Annotated[
        int | None, Interval(ge=8, le=4096), Help("Height of the model input in pixels.")
    ] = None
    width: Annotated[
        int | None,
        Interval(ge=8, le=32768),
        Help("Width of the model input in pixels; with `fit: line` the largest that is accepted."),
    ] = None
    fit: Annotated[
        Literal["pad", "stretch", "crop", "line", "tile"] | None,
        Help(
            "How a picture becomes the model input; `line` scales to the height and keeps the "
            "width free, `tile` cuts pictures of any size into overlapping tiles."
        ),
    ] = None
    steps: Annotated[
        tuple[str, ...] | None,
        Help("Page clean-up before everything else, as for `foveal preprocess`."),
    ] = None
    pad_color: Annotated[
        tuple[int, int, int] | None,
        Help("RGB colour of the padding; None takes the median colour of the borders."),
    ] = None
    scale: Annotated[
        float,
        Interval(gt=0, le=1),
        Help("With `fit: tile`: pixels of the model input for each pixel of the picture."),
    ] = 1.0
    overlap: Annotated[
        float,
        Interval(ge=0, le=0.75),
        Help("With `fit: tile`: share of a tile's side that the next tile covers too."),
    ] = 0.25
    flips: Annotated[
        Literal["none", "horizontal", "all"],
        Help(
            "With `fit: tile`: also answer each tile mirrored (`horizontal`), or in all four "
            "orientations (`all`), and average; takes two or four times as long."
        ),
    ] = "none"


@final
@dataclass(frozen=True, kw_only=True)
class AugmentOptions(Section):
    """Augmentation of training pictures, on whole batches."""

    enabled: Annotated[
        bool | None, Help("Whether training pictures are augmented; None leaves it to the task.")
    ] = None
    rotation: Annotated[
        float, Interval(ge=0, le=180), Help("Degrees, drawn from [-rotation, rotation].")
    ] = 10.0
    zoom: Annotated[
        float, Interval(ge=0, lt=1), Help("Scale, drawn from [1 - zoom, 1 + zoom].")
    ] = 0.1
    shear: Annotated[float, Interval(ge=0, le=45), Help("Degrees, drawn from [-shear, shear].")] = (
        5.0
    )
    shift: Annotated[
        float, Interval(ge=0, le=0.5), Help("Share of the side, drawn from [-shift, shift].")
    ] = 0.06
    flip_horizontal: Annotated[bool | None, Help("Mirror half of the pictures left to right.")] = (
        None
    )
    flip_vertical: Annotated[bool, Help("Mirror half of the pictures top to bottom.")] = False
    brightness: Annotated[
        float, _SHARE, Help("Brightness factor, drawn from [1 - brightness, 1 + brightness].")
    ] = 0.15
    contrast: Annotated[
        float, _SHARE, Help("Contrast factor, drawn from [1 - contrast, 1 + contrast].")
    ] = 0.15
    color: Annotated[
        float, _SHARE, Help("Saturation factor, drawn from [1 - color, 1 + color].")
    ] = 0.1
    blur: Annotated[
        float, _SHARE, Help("Share of the batches that is blurred (Gaussian, 3 or 5 pixels).")
    ] = 0.0
    noise: Annotated[
        float,
        Interval(ge=0, le=0.5),
        Help("Standard deviation of Gaussian noise, as a share of the range of values."),
    ] = 0.0
    erasing: Annotated[
        float, _SHARE, Help("Share of the pictures in which a random rectangle is erased.")
    ] = 0.0

    @property
    def is_on(self) -> bool:
        """Whether pictures are changed: unless it was switched off."""
        return self.enabled is not False


@final
@dataclass(frozen=True, kw_only=True)
class ModelOptions(Section):
    """The network."""

    backbone: Annotated[
        str,
        Help("Backbone, or several joined by commas; see `foveal models`."),
        Knob(metavar="NAME[,NAME]"),
    ] = "auto"
    pretrained: Annotated[
        bool, Help("Start from pretrained weights where the backbone has any.")
    ] = True
    allow_download: Annotated[
        bool, Help("Download pretrained weights that are not on this machine."), Knob()
    ] = False
    hidden: Annotated[
        int | None,
        Interval(ge=0, le=4096),
        Help("Channels of the hidden layer of the classifier; 0 for a linear one."),
    ] = None
    dropout: Annotated[
        float | None,
        Interval(ge=0, lt=1),
        Help("Share of the head's inputs that is dropped in training."),
    ] = None


@final
@dataclass(frozen=True, kw_only=True)
class TrainOptions(Section):
    """The training loop."""

    strategy: Annotated[
        Strategy,
        Help(
            "Train the head only (frozen), the head and then everything (staged), everything "
            "(full), or everything from random weights (scratch)."
        ),
        Knob(metavar="WAY"),
    ] = "auto"
    epochs: Annotated[
        int | None,
        Interval(ge=1),
        Help("Epochs of training the whole network."),
        Knob(metavar="N"),
    ] = None
    head_epochs: Annotated[
        int | None,
        Interval(ge=1),
        Help("Epochs of the head on the frozen backbone (frozen and staged)."),
    ] = None
    batch_size: Annotated[
        int | None,
        Interval(ge=1),
        Help("Pictures in a training step."),
        Knob(("--batch-size", "--batch"), "N"),
    ] = None
    optimizer: Annotated[Literal["adamw", "sgd"], Help("Optimizer.")] = "adamw"
    lr: Annotated[
        float | None,
        Interval(gt=0),
        Help("Peak learning rate; also the head's, unless train.head_lr is given."),
        Knob(metavar="RATE"),
    ] = None
    feature_views: Annotated[
        int,
        Interval(ge=1, le=32),
        Help(
            "Views of each training picture whose features are cached for the head: the first as "
            "it is, the others augmented."
        ),
    ] = 2
    head_is_enough: Annotated[
        float,
        Interval(gt=0),
        Help(
            "With `staged`: skip fine-tuning when the head alone reaches this value of the primary "
            "metric on validation; above 1 never skips."
        ),
    ] = 0.97
    head_lr: Annotated[
        float | None,
        Interval(gt=0),
        Help("Peak learning rate of the head on the frozen backbone (frozen and staged)."),
    ] = None
    weight_decay: Annotated[float, Interval(ge=0), Help("Weight decay.")] = 0.02
    momentum: Annotated[float, Interval(ge=0, lt=1), Help("Momentum of `sgd`.")] = 0.9
    schedule: Annotated[
        Literal["one_cycle", "steps", "plateau", "constant"],
        Help(
            "How the learning rate changes; `steps` is the full rate for two thirds of a stage, "
            "then a tenth of it."
        ),
    ] = "one_cycle"
    label_smoothing: Annotated[
        float, Interval(ge=0, lt=1), Help("Share of each target that goes to the other labels.")
    ] = 0.05
    mixup: Annotated[
        float, Interval(ge=0), Help("Alpha of the Beta distribution of MixUp; 0 is off.")
    ] = 0.0
    ema: Annotated[
        float | None,
        Interval(gt=0, lt=1),
        Help("Decay of the exponential moving average of the weights; None is off."),
    ] = None
    balance: Annotated[
        Literal["none", "weights", "sampling"],
        Help("Give rare labels larger losses (weights), or show them more often (sampling)."),
    ] = "none"
    foreground: Annotated[
        float,
        _SHARE,
        Help(
            "With `fit: tile`: share of the crops that is centred on a pixel of a class other than "
            "the most frequent one."
        ),
    ] = 0.5
    patience: Annotated[
        int | None,
        Interval(ge=1),
        Help("Stop early after this many epochs without improvement."),
        Knob(metavar="N"),
    ] = None
    budget_s: Annotated[
        float | None,
        Interval(gt=0),
        Help("Time limit of the training; the learning rates are planned for it."),
        Knob(("--budget",), "10m"),
    ] = None
    augment: AugmentOptions = AugmentOptions()
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "bf16_head"],
        Help("Number format of forward passes; `bf16_head` is bf16 for the head alone."),
    ] = "auto"
    device: Annotated[
        str, Help("Where to train: auto, cpu, cuda, cuda:1, mps."), Knob(metavar="DEVICE")
    ] = "auto"
    compile: Annotated[
        bool | None,
        Help("Compile the network; None compiles for CUDA runs that are long enough."),
    ] = None


@final
@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Section):
    """What is measured after training, and how certain an answer must be."""

    batch_size: Annotated[int, Interval(ge=1), Help("Pictures answered together.")] = 32
    unsure_accuracy: Annotated[
        float,
        Interval(gt=0, lt=1),
        Help("Accuracy that answers not marked `unsure` reach on validation."),
    ] = 0.99
    bootstrap: Annotated[int, Interval(ge=100), Help("Resamples behind the 95 % intervals.")] = 1000
