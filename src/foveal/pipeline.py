"""THE pre-processing: an upright RGB picture becomes the uint8 array that a network takes.

Training, evaluation, the command line and the server all call `Pipeline.apply`; there is no
second implementation. It must stay free of torch and of pydantic (see docs/decisions/0002).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.errors import BundleError
from foveal.types import Frame, Image, Picture

Fit: TypeAlias = Literal["pad", "stretch", "crop"]
FITS: tuple[Fit, ...] = ("pad", "stretch", "crop")


@final
@dataclass(frozen=True, slots=True)
class Pipeline:
    """How a picture is brought to the size of the model input.

    Attributes:
        height: Model-input height, in pixels.
        width: Model-input width, in pixels.
        fit: `pad` keeps the aspect ratio and fills the rest, `stretch` ignores the aspect
            ratio, `crop` keeps it and cuts the centre.
        pad_color: RGB in [0, 255] of the filling.
    """

    height: int
    width: int
    fit: Fit = "pad"
    pad_color: tuple[int, int, int] = (128, 128, 128)

    def frame(self, height: int, width: int) -> Frame:
        """Return where an original of (height, width) pixels lies in the model input."""
        scale_y, scale_x = self.height / height, self.width / width
        if self.fit == "stretch":
            return Frame((height, width), (self.height, self.width), (scale_y, scale_x), (0.0, 0.0))
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

    def apply(self, picture: Picture) -> tuple[Image, Frame]:
        """Return the model input, (height, width, 3) uint8 RGB, and the frame to map back."""
        frame = self.frame(picture.height, picture.width)
        new_h = max(1, round(picture.height * frame.scale[0]))
        new_w = max(1, round(picture.width * frame.scale[1]))
        pixels = picture.pixels
        if pixels.shape[:2] != (new_h, new_w):
            resized = PILImage.fromarray(pixels).resize(
                (new_w, new_h), PILImage.Resampling.BILINEAR, reducing_gap=3.0
            )
            pixels = np.asarray(resized)
        if (new_h, new_w) == (self.height, self.width):
            return np.ascontiguousarray(pixels), frame
        top, left = int(frame.offset[0]), int(frame.offset[1])
        if self.fit == "crop":
            pixels = pixels[-top : -top + self.height, -left : -left + self.width]
            return np.ascontiguousarray(pixels), frame
        canvas = np.empty((self.height, self.width, 3), np.uint8)
        canvas[:] = self.pad_color
        canvas[top : top + new_h, left : left + new_w] = pixels
        return canvas, frame

    def to_json(self) -> dict[str, Any]:
        """Return the pipeline as it stands in `bundle.json`."""
        return {**asdict(self), "pad_color": list(self.pad_color)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pipeline:
        """Read what `to_json` wrote.

        Raises:
            BundleError: For a missing or unknown key or a value out of range.
        """
        expected = {"height", "width", "fit", "pad_color"}
        if set(data) != expected:
            raise BundleError(
                f"Invalid pipeline in bundle.json. Expected keys {sorted(expected)}. "
                f"Received: {sorted(data)}."
            )
        height, width, fit, color = (data[k] for k in ("height", "width", "fit", "pad_color"))
        sizes_ok = all(isinstance(v, int) and 1 <= v <= 8192 for v in (height, width))
        color_ok = (
            isinstance(color, list)
            and len(color) == 3
            and all(isinstance(v, int) and 0 <= v <= 255 for v in color)
        )
        if not sizes_ok or not color_ok or fit not in FITS:
            raise BundleError(f"Invalid pipeline in bundle.json. Received: {dict(data)!r}.")
        return cls(height, width, fit, (color[0], color[1], color[2]))


def resample_to_original(values: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """Resample a (h, w) float32 map over the whole model input to the original's pixels.

    The map may be coarser than the input. Parts of the original that `crop` cut off are 0.
    """
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
    resized = PILImage.fromarray(np.ascontiguousarray(values, np.float32)).resize(
        size, PILImage.Resampling.BILINEAR, box=box
    )
    part = np.asarray(resized, np.float32)
    if size == (width, height):
        return part
    whole = np.zeros((height, width), np.float32)
    whole[round(top) : round(top) + size[1], round(left) : round(left) + size[0]] = part
    return whole
