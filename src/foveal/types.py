"""The few shapes that everything passes round. Holds no logic beyond geometry."""

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
    """A picture that can be read in parts, so that it need not be in memory as a whole."""

    @property
    def height(self) -> int:
        """Return the height in pixels."""

    @property
    def width(self) -> int:
        """Return the width in pixels."""

    def read(self, top: int, left: int, height: int, width: int) -> Image:
        """Return a part that lies wholly inside the picture, (height, width, 3) uint8 RGB.

        May be called from several threads. The array may be a view and must not be changed.

        Raises:
            ImageError: When that part is damaged.
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
        """Return a part; see `Raster`. Only for pictures that were decoded at full scale."""
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
        """Return the labels in sorted order without repetition."""
        return cls(tuple(sorted(set(names))))

    def index(self, name: str) -> int | None:
        """Return the position of `name`, or None when it is not a label."""
        return self._index.get(name)

    def position(self, name: str) -> int:
        """Return the position of `name`.

        Raises:
            TargetError: When it is not a label; names the nearest.
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
    """Name, element type and shape of a tensor; None marks an axis of any length."""

    name: str
    dtype: Literal["uint8", "float32"]
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A box that was cut out of a picture, and where it stands in the strip made of such boxes.

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
    """Where an original picture lies in the model input: input = content * scale + offset.

    The content is the original itself, or the strip of pieces that page pre-processing joined.

    Attributes:
        original: (height, width) of the original picture, in pixels.
        input: (height, width) of the model input, in pixels.
        scale: (y, x) model-input pixels per content pixel.
        offset: (top, left) of the content's corner in model-input pixels; negative when cropped.
        strip: (height, width) of the strip in pixels of the original's scale, or None.
        pieces: What the strip is made of, left to right; empty without a strip.
    """

    original: tuple[int, int]
    input: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]
    strip: tuple[int, int] | None = None
    pieces: tuple[Piece, ...] = ()

    @property
    def content(self) -> tuple[int, int]:
        """Return (height, width) of what was scaled into the model input."""
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
        """Return the frame of the same model input as seen from a copy of another size."""
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
    """How logits become calibrated probabilities; fitted on validation, stored in the bundle.

    Attributes:
        temperature: Logits are divided by it before softmax or sigmoid; > 0.
        unsure_below: Answers with a confidence under this are `unsure`; in [0, 1], or
            `NEVER_SURE`.
        thresholds: Per-label decision thresholds (multi-label only), else empty.
        stated_accuracy: Accuracy on validation among answers that are not unsure, or None.
        coverage: Share of validation pictures that are not unsure, or None.
        smallest: Per-label area in original pixels (masks only): smaller patches are given to
            what surrounds them. Empty for none.
        holes: Per-label area in original pixels (masks only): smaller holes in a label's patches
            are filled. Empty for none.
        shown_accuracy: Least share of the answers that are not unsure which is right on pictures
            like those of validation, at a confidence of 95 %; None where nothing is promised, and
            in bundles from before this was tested.
        wanted_accuracy: The share that was wanted, or None.
        pictures: Number of validation pictures behind the limit, or None.
        not_usable: Why every answer is unsure, as a sentence; None where the limit is of use.
        offsets: Per-label log odds (masks only) that are added to the tempered logits before the
            label of a pixel is chosen; probabilities are without them. Empty for none.
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


@final
@dataclass(frozen=True, slots=True)
class Suspect:
    """A sample that a check doubts, for `foveal review` and `foveal clean`.

    Attributes:
        sample: Id of the sample.
        score: How much it is doubted: in [0, 1], comparable within one finding.
        label: Label (or text) that looks right in place of the sample's own; None for no opinion.
        like: Ids of pictures to look at beside it, such as those that it is a copy of.
    """

    sample: str
    score: float
    label: str | None = None
    like: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return JSON values."""
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
            KeyError: When a key is missing.
        """
        return cls(value["sample"], value["score"], value["label"], tuple(value["like"]))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should know about their data.

    Attributes:
        id: Dotted id of the check, e.g. `images.unreadable`.
        severity: `error` stops training, `warning` may cost accuracy, `info` is good to know.
        message: One sentence with the count in it.
        samples: Ids of some samples concerned (at most 20).
        count: How many samples are concerned in all.
        hint: What to do about it.
        method: How it was found, with the threshold; None where the message says it.
        suspects: All samples that a person should look at one by one, the most doubted first.
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
        """Return JSON values, without the suspects."""
        return {
            "id": self.id,
            "severity": self.severity,
            "message": self.message,
            "count": self.count,
            "samples": list(self.samples),
            "hint": self.hint,
            "method": self.method,
        }
