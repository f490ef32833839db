"""The sharpness of text: told from the same text blurred, by the width of its strokes.

Lines are drawn in strokes of 1 to 8 pixels, dark on light and light on dark, by contrast and noise
at random, and taken from scans (`signature_text`). Each is blurred by degrees, the sharp one
by none, and saved as JPEG. The figure is the area under the ROC curve: how often a sharp line of
any kind has a higher sharpness than a blurred line of any kind; with a bootstrap interval over the
lines. The variance of the Laplacian, which is the usual measure, stands beside it. Then whole pages
of several sizes, at the scale at which `foveal check` measures: the blur in parts of a stroke from
which `images.blurred` finds a page among sharp ones.

    python benchmarks/curation/text_sharpness.py [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from foveal.data.hashing import shrunk
from foveal.data.measures import MEASURES, measure, sharpness
from foveal.types import Picture

Grey = NDArray[np.uint8]

_RADII = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_STROKES = (1, 2, 4, 8)
_RESAMPLES = 400
_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def drawn(count: int, stroke: int, seed: int) -> Iterator[Image.Image]:
    """Yield lines of text whose strokes have about this width."""
    rng = np.random.default_rng(seed)
    # Of the default font, a stroke is about a tenth of the size.
    font = ImageFont.load_default(size=max(11, 10 * stroke))
    for _ in range(count):
        text = "".join(rng.choice(list(_CHARACTERS), int(rng.integers(6, 16))))
        left, top, right, bottom = font.getbbox(text)
        size = (int(right - left) + 20, int(bottom - top) + 20)
        paper, ink = int(rng.integers(150, 256)), int(rng.integers(0, 90))
        if rng.random() < 0.3:
            paper, ink = ink, paper
        image = Image.new("L", size, paper)
        ImageDraw.Draw(image).text((10 - left, 10 - top), text, fill=ink, font=font)
        yield image


def page(size: int, rng: np.random.Generator) -> Image.Image:
    """Draw a page of words, fifty times as wide as its letters are high."""
    image = Image.new("L", (50 * size, 65 * size), int(rng.integers(200, 250)))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=size)
    ink = int(rng.integers(0, 60))
    for top in range(2 * size, 62 * size, round(1.6 * size)):
        words = ["".join(rng.choice(list(_CHARACTERS), int(rng.integers(2, 9)))) for _ in range(9)]
        pen.text((2 * size, top), " ".join(words), fill=ink, font=font)
    return image


def look_at_pages(count: int) -> None:
    """Print the sharpness of pages by their blur, and where the limit is."""
    rng = np.random.default_rng(2)
    for size in (24, 36, 50):
        cells = []
        for part in (0, 0.5, 1.0, 1.5, 2.0):
            values = []
            for _ in range(count):
                # A stroke is about a tenth of the size.
                grey = blurred(page(size, rng), part * size / 10, rng)
                pixels = np.repeat(grey[..., None], 3, axis=2)
                measures = measure(Picture.from_array(pixels), shrunk(pixels))
                values.append(float(measures[MEASURES.index("sharpness")]))
            cells.append(f"{part:g} of a stroke: {np.mean(values):.2f}")
        print(f"pages of {50 * size} x {65 * size} px, n {count}; {'; '.join(cells)}", flush=True)


def scanned(folder: Path, count: int) -> Iterator[Image.Image]:
    """Yield text lines of scans and photographs, of those that are at least 24 pixels high."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    rng = np.random.default_rng(0)
    for index in rng.permutation(len(files)):
        with Image.open(files[index]) as image:
            if image.height >= 24 and image.width >= 48:
                yield image.convert("L")
                count -= 1
        if count == 0:
            return


def blurred(line: Image.Image, radius: float, rng: np.random.Generator) -> Grey:
    """Return a line as it comes from a camera: blurred, with noise, saved as JPEG."""
    soft = line.filter(ImageFilter.GaussianBlur(radius)) if radius else line
    noisy = np.asarray(soft, np.float32) + rng.normal(0, 3, (line.height, line.width))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return np.asarray(Image.open(buffer))


def laplacian(grey: Grey) -> float:
    """Return the variance of the Laplacian."""
    g = grey.astype(np.float32)
    inner = 4 * g[1:-1, 1:-1] - g[:-2, 1:-1] - g[2:, 1:-1] - g[1:-1, :-2] - g[1:-1, 2:]
    return float(inner.var())


def area(sharp: NDArray[np.float64], soft: NDArray[np.float64]) -> float:
    """Return how often a sharp line has more than a soft one; ties count half."""
    ranks = np.sort(soft)
    below = np.searchsorted(ranks, sharp, "left")
    equal = np.searchsorted(ranks, sharp, "right") - below
    return float((below + equal / 2).mean() / len(soft))


def row(name: str, sharp: NDArray[np.float64], soft: NDArray[np.float64]) -> str:
    """Return the area and its 95 % interval over the lines."""
    rng = np.random.default_rng(0)
    n = len(sharp)
    picks = (rng.integers(0, n, n) for _ in range(_RESAMPLES))
    low, high = np.quantile([area(sharp[p], soft[p]) for p in picks], (0.025, 0.975))
    return f"{name} {area(sharp, soft):.3f} ({low:.3f} to {high:.3f})"


def compare(name: str, lines: list[Image.Image]) -> None:
    """Print the areas of a set of lines, radius by radius."""
    measures: dict[str, Callable[[Grey], float]] = {
        "sharpness": sharpness,
        "Laplacian": laplacian,
    }
    rng = np.random.default_rng(1)
    clear = [blurred(line, 0, rng) for line in lines]
    at_rest = {key: np.array([f(g) for g in clear]) for key, f in measures.items()}
    share = float((at_rest["sharpness"] < 0.34).mean())
    print(f"{name}: {len(lines)} lines; {100 * share:.1f} % of the sharp ones under 0.34")
    for radius in _RADII:
        soft = [blurred(line, radius, rng) for line in lines]
        found = {key: np.array([f(g) for g in soft]) for key, f in measures.items()}
        cells = [row(key, at_rest[key], found[key]) for key in measures]
        under = 100 * float((found["sharpness"] < 0.34).mean())
        print(f"  radius {radius:g} px: {'; '.join(cells)}; {under:.0f} % under 0.34", flush=True)


def main() -> None:
    """Compare drawn lines by stroke, all of them together, and scans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--lines", type=int, default=150)
    given = parser.parse_args()
    together = []
    for stroke in _STROKES:
        lines = list(drawn(given.lines, stroke, stroke))
        together += lines
        compare(f"drawn, strokes of {stroke} px", lines)
    compare("drawn, all strokes together", together)
    look_at_pages(3)
    folder = given.data / "signature_text" / "text"
    if folder.is_dir():
        compare("scans and photographs", list(scanned(folder, 2 * given.lines)))


if __name__ == "__main__":
    main()
