"""Pictures as other sources have them: grey or inverted ink, frames, stretching, JPEG, light, …

Each shift has three degrees. The ink shifts know nothing of letters: whatever differs from the
ground, which is the median colour of the picture's edge, counts as ink. The shifts apart are of
kinds that no augmentation imitates: they tell whether what was chosen by the others carries over.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image as PILImage
from PIL import ImageFilter

Rng = np.random.Generator
Shift = Callable[[PILImage.Image, int, Rng], PILImage.Image]

DEGREES = (0, 1, 2)
# Of the shorter side; the boldest of `letters` have strokes of 0.39.
_WIDEST_STROKE = 0.4


def ground_of(image: PILImage.Image | np.ndarray) -> np.ndarray:
    """Return the median colour of the picture's edge, (3,) float."""
    pixels = np.asarray(image, np.float64)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    median: np.ndarray = np.median(edge, axis=0)
    return median


def _of(pixels: np.ndarray) -> PILImage.Image:
    return PILImage.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _filled(ground: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in np.rint(ground))
    return red, green, blue


def grey(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Ink that stands out less from its ground."""
    ground = ground_of(image)
    return _of(ground + (np.asarray(image, np.float64) - ground) * (0.6, 0.4, 0.25)[degree])


def inverted(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Light ink on a dark ground, which stands out less by degrees."""
    negative = _of(255 - np.asarray(image, np.float64))
    return grey(negative, degree, rng) if degree else negative


def contrast(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Less contrast, around the mean colour."""
    pixels = np.asarray(image, np.float64)
    mean = pixels.mean((0, 1))
    return _of(mean + (pixels - mean) * (0.6, 0.4, 0.25)[degree])


def frame_filling(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Ink that fills its frame: cut to the ink with a margin of 10, 5 and 0 % of its size."""
    far = np.abs(np.asarray(image, np.float64) - ground_of(image)).max(2)
    ys, xs = np.nonzero(far > max(24.0, 0.4 * far.max()))
    if not len(ys):
        return image
    margin = round((0.1, 0.05, 0.0)[degree] * max(np.ptp(ys), np.ptp(xs)))
    box = (xs.min() - margin, ys.min() - margin, xs.max() + 1 + margin, ys.max() + 1 + margin)
    wide, high = int(box[2] - box[0]), int(box[3] - box[1])
    canvas = PILImage.new("RGB", (max(2, wide), max(2, high)), _filled(ground_of(image)))
    canvas.paste(image, (-int(box[0]), -int(box[1])))
    return canvas


def near(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Show only the middle, as from nearer by: 80, 65 and 50 % of both sides."""
    share = (0.8, 0.65, 0.5)[degree]
    width, height = image.size
    left, top = width * (1 - share) / 2, height * (1 - share) / 2
    return image.crop((int(left), int(top), int(width - left), int(height - top)))


def small(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Show it small, somewhere on a larger ground: 1.5, 2 and 3 times the sides."""
    times = (1.5, 2.0, 3.0)[degree]
    width, height = image.size
    size = (round(width * times), round(height * times))
    canvas = PILImage.new("RGB", size, _filled(ground_of(image)))
    place = (int(rng.integers(size[0] - width + 1)), int(rng.integers(size[1] - height + 1)))
    canvas.paste(image, place)
    return canvas


def stretched(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Wider or higher by 1.3, 1.6 and 2."""
    factor = (1.3, 1.6, 2.0)[degree]
    width, height = image.size
    is_wider = bool(rng.integers(2))
    size = (round(width * factor), height) if is_wider else (width, round(height * factor))
    return image.resize(size, PILImage.Resampling.BICUBIC)


def _stroke(image: PILImage.Image, share: float) -> PILImage.Image:
    """Grow the ink by a share of the width of its strokes, or shrink it by a negative one."""
    times = 4
    large = image.resize((image.width * times, image.height * times), PILImage.Resampling.BICUBIC)
    is_dark = np.asarray(image, np.float64).mean() < ground_of(image).mean()
    # Rectangular kernels are separable in OpenCV: strokes may be as wide as the picture.
    grow, shrink = (cv2.erode, cv2.dilate) if is_dark else (cv2.dilate, cv2.erode)
    pixels = np.asarray(large)
    # An edge that moves inwards by a pixel takes the perimeter off the area of a stroke.
    area, inner = _ink(pixels), _ink(shrink(pixels, np.ones((3, 3), np.uint8)))
    # In a photograph of a word everything may count as ink: that is no stroke to follow.
    widest = _WIDEST_STROKE * min(large.size)
    width = min(widest, 2 * area / max(area - inner, 1.0))
    side = 2 * max(1, round(abs(share) * width / 2)) + 1
    changed = (grow if share > 0 else shrink)(pixels, np.ones((side, side), np.uint8))
    return PILImage.fromarray(changed).resize(image.size, PILImage.Resampling.BOX)


def _ink(pixels: np.ndarray) -> float:
    """Return the pixels that are ink, grey ones in part."""
    far = np.abs(pixels.astype(np.float64) - ground_of(pixels)).max(2)
    return float(far.sum() / max(float(far.max()), 1.0))


def bold(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Strokes wider by 30, 60 and 100 %."""
    return _stroke(image, (0.3, 0.6, 1.0)[degree])


def thin(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Strokes narrower by 25, 40 and 55 %."""
    return _stroke(image, (-0.25, -0.4, -0.55)[degree])


def jpeg(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """JPEG of quality 30, 15 and 7."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=(30, 15, 7)[degree])
    return PILImage.open(buffer).convert("RGB")


def blur(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Gaussian blur of 1, 2 and 3 % of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur((0.01, 0.02, 0.03)[degree] * min(image.size)))


def noise(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Gaussian noise of 5, 10 and 20 % of the range of values."""
    pixels = np.asarray(image, np.float64)
    return _of(pixels + rng.normal(0, (0.05, 0.1, 0.2)[degree] * 255, pixels.shape))


def rotated(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Turned by 8, 16 and 24 degrees, to either side; the whole picture stays in view."""
    angle = (8, 16, 24)[degree] * (1 if rng.integers(2) else -1)
    return image.rotate(
        angle, PILImage.Resampling.BICUBIC, expand=True, fillcolor=_filled(ground_of(image))
    )


def background(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Ink on other paper: tinted, shaded from side to side, and with a texture."""
    pixels = np.asarray(image, np.float64)
    height, width = pixels.shape[:2]
    tint = rng.uniform(0.75, 1.0, 3)
    paper = np.broadcast_to(tint, pixels.shape)
    if degree >= 1:
        ramp = np.linspace(1.0, 0.55, width)[None, :, None]
        paper = paper * (ramp if rng.integers(2) else ramp[:, ::-1])
    if degree == 2:
        coarse = rng.uniform(0.6, 1.0, (6, 6)).astype(np.float32)
        texture = PILImage.fromarray(coarse).resize((width, height), PILImage.Resampling.BICUBIC)
        paper = paper * np.asarray(texture)[:, :, None]
    return _of(pixels * paper)


def colour_cast(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Warmer or colder light: red and blue apart by 1.3, 1.8 and 2.5."""
    apart = (1.3, 1.8, 2.5)[degree] ** 0.5
    red, blue = (apart, 1 / apart) if rng.integers(2) else (1 / apart, apart)
    return _of(np.asarray(image, np.float64) * (red, 1.0, blue))


def dark(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Less light: 60, 40 and 25 % of it."""
    return _of(np.asarray(image, np.float64) * (0.6, 0.4, 0.25)[degree])


def perspective(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Seen from aside: each corner moves inwards by up to 10, 18 and 26 % of both sides."""
    width, height = image.size
    # From the upper left one counter-clockwise, and how far each moves.
    corners = np.array([(0, 0), (0, height), (width, height), (width, 0)], np.float64)
    inwards = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) * (width, height)
    moved = corners + inwards * rng.uniform(0, (0.1, 0.18, 0.26)[degree], (4, 2))
    rows, values = [], []
    for (x, y), (from_x, from_y) in zip(moved, corners, strict=True):
        rows += [
            (x, y, 1, 0, 0, 0, -from_x * x, -from_x * y),
            (0, 0, 0, x, y, 1, -from_y * x, -from_y * y),
        ]
        values += [from_x, from_y]
    return image.transform(
        image.size,
        PILImage.Transform.PERSPECTIVE,
        np.linalg.solve(np.array(rows), np.array(values)).tolist(),
        PILImage.Resampling.BICUBIC,
        fillcolor=_filled(ground_of(image)),
    )


def _ink_colour(image: PILImage.Image) -> np.ndarray:
    """Return the colour that differs most from the ground, (3,) float."""
    pixels = np.asarray(image, np.float64).reshape(-1, 3)
    colour: np.ndarray = pixels[np.abs(pixels - ground_of(image)).sum(1).argmax()]
    return colour


def ruled(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Lines across the paper, 30, 50 and 70 % as dark as the ink."""
    pixels, ground, ink = np.asarray(image, np.float64), ground_of(image), _ink_colour(image)
    height = len(pixels)
    apart = max(4, round(height * rng.uniform(0.15, 0.25)))
    thick = max(1, round(height * 0.02))
    ys = np.arange(height) + int(rng.integers(apart))
    line = ground + (ink - ground) * (0.3, 0.5, 0.7)[degree]
    # Of a line and ink the one further from the ground is seen.
    is_line = (ys % apart < thick)[:, None] & (
        np.abs(pixels - ground).sum(2) < np.abs(line - ground).sum()
    )
    return _of(np.where(is_line[:, :, None], line, pixels))


def blots(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Dirt: 2, 5 and 10 round blots of the ink's colour, 2 to 5 % of the shorter side across."""
    pixels, ink = np.asarray(image, np.float64).copy(), _ink_colour(image)
    height, width = pixels.shape[:2]
    ys, xs = np.mgrid[:height, :width] + 0.5
    for _ in range((2, 5, 10)[degree]):
        y, x = rng.uniform(0, (height, width))
        radius = max(0.6, rng.uniform(0.01, 0.025) * min(height, width))
        pixels[(ys - y) ** 2 + (xs - x) ** 2 <= radius**2] = ink
    return _of(pixels)


def two_toned(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Only ground and ink, as from a fax, at 100, 75 and 50 % of the resolution."""
    share = (1.0, 0.75, 0.5)[degree]
    size = image.size
    coarse = image.resize([max(4, round(side * share)) for side in size], PILImage.Resampling.BOX)
    ground, ink = ground_of(image), _ink_colour(image)
    far = np.abs(np.asarray(coarse, np.float64) - ground).sum(2)
    is_ink = far > np.abs(ink - ground).sum() / 2
    fax = _of(np.where(is_ink[:, :, None], ink, ground))
    return fax.resize(size, PILImage.Resampling.NEAREST)


def framed(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """A black edge outside one or two sides, as of a scanner: 3, 6 and 10 % wide."""
    width, height = image.size
    x, y = (max(1, round(side * (0.03, 0.06, 0.1)[degree])) for side in image.size)
    sides = rng.permutation(4)[: int(rng.integers(1, 3))]
    left, top, right, bottom = (int(amount * (i in sides)) for i, amount in enumerate((x, y, x, y)))
    canvas = PILImage.new("RGB", (width + left + right, height + top + bottom), (16, 16, 16))
    canvas.paste(image, (left, top))
    return canvas


def covered(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """A grey square over 20, 35 and 50 % of the shorter side, anywhere."""
    pixels = np.asarray(image, np.float64).copy()
    height, width = pixels.shape[:2]
    side = round((0.2, 0.35, 0.5)[degree] * min(height, width))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    pixels[top : top + side, left : left + side] = 128
    return _of(pixels)


def few_tones(image: PILImage.Image, degree: int, rng: Rng) -> PILImage.Image:
    """Only 6, 4 and 3 tones of each colour."""
    steps = (5, 3, 2)[degree]
    return _of(np.rint(np.asarray(image, np.float64) / 255 * steps) * 255 / steps)


_BOTH: dict[str, Shift] = {
    "JPEG": jpeg,
    "blur": blur,
    "noise": noise,
    "rotation": rotated,
    "stretched": stretched,
    "small": small,
    "colour cast": colour_cast,
}

INK: Mapping[str, Shift] = {
    **_BOTH,
    "grey": grey,
    "inverted": inverted,
    "frame-filling": frame_filling,
    "thin": thin,
    "bold": bold,
    "background": background,
    "ruled": ruled,
}
"""Shifts of pictures of ink."""

PHOTOGRAPHS: Mapping[str, Shift] = {**_BOTH, "contrast": contrast, "near": near, "dark": dark}
"""Shifts of photographs."""

INK_APART: Mapping[str, Shift] = {
    "perspective": perspective,
    "blots": blots,
    "two-toned": two_toned,
    "framed": framed,
}
"""Shifts of pictures of ink by which nothing was chosen."""

PHOTOGRAPHS_APART: Mapping[str, Shift] = {
    "perspective": perspective,
    "covered": covered,
    "few tones": few_tones,
}
"""Shifts of photographs by which nothing was chosen."""
