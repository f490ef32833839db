"""Steps on pixels: grey, equalise, median, threshold, open, close."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foveal.page.opencv import opencv
from foveal.types import Image

Pixels = NDArray[np.uint8]
"""(H, W) grey, or (H, W, 3) RGB: a grey page costs a third of a coloured one."""

Mask = NDArray[np.uint8]
"""(H, W): 255 where there is ink, else 0."""

# Ink differs from the ground by more than this many standard deviations of the noise: of a
# million pixels of Gaussian noise some 200 do, and they are specks for `open`.
_NOISE_DEVIATIONS: Final = 3.5
# Fainter than this is JPEG ringing and paper, not ink.
_LEAST_CONTRAST: Final = 16
# Of Otsu's cut, which lies halfway to the usual ink: paler ink on the same page is ink too.
_FAINTEST: Final = 0.6
# Median absolute deviation → standard deviation of a normal distribution.
_MAD_TO_DEVIATION: Final = 1.4826
# The ground is looked at with this many pixels on the shorter side: strokes vanish in it.
_GROUND_PX: Final = 48
# About as many pixels tell the noise as well as all of them do.
_NOISE_SAMPLE: Final = 60_000


def as_rgb(pixels: Pixels) -> Image:
    """Return (H, W, 3) uint8 RGB."""
    if pixels.ndim == 3:
        return pixels
    rgb: Image = opencv().cvtColor(pixels, opencv().COLOR_GRAY2RGB)
    return rgb


def as_grey(pixels: Pixels) -> Pixels:
    """Return (H, W) uint8."""
    if pixels.ndim == 2:
        return pixels
    grey: Pixels = opencv().cvtColor(pixels, opencv().COLOR_RGB2GRAY)
    return grey


def equalise(pixels: Pixels) -> Pixels:
    """Spread the shades over all of [0, 255]; colours keep their hue."""
    cv2 = opencv()
    if pixels.ndim == 2:
        grey: Pixels = cv2.equalizeHist(pixels)
        return grey
    parts = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb)
    parts[:, :, 0] = cv2.equalizeHist(np.ascontiguousarray(parts[:, :, 0]))
    rgb: Image = cv2.cvtColor(parts, cv2.COLOR_YCrCb2RGB)
    return rgb


def median(pixels: Pixels, size: int) -> Pixels:
    """Replace each pixel by the median of the `size` x `size` pixels around it."""
    smooth: Pixels = opencv().medianBlur(np.ascontiguousarray(pixels), size)
    return smooth


def morph(pixels: Pixels, name: str, size: int) -> Pixels:
    """Open or close: remove light parts smaller than `size`, or fill dark ones.

    Args:
        pixels: A mask, whose ink is light, or a picture.
        name: `open` or `close`.
        size: Side of the neighbourhood, in pixels.
    """
    cv2 = opencv()
    operation = cv2.MORPH_OPEN if name == "open" else cv2.MORPH_CLOSE
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    done: Pixels = cv2.morphologyEx(pixels, operation, kernel)
    return done


def ink_mask(pixels: Pixels, size: int) -> tuple[Mask, str]:
    """Tell ink, dark or light, from the ground around it.

    The ground may change over the page. The cut is Otsu's, but never within the noise: on an
    empty page Otsu alone would call half of the noise ink.

    Args:
        pixels: The page.
        size: The ground of a pixel is the mean of this neighbourhood; 0 takes a wide median.

    Returns:
        The mask, and what was found in a few words.
    """
    cv2 = opencv()
    grey = as_grey(pixels)
    ground = cv2.blur(grey, (size, size)) if size else _wide_ground(grey, cv2)
    darker, lighter = cv2.subtract(ground, grey), cv2.subtract(grey, ground)
    stride = max(1, int((grey.size / _NOISE_SAMPLE) ** 0.5))
    sample = (slice(None, None, stride), slice(None, None, stride))
    contrast = darker[sample].astype(np.int16) + lighter[sample]
    noise = float(_MAD_TO_DEVIATION * np.median(contrast))
    least = max(_LEAST_CONTRAST, round(_NOISE_DEVIATIONS * noise))
    is_dark = _weight_above(darker[sample], least) >= _weight_above(lighter[sample], least)
    ink = darker if is_dark else lighter
    otsu, _ = cv2.threshold(ink, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    cut = max(least, round(_FAINTEST * otsu))
    mask: Mask = cv2.threshold(ink, cut, 255, cv2.THRESH_BINARY)[1]
    return mask, f"{'dark' if is_dark else 'light'} ink, contrast over {cut}"


def _wide_ground(grey: Pixels, cv2: Any) -> Pixels:
    """Return the shade of the paper at each pixel: a median too wide for text to matter."""
    height, width = grey.shape
    scale = min(1.0, _GROUND_PX / min(height, width))
    small_size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(grey, small_size, interpolation=cv2.INTER_AREA)
    # Half the shorter side: text fills fewer than half of the places in most such windows.
    window = min(small_size) // 2 | 1
    smooth = cv2.medianBlur(small, window) if window > 1 else small
    ground: Pixels = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR)
    return ground


def _weight_above(contrast: Pixels, least: int) -> int:
    counts = np.bincount(contrast.ravel(), minlength=256)
    return int((counts * np.arange(len(counts)))[least + 1 :].sum())
