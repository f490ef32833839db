"""The types that all modules share. They contain no logic beyond geometry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import TargetError, unknown_name

Image: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB."""

Mask: TypeAlias = NDArray[np.uint8]
"""(H, W) uint8: the position of each pixel's class, or `IGNORED`."""

Numbers: TypeAlias = NDArray[np.int32]
"""(H, W) int32: the number of the object that each pixel is of, from 1; 0 for none."""

IGNORED = 255
"""In a mask: nobody says what is there; neither trained on nor measured."""

BACKGROUND = "background"
"""In a mask: the label of what is not looked for; it counts in no mean over labels."""

Outputs: TypeAlias = Mapping[str, NDArray[np.float32]]
"""What a network gives for a batch: name → array whose first axis is the batch."""

UNFAMILIARITY = "unfamiliarity"
"""Name of the output that says how unlike the training pictures an input is: (N,) float32, from 0
on; above 1 it is unfamiliar."""

JsonObject: TypeAlias = dict[str, Any]

SplitName: TypeAlias = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")

Severity: TypeAlias = Literal["error", "warning", "info"]

RawTarget: TypeAlias = tuple[str, ...]
"""A target as a reader found it: class names (several for multi-label), a text, or a mask path."""


class Raster(Protocol):
    """A picture that is read in parts, so that it never has to fit into memory."""

    @property
    def height(self) -> int:
        """Return the height in pixels."""

    @property
    def width(self) -> int:
        """Return the width in pixels."""

    def read(self, top: int, left: int, height: int, width: int) -> Image:
        """Return a region inside the picture, (height, width, 3) uint8 RGB.

        May be called from several threads. The array may be a view and must not be changed.

        Raises:
            ImageError: If that region is damaged.
        """


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, upright.

    Attributes:
        pixels: (H, W, 3) uint8 RGB. May be smaller than the original: decoders may use a
            reduced scale when the pipeline needs far fewer pixels.
        height: Height of the original after its EXIF orientation, in pixels.
        width: Width of the original after its EXIF orientation, in pixels.
    """

    pixels: Image = field(repr=False)
    height: int
    width: int

    @classmethod
    def from_array(cls, pixels: Image) -> Picture:
        """Wrap an (H, W, 3) uint8 RGB array that is its own original."""
        return cls(pixels=pixels, height=int(pixels.shape[0]), width=int(pixels.shape[1]))

    def read(self, top: int, left: int, height: int, width: int) -> Image:
        """Return a region; see `Raster`. Only for pictures that were decoded at full scale."""
        if self.pixels.shape[:2] != (self.height, self.width):
            raise ValueError("the picture was decoded at a reduced scale")
        return self.pixels[top : top + height, left : left + width]


@dataclass(frozen=True, slots=True)
class Labels:
    """The ordered class names (or the alphabet) of a task."""

    names: tuple[str, ...]
    _index: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the reverse index."""
        object.__setattr__(self, "_index", {name: i for i, name in enumerate(self.names)})

    @classmethod
    def of(cls, names: Iterable[str]) -> Labels:
        """Return the distinct labels in sorted order."""
        return cls(tuple(sorted(set(names))))

    def index(self, name: str) -> int | None:
        """Return the position of `name`, or None if it is not a label."""
        return self._index.get(name)

    def position(self, name: str) -> int:
        """Return the position of `name`.

        Raises:
            TargetError: If it is not a label; the message suggests the closest one.
        """
        index = self.index(name)
        if index is None:
            raise TargetError(unknown_name("label", name, self.names))
        return index

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self.names)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, element type and shape of a tensor; None stands for an axis of any length."""

    name: str
    dtype: Literal["uint8", "float32"]
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A box cut out of a picture, and its position in the strip made of such boxes.

    Attributes:
        x0: Left edge in the original, in pixels.
        y0: Top edge in the original.
        x1: Right edge in the original, end open.
        y1: Bottom edge in the original, end open.
        x: Left edge in the strip, in strip pixels.
        y: Top edge in the strip.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Frame:
    """The position of a picture in the model input: input = content * scale + offset.

    The content is the original itself, or the strip of pieces that page pre-processing joined.

    Attributes:
        original: (height, width) of the original picture, in pixels.
        input: (height, width) of the model input, in pixels.
        scale: (y, x), in model-input pixels per content pixel.
        offset: (top, left) of the content's corner in model-input pixels; negative when cropped.
        strip: (height, width) of the strip, in pixels at the scale of the original, or None.
        pieces: The pieces of the strip from left to right; empty without a strip.
    """

    original: tuple[int, int]
    input: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]
    strip: tuple[int, int] | None = None
    pieces: tuple[Piece, ...] = ()

    @property
    def content(self) -> tuple[int, int]:
        """Return (height, width) of the content."""
        return self.strip or self.original

    def box_in_input(self) -> tuple[float, float, float, float]:
        """Return `x0, y0, x1, y1` of the content inside the model input (may reach outside)."""
        top, left = self.offset
        height, width = self.content
        return left, top, left + width * self.scale[1], top + height * self.scale[0]

    def to_content(self, y: float, x: float) -> tuple[float, float]:
        """Map a point from model-input pixels to content pixels."""
        return (y - self.offset[0]) / self.scale[0], (x - self.offset[1]) / self.scale[1]

    def to_original(self, y: float, x: float) -> tuple[float, float]:
        """Map a point from model-input pixels to original pixels."""
        row, column = self.to_content(y, x)
        if not self.pieces:
            return row, column
        # Between two pieces the point belongs to the one on its left.
        piece = self.pieces[0]
        for later in self.pieces[1:]:
            if later.x > column:
                break
            piece = later
        return row - piece.y + piece.y0, min(column - piece.x + piece.x0, float(piece.x1))

    def for_copy(self, height: int, width: int) -> Frame:
        """Return the frame of the same model input for a copy of the picture of another size."""
        if (height, width) == self.original:
            return self
        sy, sx = height / self.original[0], width / self.original[1]
        pieces = tuple(
            Piece(
                round(p.x0 * sx),
                round(p.y0 * sy),
                round(p.x1 * sx),
                round(p.y1 * sy),
                round(p.x * sx),
                round(p.y * sy),
            )
            for p in self.pieces
        )
        strip = self.strip and (
            max(1, round(self.strip[0] * sy)),
            max(1, round(self.strip[1] * sx)),
        )
        scale = (self.scale[0] / sy, self.scale[1] / sx)
        return Frame((height, width), self.input, scale, self.offset, strip, pieces)


NEVER_SURE = 2.0
"""A limit that no confidence reaches: every answer is `unsure`."""

MOST_OFFSET = 4.0
"""Largest offset of a label, up or down: odds of 55 to 1."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Parameters of the calibration, fitted on the validation split and stored in the bundle.

    Attributes:
        temperature: Logits are divided by it before softmax or sigmoid; > 0.
        unsure_below: Answers with a confidence below this are `unsure`; in [0, 1], or `NEVER_SURE`.
        thresholds: Per-label decision thresholds (multi-label only), else empty.
        stated_accuracy: Accuracy on validation among answers that are not unsure, or None.
        coverage: Share of validation pictures that are not unsure, or None.
        smallest: Per-label area in original pixels (masks only): smaller patches take the label
            that surrounds them. Empty for none.
        holes: Per-label area in original pixels (masks only): smaller holes in a label's patches
            are filled. Empty for none.
        shown_accuracy: Lower 95 % confidence bound of the accuracy among answers that are not
            unsure, on pictures like those of the validation split; None if nothing is guaranteed,
            and in bundles from before this was tested.
        wanted_accuracy: The accuracy that was asked for, or None.
        pictures: Number of validation pictures that the limit is based on, or None.
        not_usable: Why every answer is unsure, as a sentence; None if the limit is usable.
        offsets: Per-label log odds (masks only) that are added to the scaled logits before the
            label of a pixel is chosen; they do not change the probabilities. Empty for none.
        cores: Per-label area in original pixels (masks whose objects are told apart only): smaller
            cores make no object. Empty for none.
    """

    temperature: float = 1.0
    unsure_below: float = 0.0
    thresholds: tuple[float, ...] = ()
    stated_accuracy: float | None = None
    coverage: float | None = None
    smallest: tuple[int, ...] = ()
    holes: tuple[int, ...] = ()
    shown_accuracy: float | None = None
    wanted_accuracy: float | None = None
    pictures: int | None = None
    not_usable: str | None = None
    offsets: tuple[float, ...] = ()
    cores: tuple[int, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Suspect:
    """A suspicious sample found by a check, for `foveal review` and `foveal clean`.

    Attributes:
        sample: Id of the sample.
        score: How suspicious the sample is, in [0, 1]; comparable within one finding.
        label: Suggested label (or text) in place of the sample's own; None for no suggestion.
        like: Ids of pictures to compare it with, such as its duplicates.
    """

    sample: str
    score: float
    label: str | None = None
    like: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "sample": self.sample,
            "score": round(self.score, 6),
            "label": self.label,
            "like": list(self.like),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote.

        Raises:
            KeyError: If a key is missing.
        """
        return cls(value["sample"], value["score"], value["label"], tuple(value["like"]))


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about the data.

    Attributes:
        id: Dotted id of the check, e.g. `images.unreadable`.
        severity: `error` stops training, `warning` may cost accuracy, `info` is good to know.
        message: One sentence that states the count.
        samples: Ids of at most 20 affected samples.
        count: Number of all affected samples.
        hint: What to do about it.
        method: How it was found, with the threshold; None if the message says so.
        suspects: All samples to review one by one, most suspicious first.
    """

    id: str
    severity: Severity
    message: str
    samples: tuple[str, ...] = ()
    count: int = 0
    hint: str | None = None
    method: str | None = None
    suspects: tuple[Suspect, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the fields except `suspects` as JSON values."""
        return {
            "id": self.id,
            "severity": self.severity,
            "message": self.message,
            "count": self.count,
            "samples": list(self.samples),
            "hint": self.hint,
            "method": self.method,
        }
