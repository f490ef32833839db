"""The sections of the recipe except training: keys with type, default, bounds and help.

A value of None or `auto` is chosen from the data, unless `About.none` says what it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, final

from foveal.settings import About, Knob

Layout: TypeAlias = Literal[
    "auto",
    "table",
    "metadata",
    "text",
    "arrays",
    "folders",
    "parquet",
    "names",
    "files",
    "masks",
    "polygons",
]


@final
@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Reading of the data."""

    layout: Annotated[Layout, About("How the data is laid out.")] = "auto"
    group_regex: Annotated[
        str | None,
        About(
            "Regular expression for file names; what its first group matches (a writer, a "
            "patient) stays on one side of the split.",
            none="no groups",
        ),
    ] = None
    label_regex: Annotated[
        str | None,
        About(
            "Regular expression that finds the label in a file name: its group `text`, or else "
            "its first.",
            none="the layout's",
        ),
        Knob(metavar="REGEX"),
    ] = None
    label_column: Annotated[
        str | None,
        About("Column of a table that holds the labels.", none="found by its name"),
    ] = None
    sample: Annotated[
        int | None,
        About(
            "Take about this many of the pictures, at least one of each label, drawn by the seed.",
            none="all",
            ge=1,
        ),
    ] = None
    max_pixels: Annotated[int, About("Larger pictures are not decoded, but reported.", ge=1)] = (
        50_000_000
    )
    max_bytes: Annotated[int, About("Larger files are not decoded, but reported.", ge=1)] = (
        100_000_000
    )
    fresh_every: Annotated[
        int,
        About(
            "Generated data (`synth:KIND`): epochs before new pictures are drawn; 0 keeps the "
            "first ones.",
            ge=0,
        ),
    ] = 2
    focus: Annotated[
        float,
        About(
            "Generated captchas: share of the characters that is taken from those that the model "
            "confused; 0 for none.",
            ge=0,
            lt=1,
        ),
    ] = 0.5
    near_duplicate_distance: Annotated[
        int,
        About(
            "Pictures whose 64-bit perceptual hashes differ in at most this many bits stay on "
            "one side of the split.",
            ge=0,
            le=16,
        ),
    ] = 2


@final
@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Split of the samples, if the data do not define one."""

    val_share: Annotated[float, About("Share of the samples for validation.", gt=0, lt=1)] = 0.15
    test_share: Annotated[
        float, About("Share of the samples that is kept for testing.", ge=0, lt=1)
    ] = 0.0


@final
@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """Pre-processing; see `foveal.pipeline.Pipeline`."""

    image_size: Annotated[
        int | None,
        About(
            "Model input in pixels: side of the square (classify) or of a tile (segment), height "
            "of a line (read).",
            ge=8,
            le=4096,
        ),
        Knob(("--image-size", "--imgsz"), "PX"),
    ] = None
    height: Annotated[int | None, About("Height of the model input in pixels.", ge=8, le=4096)] = (
        None
    )
    width: Annotated[
        int | None,
        About(
            "Width of the model input in pixels; with `fit: line` the largest that is accepted.",
            ge=8,
            le=32768,
        ),
    ] = None
    fit: Annotated[
        Literal["pad", "stretch", "crop", "line", "tile"] | None,
        About(
            "How a picture becomes the model input; `line` scales to the height and keeps the "
            "width free, `tile` cuts pictures of any size into overlapping tiles."
        ),
    ] = None
    steps: Annotated[
        tuple[str, ...] | None,
        About("Page clean-up before everything else, as for `foveal preprocess`."),
    ] = None
    pad_color: Annotated[
        tuple[int, int, int] | None,
        About("RGB colour of the padding; chosen is the median colour of the borders."),
    ] = None
    scale: Annotated[
        float,
        About(
            "With `fit: tile`: pixels of the model input for each pixel of the picture.", gt=0, le=1
        ),
    ] = 1.0
    overlap: Annotated[
        float,
        About(
            "With `fit: tile`: share of a tile's side that the next tile covers too.", ge=0, le=0.75
        ),
    ] = 0.25
    flips: Annotated[
        Literal["none", "horizontal", "all"],
        About(
            "With `fit: tile`: also answer each tile mirrored (`horizontal`), or in all four "
            "orientations (`all`), and average; takes two or four times as long."
        ),
    ] = "none"


@final
@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network."""

    backbone: Annotated[
        str,
        About(
            "Backbone, several joined by commas, or your own as package.module:make; see `foveal "
            "models`."
        ),
        Knob(metavar="NAME[,NAME]"),
    ] = "auto"
    pretrained: Annotated[
        bool, About("Start from pretrained weights where the backbone has any.")
    ] = True
    allow_download: Annotated[
        bool, About("Download pretrained weights that are not on this machine."), Knob()
    ] = False
    hidden: Annotated[
        int | None,
        About("Channels of the hidden layer of the classifier; 0 for a linear one.", ge=0, le=4096),
    ] = None
    dropout: Annotated[
        float | None,
        About("Share of the head's inputs that is dropped in training.", ge=0, lt=1),
    ] = None


@final
@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Evaluation after training, and the certainty required of an answer."""

    batch_size: Annotated[int, About("Pictures answered together.", ge=1)] = 32
    unsure_accuracy: Annotated[
        float,
        About(
            "Accuracy that answers not marked `unsure` shall be shown to have on validation. "
            "Where it cannot be shown, the most that can is promised, 0.8 or more.",
            gt=0,
            lt=1,
        ),
    ] = 0.99
    remember_pictures: Annotated[
        bool,
        About(
            "Keep two hashes (16 bytes) of each training picture in the bundle, so that an "
            "evaluation can say which pictures were trained on.",
        ),
    ] = True
    bootstrap: Annotated[int, About("Resamples behind the 95 % intervals.", ge=100)] = 1000
