"""Look at data, draw it and prepare it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foveal.console import Progress
from foveal.errors import MissingExtraError, UsageError
from foveal.extras import import_extra, install_extra
from foveal.foreign import spelled
from foveal.model import shown_progress

if TYPE_CHECKING:
    from foveal.checks.report import CheckReport
    from foveal.collect.report import Collected
    from foveal.workflow.check import AddAnswers
    from foveal.workflow.divide import Divided
    from foveal.workflow.preprocess import Preprocessed
    from foveal.workflow.tree import Link


@spelled
def check(
    data: str | Path,
    *,
    task: str | None = None,
    overrides: Sequence[str] = (),
    label_regex: str | None = None,
    features: bool = False,
    verbose: bool = True,
    progress: Progress | None = None,
) -> CheckReport:
    """Check data without training: layout, balance, unreadable and repeated pictures.

    Args:
        data: As for `train`.
        task: Task that the data is for; None takes that of KIND for `synth:KIND`, else `classify`.
        overrides: Each `key.path=value`, as after `--set`.
        label_regex: Regular expression whose first group is the label in a file name.
        features: Also compute features of every picture with the packaged backbone, for labels
            that look wrong and pictures that belong to no class. They are kept for the next time.
        verbose: Whether a terminal or notebook shows a bar, if no `progress` is given.
        progress: Receives the progress.

    Raises:
        DataError: If there are no pictures.
        MissingExtraError: If `features` are wanted and torch is not installed.
        WeightsError: If `features` are wanted and the backbone's weights are not installed.
    """
    from foveal.recipe import make_recipe
    from foveal.workflow.check import check_source

    recipe = make_recipe(None, overrides, {"task": task, "label_regex": label_regex})
    reporting = shown_progress(progress, verbose=verbose)
    try:
        return check_source(data, recipe, reporting, answer=network_answers() if features else None)
    finally:
        reporting.finish()


def network_answers() -> AddAnswers:
    """Import what computes features and out-of-fold answers for checks.

    Raises:
        MissingExtraError: If torch is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Features need torch, which is not installed.", hint=install_extra("train")
        ) from error
    from foveal.workflow.features import answer

    return answer


@spelled
def collect(
    recipe: str | Path,
    out: str | Path | None = None,
    *,
    dry_run: bool = False,
    update: bool = False,
    allow_private: bool = False,
    overrides: Sequence[str] = (),
    verbose: bool = True,
    progress: Progress | None = None,
) -> Collected:
    """Collect pictures from listing pages, or from a list of addresses, into class folders.

    The bytes are kept as they came, equal ones once. `provenance.csv` beside the class folders says
    where each picture is from. A call that was ended, in whatever way, is continued by the same
    call: what was fetched is not fetched again. robots.txt is obeyed, and a host is asked slowly.

    Args:
        recipe: YAML that says where to look (docs/curate/collect.md), or a table with the columns
            address and label (.csv, .tsv, .jsonl).
        out: The folder to write to; None is allowed with `dry_run`.
        dry_run: Read the first page of each class, and return what it lists as `.pages`.
        update: Read listing pages again that a call before has read, for what is new on them.
        allow_private: Connect to addresses of private networks and of this machine too.
        overrides: Keys of the recipe, each `limits.pages=5`.
        verbose: Whether a terminal or notebook shows the progress, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        What there is of each class, and why the rest was not kept.

    Raises:
        RecipeError: For a recipe or list that is wrong; it names the key or the line.
        UsageError: For a folder that cannot be written to, or that another process collects into.
        MissingExtraError: When a package of `foveal[collect]` is not installed.
        KeyboardInterrupt: After Ctrl-C, a `CollectingInterrupted` with what there is as
            `.collected`.

    Example:
        >>> foveal.collect("ads.yaml", "photos").kept  # doctest: +SKIP
        480
    """
    for package in ("httpcore", "anyio", "parsel", "protego"):
        import_extra(package, "collect", f"Collecting pictures needs {package}")
    from foveal.collect.recipe import load_recipe
    from foveal.collect.start import collect_pictures, look_at_first_pages

    wanted = load_recipe(Path(recipe), overrides)
    reporting = shown_progress(progress, verbose=verbose)
    try:
        if dry_run:
            return look_at_first_pages(wanted, allow_private=allow_private, progress=reporting)
        if out is None:
            raise UsageError(
                "There is no folder to collect into.", hint=f"foveal collect {recipe} --out photos"
            )
        return collect_pictures(
            wanted, Path(out), update=update, allow_private=allow_private, progress=reporting
        )
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


@spelled
def split(
    data: str | Path,
    out: str | Path,
    *,
    val: float = 0.2,
    test: float = 0.0,
    size: int | tuple[int, int] | None = None,
    link: Link = "copy",
    look: bool = True,
    seed: int | None = None,
    task: str | None = None,
    overrides: Sequence[str] = (),
    label_regex: str | None = None,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Divided:
    """Divide data into folders `train`, `val` and `test`, as Keras and YOLO read them.

    Each side has class folders; for texts and several labels at once, the pictures and a
    `labels.csv`; for masks, `images`, `masks` and one `classes.txt`. Every label gets its share on
    each side. Groups, copies and near-copies stay together, and a side that the data state stays.
    The folder is there whole or not at all; the data stay as they are.

    Args:
        data: As for `train`: any layout, an archive, arrays, a URL.
        out: The folder to write; it must be empty or not exist.
        val: Share of the pictures for validation.
        test: Share that is kept for testing.
        size: Longer side in pixels that pictures get at most, or (height, width) that they get
            whatever their proportions; then they are PNG files. None leaves them as they are.
        link: `copy`, or `hard` or `symbolic` links to the files.
        look: Open every picture to find copies and what is unreadable. Without it, very many
            files are divided by their names and groups alone.
        seed: Another seed, another split; None takes that of the recipe, 0.
        task: As for `check`; None takes that of the last check.
        overrides: As for `check`.
        label_regex: As for `check`.
        verbose: Whether a terminal or notebook shows a bar, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        What was written where; a notebook shows it as a table.

    Raises:
        DataError: When there is nothing to divide, or a label cannot be the name of a folder.
        UsageError: For shares that leave nothing to train on, or a folder that is not empty.

    Example:
        >>> foveal.split("photos", "photos-split", val=0.2, test=0.1)  # doctest: +SKIP
        Divided(photos to photos-split: train 700, val 200, test 100)
    """
    from foveal.recipe import make_recipe
    from foveal.workflow.divide import Shares, divide
    from foveal.workflow.tree import Form

    given = {"task": task, "label_regex": label_regex, "seed": seed}
    recipe = make_recipe(None, overrides, given)
    reporting = shown_progress(progress, verbose=verbose)
    form = Form(link, size)
    try:
        return divide(
            data, Path(out), recipe, Shares(val, test), form, look=look, progress=reporting
        )
    finally:
        reporting.finish()
