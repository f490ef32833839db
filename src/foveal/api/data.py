"""Look at data, draw it and prepare it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foveal.console import Progress
from foveal.foreign import spelled
from foveal.model import shown_progress

if TYPE_CHECKING:
    from foveal.checks.report import CheckReport
    from foveal.workflow.preprocess import Preprocessed


@spelled
def check(
    data: str | Path,
    *,
    task: str | None = None,
    overrides: Sequence[str] = (),
    label_regex: str | None = None,
    verbose: bool = True,
    progress: Progress | None = None,
) -> CheckReport:
    """Check data without training: layout, balance, unreadable and repeated pictures.

    Args:
        data: As for `train`.
        task: Task that the data is for; None takes that of KIND for `synth:KIND`, else `classify`.
        overrides: Each `key.path=value`, as after `--set`.
        label_regex: Regular expression whose first group is the label in a file name.
        verbose: Whether a terminal or notebook shows a bar, if no `progress` is given.
        progress: Receives the progress.

    Raises:
        DataError: If there are no pictures.
    """
    from foveal.recipe import make_recipe
    from foveal.workflow.check import check_source

    recipe = make_recipe(None, overrides, {"task": task, "label_regex": label_regex})
    reporting = shown_progress(progress, verbose=verbose)
    try:
        return check_source(data, recipe, reporting)
    finally:
        reporting.finish()


@spelled
def synth(
    kind: str,
    out: str | Path,
    *,
    count: int = 1000,
    seed: int = 0,
    options: Mapping[str, str] | None = None,
    workers: int = 0,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Draw labelled pictures of text into a folder that `train` accepts as it is.

    Args:
        kind: What to draw: `captcha`, `letters`, `arithmetic` or `formula`.
        out: The folder to write to; it must be empty or not exist.
        count: Number of pictures.
        seed: Random seed; the same seed gives the same pictures, for any number of workers.
        options: Options of the kind as text, such as `{"length": "4..6"}`.
        workers: Number of processes; 0 uses all cores.
        verbose: Whether a terminal or notebook shows a bar, if no `progress` is given.
        progress: Receives the progress.

    Raises:
        UsageError: For an unknown kind or option, or a folder that is not empty.
        DataError: If no font on this machine has the characters.

    Example:
        >>> foveal.synth("captcha", "plates", options={"length": "4..6"})  # doctest: +SKIP
        PosixPath('plates')
    """
    from foveal.synth import make_kind, write_folder

    target = Path(out)
    drawn = make_kind(kind, options or {})
    reporting = shown_progress(progress, verbose=verbose)
    try:
        write_folder(drawn, target, count=count, seed=seed, workers=workers, progress=reporting)
    finally:
        reporting.finish()
    return target


@spelled
def preprocess(
    pictures: str | Path | Iterable[str | Path],
    *,
    steps: Sequence[str] | None = None,
    out: str | Path | None = None,
    each: bool = False,
    verbose: bool = True,
    progress: Progress | None = None,
) -> list[Preprocessed]:
    """Clean pages and cut them into lines of text, in parallel.

    Args:
        pictures: One or several paths of files or folders, or globs.
        steps: Such as `["grey", "median:5", "threshold", "lines"]`; None takes
            `foveal.page.DEFAULT_STEPS`, which finds lines on clean and noisy pages.
        out: Folder for the results as PNG files; None keeps them in memory.
        each: With `out`: also write the result of every step and an overview, in a folder for
            each picture.
        verbose: Whether a terminal or notebook shows a bar, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        One result for each picture, in order, with `.image`, `.pieces` and `.stages` (the result of
        each step), or `.error` if it cannot be read. Renders in a notebook as its stages.

    Raises:
        RecipeError: For an unknown step.
        MissingExtraError: If OpenCV is not installed.
        DataError: For a folder without pictures.

    Example:
        >>> page = foveal.preprocess("page.png", steps=["grey", "median:5"])[0]  # doctest: +SKIP
        >>> [stage.step for stage in page.stages]  # doctest: +SKIP
        ['grey', 'median:5']
    """
    from foveal.page import DEFAULT_STEPS
    from foveal.workflow.preprocess import preprocess_files

    given = [pictures] if isinstance(pictures, (str, Path)) else pictures
    return preprocess_files(
        given,
        DEFAULT_STEPS if steps is None else steps,
        out=None if out is None else Path(out),
        each=each,
        progress=shown_progress(progress, verbose=verbose),
    )
