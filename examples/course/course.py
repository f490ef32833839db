"""What the notebooks of the course share: how figures look, rows of pictures, drawn things.

Everything that a chapter is about stands in its notebook.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

PAPER, INK, GREY = "#f8f6f1", "#25221d", "#8a857b"
TEAL, ORANGE, BLUE, GOLD, PLUM = "#0f766e", "#d9622b", "#3457b5", "#c2950c", "#8e3b8a"
COLORS = (TEAL, ORANGE, BLUE, GOLD, PLUM, GREY)
HEAT = LinearSegmentedColormap.from_list("heat", [PAPER, "#f2c14e", ORANGE, "#7a1f2b"])
DIVERGING = LinearSegmentedColormap.from_list(
    "diverging", [BLUE, "#a9b8e3", PAPER, "#efb08f", ORANGE]
)

# Where real pictures may be. Resolved here: `start` changes the working directory.
_DATA = [
    Path(place).resolve()
    for place in (os.environ.get("COURSE_DATA"), Path(__file__).parent / "data")
    if place
]
_folder: tempfile.TemporaryDirectory[str] | None = None

THINGS = ("boat", "car", "cat", "dog", "fish", "flower", "house", "mushroom", "tree", "umbrella")


def start() -> None:
    """Begin a chapter: in a new folder, so that it can be run again, and with legible figures.

    Figures are on paper of their own, so that they read on light and on dark pages. The folder is
    deleted when the notebook's process ends.
    """
    global _folder
    _folder = tempfile.TemporaryDirectory(prefix="foveal-course-")
    os.chdir(_folder.name)
    plt.rcParams.update(
        {
            "figure.facecolor": PAPER,
            "figure.dpi": 96,
            "figure.constrained_layout.use": True,
            "axes.facecolor": PAPER,
            "axes.edgecolor": GREY,
            "axes.labelcolor": INK,
            "axes.titlesize": 11,
            "axes.titlecolor": INK,
            "axes.labelsize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=COLORS),
            "axes.grid": False,
            "image.cmap": "gray",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9.5,
        }
    )


def show(
    pictures: Iterable[NDArray[np.generic]],
    titles: Sequence[object] = (),
    columns: int = 6,
    width: float = 9.0,
    **options: object,
) -> Figure:
    """Show pictures in rows, each under its title.

    Args:
        pictures: Each (H, W) or (H, W, 3), as `imshow` takes them.
        titles: One for each picture, or none.
        columns: Pictures in a row.
        width: Width of the figure in inches.
        **options: For `imshow`.
    """
    shown = list(pictures)
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    tallest = max(picture.shape[0] / picture.shape[1] for picture in shown)
    lines = max((str(title).count("\n") + 1 for title in titles), default=0)
    titled_rows = -(-len(titles) // columns)
    height = rows * (width / columns * tallest + 0.06) + titled_rows * 0.2 * lines
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    for i, place in enumerate(axes.flat):
        blank(place)
        if i < len(shown):
            place.imshow(shown[i], **options)
        if i < len(titles):
            place.set_title(str(titles[i]), fontsize=9.5)
    return figure


def blank(axes: Axes) -> None:
    """Take ticks and frame off axes that show a picture."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def folder(name: str, kinds: Sequence[str], count: int, size: int = 32) -> Path:
    """Return a folder with one folder of pictures for each class.

    The real data set if it is on this machine, in `$COURSE_DATA/NAME` or in `data/NAME` beside this
    module; otherwise `count` drawn pictures of each kind in `drawn/NAME`.
    """
    for root in _DATA:
        if (root / name).is_dir():
            return root / name
    drawn = Path("drawn") / name
    for kind in kinds:
        (drawn / kind).mkdir(parents=True, exist_ok=True)
        chance = np.random.default_rng([len(kind), *kind.encode()])
        for i in range(count):
            file = drawn / kind / f"{i:04d}.png"
            cv2.imwrite(str(file), cv2.cvtColor(draw(kind, chance, size), cv2.COLOR_RGB2BGR))
    return drawn


def draw(kind: str, chance: np.random.Generator, size: int = 32) -> NDArray[np.uint8]:
    """Draw one of `THINGS`, turned, scaled and coloured at random, on a blotchy background.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    sky = chance.uniform(110, 235, 3)
    blotches = chance.normal(0, 14, (5, 5, 3)).astype(np.float32)
    canvas = sky + cv2.resize(blotches, (4 * size, 4 * size), interpolation=cv2.INTER_CUBIC)
    pen = _Pen(np.clip(canvas, 0, 255).astype(np.uint8), chance)
    _DRAWN[kind](pen)
    small = cv2.resize(pen.canvas, (size, size), interpolation=cv2.INTER_AREA)
    grainy = small + chance.normal(0, 5, small.shape)
    return np.clip(grainy, 0, 255).astype(np.uint8)


class _Pen:
    """Draws in a square from (-1, -1) to (1, 1) that is turned, scaled and shifted at random."""

    def __init__(self, canvas: NDArray[np.uint8], chance: np.random.Generator) -> None:
        self.canvas = canvas
        self.side = canvas.shape[0]
        self.scale = self.side * chance.uniform(0.32, 0.44)
        angle = chance.uniform(-0.3, 0.3)
        mirror = chance.choice((-1, 1))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self.matrix = self.scale * turn * (mirror, 1)
        self.middle = self.side * (0.5 + chance.uniform(-0.08, 0.08, 2))
        self.bright = tuple(chance.uniform(60, 255, 3))
        self.second = tuple(chance.uniform(40, 220, 3))
        self.dark = tuple(chance.uniform(20, 60, 3))

    def _place(self, points: Sequence[tuple[float, float]]) -> NDArray[np.int32]:
        return np.round(np.array(points) @ self.matrix.T + self.middle).astype(np.int32)

    def polygon(self, *points: tuple[float, float], color: tuple[float, ...]) -> None:
        cv2.fillPoly(self.canvas, [self._place(points)], color, cv2.LINE_AA)

    def box(self, x0: float, y0: float, x1: float, y1: float, color: tuple[float, ...]) -> None:
        self.polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1), color=color)

    def disc(self, x: float, y: float, radius: float, color: tuple[float, ...]) -> None:
        (at,) = self._place([(x, y)])
        cv2.circle(self.canvas, at.tolist(), round(radius * self.scale), color, -1, cv2.LINE_AA)

    def dome(self, y: float, color: tuple[float, ...]) -> None:
        """Draw the upper half of a disc of radius 1 that stands at height `y`."""
        turns = np.linspace(np.pi, 2 * np.pi, 40)
        self.polygon(*((np.cos(t), y + np.sin(t)) for t in turns), color=color)


def _boat(pen: _Pen) -> None:
    pen.box(-0.06, -1, 0.06, 0.3, pen.dark)
    pen.polygon((0.1, -0.95), (0.1, 0.2), (0.85, 0.2), color=pen.bright)
    pen.polygon((-0.12, -0.7), (-0.12, 0.2), (-0.65, 0.2), color=pen.bright)
    pen.polygon((-1, 0.35), (1, 0.35), (0.6, 0.85), (-0.6, 0.85), color=pen.second)


def _car(pen: _Pen) -> None:
    pen.polygon((-0.6, -0.1), (-0.35, -0.55), (0.35, -0.55), (0.65, -0.1), color=pen.second)
    pen.polygon((-0.45, -0.1), (-0.27, -0.42), (0.27, -0.42), (0.48, -0.1), color=(215, 232, 240))
    pen.box(-1, -0.12, 1, 0.35, pen.bright)
    for x in (-0.55, 0.55):
        pen.disc(x, 0.38, 0.26, pen.dark)
        pen.disc(x, 0.38, 0.11, (190, 190, 190))


def _cat(pen: _Pen) -> None:
    for side in (-1, 1):
        pen.polygon((0.78 * side, 0), (0.7 * side, -1), (0.1 * side, -0.55), color=pen.bright)
        pen.polygon((0.6 * side, -0.3), (0.62 * side, -0.8), (0.3 * side, -0.5), color=pen.second)
    pen.disc(0, 0.1, 0.78, pen.bright)
    for side in (-1, 1):
        pen.disc(0.32 * side, 0, 0.15, (235, 240, 150))
        pen.disc(0.32 * side, 0, 0.07, pen.dark)
        for y in (0.3, 0.45):
            ends = (0.3 * side, y), (1.0 * side, y - 0.08), (1.0 * side, y - 0.03)
            pen.polygon(*ends, (0.3 * side, y + 0.04), color=pen.dark)
    pen.polygon((-0.1, 0.25), (0.1, 0.25), (0, 0.4), color=pen.dark)


def _dog(pen: _Pen) -> None:
    pen.disc(0, 0, 0.75, pen.bright)
    for side in (-1, 1):
        ear = (0.45 * side, -0.7), (0.85 * side, -0.6), (1.0 * side, 0.45), (0.7 * side, 0.5)
        pen.polygon(*ear, color=pen.second)
        pen.disc(0.28 * side, -0.12, 0.1, pen.dark)
    pen.disc(0, 0.4, 0.4, tuple(0.5 * np.array(pen.bright) + 120))
    pen.disc(0, 0.25, 0.16, pen.dark)
    pen.polygon((-0.1, 0.55), (0.1, 0.55), (0, 0.9), color=(225, 90, 100))


def _fish(pen: _Pen) -> None:
    pen.polygon((0.4, 0), (1, -0.55), (1, 0.55), color=pen.second)
    turns = np.linspace(0, 2 * np.pi, 40)
    pen.polygon(*((-0.2 + 0.75 * np.cos(t), 0.45 * np.sin(t)) for t in turns), color=pen.bright)
    pen.polygon((-0.3, -0.4), (0.25, -0.36), (0.1, -0.75), color=pen.second)
    pen.disc(-0.6, -0.08, 0.12, (250, 250, 250))
    pen.disc(-0.62, -0.08, 0.06, pen.dark)


def _flower(pen: _Pen) -> None:
    pen.box(-0.06, 0, 0.06, 1, (60, 130, 60))
    pen.polygon((0, 0.8), (0.55, 0.35), (0.4, 0.75), color=(70, 150, 70))
    for turn in np.arange(7) * 2 * np.pi / 7:
        pen.disc(0.42 * np.cos(turn), -0.3 + 0.42 * np.sin(turn), 0.26, pen.bright)
    pen.disc(0, -0.3, 0.25, (240, 200, 60))


def _house(pen: _Pen) -> None:
    pen.box(-0.75, -0.15, 0.75, 0.9, pen.bright)
    pen.polygon((-0.95, -0.15), (0, -0.95), (0.95, -0.15), color=pen.second)
    pen.box(-0.2, 0.35, 0.15, 0.9, pen.dark)
    pen.box(0.32, 0.1, 0.6, 0.4, (245, 235, 150))
    pen.box(-0.6, 0.1, -0.32, 0.4, (245, 235, 150))


def _mushroom(pen: _Pen) -> None:
    pen.polygon((-0.25, 0.05), (0.25, 0.05), (0.35, 0.95), (-0.35, 0.95), color=(236, 226, 205))
    pen.dome(0.15, pen.bright)
    for x, y, radius in ((-0.45, -0.2, 0.14), (0.1, -0.5, 0.17), (0.5, -0.1, 0.12)):
        pen.disc(x, y, radius, (250, 245, 235))


def _tree(pen: _Pen) -> None:
    pen.box(-0.13, 0.1, 0.13, 1, (110, 75, 45))
    green = tuple(np.array((50, 125, 50)) + 0.25 * np.array(pen.bright))
    for x, y, radius in ((-0.4, 0, 0.42), (0.4, 0, 0.42), (0, -0.45, 0.52)):
        pen.disc(x, y, radius, green)


def _umbrella(pen: _Pen) -> None:
    pen.box(-0.04, -0.8, 0.04, 0.85, pen.dark)
    pen.polygon((-0.04, 0.78), (0.34, 0.7), (0.34, 0.86), (-0.04, 0.92), color=pen.dark)
    pen.dome(0.05, pen.bright)
    pen.polygon((-0.33, 0.05), (0, -0.95), (0.33, 0.05), color=pen.second)


_DRAWN = {
    "boat": _boat,
    "car": _car,
    "cat": _cat,
    "dog": _dog,
    "fish": _fish,
    "flower": _flower,
    "house": _house,
    "mushroom": _mushroom,
    "tree": _tree,
    "umbrella": _umbrella,
}
