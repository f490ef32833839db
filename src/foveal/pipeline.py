"""The pre-processing: converts an upright RGB picture to the uint8 input of a network.

Training, evaluation, the command line and the server all call `Pipeline.apply`; there is no
second implementation. It must stay free of torch (see docs/decisions/0003).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.errors import BundleError, ImageError
from foveal.resample import resized
from foveal.types import Frame, Image, Picture

Fit: TypeAlias = Literal["pad", "stretch", "crop", "line", "tile"]
FITS: tuple[Fit, ...] = ("pad", "stretch", "crop", "line", "tile")
Flips: TypeAlias = Literal["none", "horizontal", "all"]
FLIPS: tuple[Flips, ...] = ("none", "horizontal", "all")
# A picture of 2^31 pixels a side is one pixel then.
_MIN_SCALE = 2**-31


@final
@dataclass(frozen=True, slots=True)
class Pipeline:
    """The pre-processing of pictures to the size of the model input.

    Attributes:
        height: Model-input height, in pixels.
        width: Model-input width, in pixels; for `line` the largest that is accepted.
        fit: `pad` keeps the aspect ratio and fills the rest, `stretch` ignores the aspect
            ratio, `crop` keeps it and cuts the centre; `line` keeps it, scales to the height, and
            fills on the right up to the next multiple of `width_step`; `tile` cuts the picture
            into overlapping tiles of the model input's size (`foveal.predict.tiles`).
        pad_color: RGB in [0, 255] of the filling.
        steps: Page steps that are applied first; see `foveal.page`.
        width_step: Widths of `line` are multiples of this, in pixels, so that pictures of similar
            width form batches.
        scale: For `tile`: model-input pixels per original pixel, in (0, 1].
        overlap: For `tile`: overlap of neighbouring tiles as a share of their side, in [0, 0.75].
        flips: For `tile`: test-time augmentation; each tile is also answered mirrored
            (`horizontal`), or in all four flips (`all`), and the mean is taken.
    """

    height: int
    width: int
    fit: Fit = "pad"
    pad_color: tuple[int, int, int] = (128, 128, 128)
    steps: tuple[str, ...] = ()
    width_step: int = 32
    scale: float = 1.0
    overlap: float = 0.25
    flips: Flips = "none"

    @property
    def is_tiled(self) -> bool:
        """Whether pictures are answered tile by tile, at any size."""
        return self.fit == "tile"

    @property
    def is_ragged(self) -> bool:
        """Whether model inputs differ in width."""
        return self.fit == "line"

    @property
    def decode_size(self) -> tuple[int, int] | None:
        """Return the (height, width) that decoding must keep, or None for full size."""
        if self.steps or self.is_tiled:
            return None  # Strokes are found in the original's pixels.
        return (self.height, 1) if self.is_ragged else (self.height, self.width)

    @property
    def example_size(self) -> tuple[int, int]:
        """Return (height, width) of a valid model input."""
        if not self.is_ragged:
            return self.height, self.width
        return self.height, self.width_step * min(8, -(-self.width // self.width_step))

    def frame(self, height: int, width: int) -> Frame:
        """Return the frame of an original of (height, width) pixels in the model input.

        Raises:
            ImageError: If the picture is too wide for `line`.
        """
        if self.is_tiled:
            return Frame((height, width), (height, width), (1.0, 1.0), (0.0, 0.0))
        scale_y, scale_x = self.height / height, self.width / width
        if self.fit == "stretch":
            return Frame((height, width), (self.height, self.width), (scale_y, scale_x), (0.0, 0.0))
        if self.fit == "line":
            return self._line_frame(height, width)
        scale = min(scale_y, scale_x) if self.fit == "pad" else max(scale_y, scale_x)
        # Whole pixels, so that what is pasted and what is mapped back agree exactly.
        new_h, new_w = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (self.height - new_h) // 2, (self.width - new_w) // 2
        return Frame(
            (height, width),
            (self.height, self.width),
            (new_h / height, new_w / width),
            (float(top), float(left)),
        )

    def _line_frame(self, height: int, width: int) -> Frame:
        new_w = max(1, round(width * self.height / height))
        padded = self.width_step * -(-new_w // self.width_step)
        if new_w > self.width:
            most = self.width * height // self.height
            # What the steps leave is of a size that the person who gave a page has never seen.
            what = "The picture after the page steps" if self.steps else "The picture"
            raise ImageError(
                f"{what} is {width} pixels wide and {height} high. "
                f"Expected at most {most} wide at this height.",
                hint=f"crop it to the line of text, or train with --set pipeline.width={padded}",
                code="image_too_wide",
            )
        scale = (self.height / height, new_w / width)
        return Frame((height, width), (self.height, padded), scale, (0.0, 0.0))

    def apply(self, picture: Picture) -> tuple[Image, Frame]:
        """Return the model input, (height, width, 3) uint8 RGB, and the frame to map back.

        For `tile`, this is the picture itself, which is cut into tiles when the network is run.

        Raises:
            ImageError: If the picture is too wide for `line`.
        """
        if self.is_tiled:
            return picture.pixels, self.frame(picture.height, picture.width)
        if not self.steps:
            return self._fitted(picture.pixels, self.frame(picture.height, picture.width))
        # Imported late: few bundles read pages, and every `foveal predict` would wait for it.
        from foveal.page import run_steps

        strip, pieces = run_steps(picture.pixels, self.steps)
        size = (int(strip.shape[0]), int(strip.shape[1]))
        pixels, frame = self._fitted(strip, self.frame(*size))
        whole = (int(picture.pixels.shape[0]), int(picture.pixels.shape[1]))
        placed = replace(frame, original=whole, strip=size if pieces else None, pieces=pieces)
        return pixels, placed.for_copy(picture.height, picture.width)

    def _fitted(self, pixels: Image, frame: Frame) -> tuple[Image, Frame]:
        new_h = max(1, round(frame.original[0] * frame.scale[0]))
        new_w = max(1, round(frame.original[1] * frame.scale[1]))
        pixels = resized(pixels, new_h, new_w)
        if (new_h, new_w) == frame.input:
            return np.ascontiguousarray(pixels), frame
        top, left = int(frame.offset[0]), int(frame.offset[1])
        if self.fit == "crop":
            pixels = pixels[-top : -top + self.height, -left : -left + self.width]
            return np.ascontiguousarray(pixels), frame
        canvas = np.empty((*frame.input, 3), np.uint8)
        canvas[:] = self.pad_color
        canvas[top : top + new_h, left : left + new_w] = pixels
        return canvas, frame

    def to_json(self) -> dict[str, Any]:
        """Return the pipeline as stored in `bundle.json`."""
        return {**asdict(self), "pad_color": list(self.pad_color), "steps": list(self.steps)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pipeline:
        """Read the values that `to_json` wrote; keys of later versions may be missing.

        Raises:
            BundleError: If a key is missing or unknown, or a value is out of range.
        """
        expected = {"height", "width", "fit", "pad_color"}
        if set(data) - {"steps", "width_step", "scale", "overlap", "flips"} != expected:
            raise BundleError(
                f"Invalid pipeline in bundle.json. Expected keys {sorted(expected)}. "
                f"Received: {sorted(data)}."
            )
        height, width, fit, color = (data[k] for k in ("height", "width", "fit", "pad_color"))
        steps, width_step = data.get("steps", []), data.get("width_step", 32)
        sizes_ok = all(type(v) is int and 1 <= v <= 32768 for v in (height, width, width_step))
        color_ok = (
            isinstance(color, list)
            and len(color) == 3
            and all(type(v) is int and 0 <= v <= 255 for v in color)
        )
        steps_ok = isinstance(steps, list) and all(isinstance(step, str) for step in steps)
        scale, overlap = data.get("scale", 1.0), data.get("overlap", 0.25)
        flips = data.get("flips", "none")
        shares_ok = all(type(v) in (int, float) for v in (scale, overlap))
        tiles_ok = (
            shares_ok and _MIN_SCALE <= scale <= 1 and 0 <= overlap <= 0.75 and flips in FLIPS
        )
        all_ok = sizes_ok and color_ok and steps_ok and tiles_ok
        if not all_ok or fit not in FITS:
            raise BundleError(f"Invalid pipeline in bundle.json. Received: {dict(data)!r}.")
        color = (color[0], color[1], color[2])
        return cls(
            height,
            width,
            fit,
            color,
            tuple(steps),
            width_step,
            scale=float(scale),
            overlap=float(overlap),
            flips=flips,
        )


def resample_to_original(values: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """Resample a (h, w) float32 map over the whole model input to the original's pixels.

    The map may be coarser than the input. Parts of the original removed by `crop` are 0.
    """
    if frame.pieces:
        return _unjoined(resample_to_original(values, _strip_alone(frame)), frame)
    height, width = frame.original
    x0, y0, x1, y1 = frame.box_in_input()
    # Pillow resamples an arbitrary float box, so the padding is cut off exactly.
    rows, columns = values.shape
    sy, sx = rows / frame.input[0], columns / frame.input[1]
    inner = (max(x0, 0.0), max(y0, 0.0), min(x1, frame.input[1]), min(y1, frame.input[0]))
    top, left = frame.to_original(inner[1], inner[0])
    bottom, right = frame.to_original(inner[3], inner[2])
    size = (max(1, round(right) - round(left)), max(1, round(bottom) - round(top)))
    box = (inner[0] * sx, inner[1] * sy, inner[2] * sx, inner[3] * sy)
    image = PILImage.fromarray(np.ascontiguousarray(values, np.float32))
    part = np.asarray(image.resize(size, PILImage.Resampling.BILINEAR, box=box), np.float32)
    if size == (width, height):
        return part
    whole = np.zeros((height, width), np.float32)
    whole[round(top) : round(top) + size[1], round(left) : round(left) + size[0]] = part
    return whole


def _strip_alone(frame: Frame) -> Frame:
    return replace(frame, original=frame.content, strip=None, pieces=())


def _unjoined(strip: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """Put each piece of a strip's map back to where it was cut out; 0 elsewhere."""
    whole = np.zeros(frame.original, np.float32)
    for piece in frame.pieces:
        part = strip[
            piece.y : piece.y + piece.y1 - piece.y0, piece.x : piece.x + piece.x1 - piece.x0
        ]
        place = whole[piece.y0 : piece.y0 + part.shape[0], piece.x0 : piece.x0 + part.shape[1]]
        # Scaling to a copy rounds: a piece may reach a pixel over the edge.
        place[:] = part[: place.shape[0], : place.shape[1]]
    return whole
