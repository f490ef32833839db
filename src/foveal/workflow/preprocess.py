"""Run page steps on many pictures in threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import final

from foveal.console import Progress
from foveal.data.decode import DEFAULT_LIMITS, decode
from foveal.destination import check_folder, writing
from foveal.errors import ImageError
from foveal.machine import available_cores
from foveal.page import Stage, parse_steps, run_steps, show_steps
from foveal.page.opencv import opencv
from foveal.page.run import stages_sheet
from foveal.predict.inputs import Given, PictureLike, file_bytes, read_each
from foveal.render import encode_png
from foveal.types import Image, JsonObject, Picture, Piece

OVERVIEW_NAME = "overview.png"


@final
@dataclass(frozen=True, eq=False)
class Preprocessed:
    """The result of the page steps for one picture; a notebook shows it as a row of pictures.

    Attributes:
        source: Path of the picture, or what `predict` calls one in memory: `picture 0`.
        steps: The steps, as in a recipe.
        size: (height, width) of the result, in pixels; (0, 0) if the file cannot be read.
        pieces: The lines of the strip with their positions; see `foveal.types.Piece`.
        path: Path of the PNG that was written, or None.
        error: Why the file cannot be read, or None.
        kept: The result if no file was written; `image` returns it in both cases.
        given: The picture.
    """

    source: str
    steps: tuple[str, ...]
    size: tuple[int, int] = (0, 0)
    pieces: tuple[Piece, ...] = ()
    path: Path | None = None
    error: ImageError | None = None
    kept: Image | None = field(default=None, repr=False)
    given: Given | None = field(default=None, repr=False)

    @property
    def image(self) -> Image:
        """The result, (H, W, 3) uint8 RGB; read from the written file if there is one.

        Raises:
            ImageError: If the picture could not be read.
        """
        if self.error is not None:
            raise self.error
        if self.kept is not None:
            return self.kept
        return _pixels(Given(str(self.path), str(self.path)))

    @property
    def stages(self) -> list[Stage]:
        """The result of each step; the steps are run again, so that results need no memory.

        Raises:
            ImageError: If the picture cannot be read.
        """
        if self.error is not None:
            raise self.error
        return show_steps(_pixels(self.given or Given(self.source, self.source)), self.steps)

    def to_json(self) -> JsonObject:
        """Return the result as JSON values, without its pixels."""
        if self.error is not None:
            return {"source": self.source, "error": self.error.to_json()}
        return {
            "source": self.source,
            "out": None if self.path is None else str(self.path),
            "size": list(self.size),
            "pieces": [{"box": [p.x0, p.y0, p.x1, p.y1], "x": p.x, "y": p.y} for p in self.pieces],
        }

    def __repr__(self) -> str:
        """Return the picture and its result in one line."""
        if self.error is not None:
            return f"Preprocessed({self.source!r}, error={self.error.message!r})"
        height, width = self.size
        return f"Preprocessed({self.source!r}, {width} x {height}, {len(self.pieces)} pieces)"

    def _repr_html_(self) -> str:
        from foveal.notebook.inline import failed_html, stages_html

        return stages_html(self.stages) if self.error is None else failed_html(self.error)


def preprocess_pictures(
    pictures: PictureLike | Iterable[PictureLike],
    steps: Sequence[str],
    *,
    out: Path | None,
    each: bool,
    progress: Progress,
) -> list[Preprocessed]:
    """Run page steps on pictures, as `predict` accepts them.

    Args:
        pictures: One picture, a folder, an archive, a glob, or several of these.
        steps: Steps, as in a recipe.
        out: Folder for the results as PNG; None keeps them in memory.
        each: Also write the result of each step, in one folder per picture.
        progress: Receives the progress.

    Returns:
        One result per picture, in order; that of an unreadable file has an `error`.

    Raises:
        RecipeError: If a step is invalid.
        MissingExtraError: If OpenCV is not installed.
        DataError: If a folder has no pictures, or a glob matches nothing.
        UsageError: If a result cannot be written, or something is no picture.
    """
    canonical = tuple(str(step) for step in parse_steps(steps))
    opencv()
    given = list(read_each(pictures))
    targets: list[Path | None] = [None] * len(given)
    if out is not None:
        check_folder(out)
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
        targets = [out / f"{name}.png" for name in _names([each.source for each in given])]
    work = partial(_preprocess, steps=canonical, each=each)
    done = []
    progress.start("pages", len(given))
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="page") as pool:
        for result in pool.map(work, given, targets):
            done.append(result)
            progress.update(len(done))
    progress.finish()
    return done


def _preprocess(
    given: Given, target: Path | None, *, steps: tuple[str, ...], each: bool
) -> Preprocessed:
    source = given.source
    try:
        pixels = _pixels(given)
    except ImageError as error:
        return Preprocessed(source, steps, error=error)
    image, pieces = run_steps(pixels, steps)
    size = image.shape[0], image.shape[1]
    if target is None:
        return Preprocessed(source, steps, size, pieces, kept=image, given=given)
    _write(target, image)
    if each:
        folder = target.with_suffix("")
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        stages = show_steps(pixels, steps)
        for number, stage in enumerate(stages, 1):
            _write(folder / f"{number:02d}-{stage.step.partition(':')[0]}.png", stage.image)
        _write(folder / OVERVIEW_NAME, stages_sheet(stages))
    return Preprocessed(source, steps, size, pieces, target, given=given)


def _pixels(given: Given) -> Image:
    if isinstance(given.content, Picture):
        return given.content.pixels
    return decode(file_bytes(given.content, DEFAULT_LIMITS), DEFAULT_LIMITS).pixels


def _names(files: Sequence[str]) -> list[str]:
    """Return a unique name for each file: its stem, with a number where needed."""
    taken: Counter[str] = Counter()
    names: list[str] = []
    for file in files:
        stem = Path(file).stem
        name = stem
        # Not the count alone: `a`, `a`, `a-2` are three names too.
        while name in taken:
            taken[stem] += 1
            name = f"{stem}-{taken[stem]}"
        taken[name] += 1
        names.append(name)
    return names


def _write(path: Path, image: Image) -> None:
    with writing(path):
        path.write_bytes(encode_png(image))
