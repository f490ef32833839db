"""Check, collect, draw, pre-process and split data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foveal.console import Progress
from foveal.errors import MissingExtraError, UsageError
from foveal.extras import import_extra, install_extra
from foveal.foreign import spelled
from foveal.model import PictureLike, shown_progress

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
    predictions: str | Path | None = None,
    verbose: bool = True,
    progress: Progress | None = None,
) -> CheckReport:
    """Check data without training: layout, class balance, unreadable and duplicate pictures.

    Args:
        data: As for `train`.
        task: Task of the data; None takes `classify`, or the task of KIND for `synth:KIND`.
        overrides: Settings of the recipe, each as `key.path=value`.
        label_regex: Regular expression whose first group is the label in a file name.
        features: Also compute features of every picture with the packaged backbone, to find labels
            that look wrong and pictures that belong to no class. The features are cached.
        predictions: A run that was trained on these data with `folds`, its directory or its name,
            or its `predictions.csv`: labels are checked by its out-of-fold predictions instead of
            by those of a linear model on the features.
        verbose: Whether to show a progress bar in a terminal or notebook, if no `progress` is
            given.
        progress: Receives the progress.

    Raises:
        DataError: If there are no pictures, or if the predictions are missing or do not belong to
            them.
        MissingExtraError: If `features` is set and torch is not installed.
        WeightsError: If `features` is set and the weights of the backbone are not installed.
    """
    from foveal.recipe import make_recipe
    from foveal.workflow.check import check_source
    from foveal.workflow.predicted import predictions_file

    recipe = make_recipe(None, overrides, {"task": task, "label_regex": label_regex})
    with shown_progress(progress, verbose=verbose) as reporting:
        return check_source(
            data,
            recipe,
            reporting,
            answer=network_answers() if features else None,
            predictions=None if predictions is None else predictions_file(predictions),
        )


def network_answers() -> AddAnswers:
    """Return the function that computes features and out-of-fold answers for checks.

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
    """Download pictures from listing pages, or from a list of URLs, into class folders.

    Files are stored unchanged, and identical files only once. `provenance.csv` beside the class
    folders records the source of each picture. Repeating an interrupted call continues it: nothing
    is downloaded twice. robots.txt is respected, and requests to a host are rate-limited.

    Args:
        recipe: YAML file that describes the listing pages (see docs/curate/collect.md), or a table
            with the columns address and label (.csv, .tsv, .jsonl).
        out: Folder to write to; may be None with `dry_run`.
        dry_run: Only read the first page of each class, and return its contents as `.pages`.
        update: Read listing pages again that an earlier call has read, to find new pictures.
        allow_private: Also connect to addresses of private networks and of this machine.
        overrides: Settings of the recipe, such as `limits.pages=5`.
        verbose: Whether to show the progress in a terminal or notebook, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        The number of pictures of each class, and why others were not kept.

    Raises:
        RecipeError: If the recipe or list is invalid; the message names the key or line.
        UsageError: If the folder cannot be written to, or another process is collecting into it.
        MissingExtraError: If a package of `foveal[collect]` is not installed.
        KeyboardInterrupt: After Ctrl-C, as `CollectingInterrupted`, whose `.collected` holds the
            result so far.

    Example:
        >>> foveal.collect("ads.yaml", "photos").kept  # doctest: +SKIP
        480
    """
    for package in ("httpcore", "anyio", "parsel", "protego"):
        import_extra(package, "collect", f"Collecting pictures needs {package}")
    from foveal.collect.recipe import load_recipe
    from foveal.collect.start import collect_pictures, look_at_first_pages

    wanted = load_recipe(Path(recipe), overrides)
    with shown_progress(progress, verbose=verbose) as reporting:
        if dry_run:
            return look_at_first_pages(wanted, allow_private=allow_private, progress=reporting)
        if out is None:
            raise UsageError(
                "No folder was given to collect into.", hint=f"foveal collect {recipe} --out photos"
            )
        return collect_pictures(
            wanted, Path(out), update=update, allow_private=allow_private, progress=reporting
        )


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
        kind: Kind of text: `captcha`, `letters`, `arithmetic`, `formula`, or the kind of a plug-in.
        out: Folder to write to; must be empty or not exist.
        count: Number of pictures.
        seed: Random seed; the same seed gives the same pictures with any number of workers.
        options: Options of the kind, as strings, such as `{"length": "4..6"}`.
        workers: Number of processes; 0 uses all cores.
        verbose: Whether to show a progress bar in a terminal or notebook, if no `progress` is
            given.
        progress: Receives the progress.

    Raises:
        UsageError: If the kind or an option is unknown, or the folder is not empty.
        DataError: If no font on this machine has the required characters.

    Example:
        >>> foveal.synth("captcha", "plates", options={"length": "4..6"})  # doctest: +SKIP
        PosixPath('plates')
    """
    from foveal.synth import make_kind, write_folder

    target = Path(out)
    drawn = make_kind(kind, options or {})
    with shown_progress(progress, verbose=verbose) as reporting:
        write_folder(drawn, target, count=count, seed=seed, workers=workers, progress=reporting)
    return target


@spelled
def preprocess(
    pictures: PictureLike | Iterable[PictureLike],
    *,
    steps: Sequence[str] | None = None,
    out: str | Path | None = None,
    each: bool = False,
    verbose: bool = True,
    progress: Progress | None = None,
) -> list[Preprocessed]:
    """Clean pages and cut them into lines of text, in parallel.

    Args:
        pictures: One picture, or several, as `foveal.predict` accepts them: paths, folders,
            archives, globs, bytes, arrays, Pillow images.
        steps: Page steps, such as `["grey", "median:5", "threshold", "lines"]`; None takes
            `foveal.page.DEFAULT_STEPS`, which find the lines of clean and noisy pages.
        out: Folder for the results as PNG files; None keeps them in memory.
        each: With `out`: also write the result of each step and an overview, in one folder per
            picture.
        verbose: Whether to show a progress bar in a terminal or notebook, if no `progress` is
            given.
        progress: Receives the progress.

    Returns:
        One result per picture, in order, with `.image`, `.pieces` and `.stages` (the result of each
        step), or with `.error` if the picture cannot be read. A notebook shows the stages.

    Raises:
        RecipeError: If a step is unknown.
        MissingExtraError: If OpenCV is not installed.
        DataError: If a folder has no pictures.

    Example:
        >>> page = foveal.preprocess("page.png", steps=["grey", "median:5"])[0]  # doctest: +SKIP
        >>> [stage.step for stage in page.stages]  # doctest: +SKIP
        ['grey', 'median:5']
    """
    from foveal.page import DEFAULT_STEPS
    from foveal.workflow.preprocess import preprocess_pictures

    with shown_progress(progress, verbose=verbose) as reporting:
        return preprocess_pictures(
            pictures,
            DEFAULT_STEPS if steps is None else steps,
            out=None if out is None else Path(out),
            each=each,
            progress=reporting,
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
    """Split data into the folders `train`, `val` and `test`, as Keras and YOLO expect them.

    Each part has class folders; for texts and multi-label data, the pictures and a `labels.csv`;
    for masks, `images`, `masks` and one `classes.txt`. The split is stratified by label. Groups,
    duplicates and near-duplicates stay in one part, and parts that the data define already are
    kept. The folder is written completely or not at all, and the data are not changed.

    Args:
        data: As for `train`: a folder in any layout, an archive, arrays or a URL.
        out: Folder to write; must be empty or not exist.
        val: Share of the pictures used for validation, in (0, 1).
        test: Share of the pictures used for testing, in [0, 1).
        size: Limit on the longer side of the pictures, in pixels, or their (height, width), which
            ignores the aspect ratio. Pictures are then written as PNG files. None copies the files
            unchanged.
        link: `copy` copies the files; `hard` and `symbolic` link to them.
        look: Open every picture to find duplicates and unreadable files. False splits by names and
            groups alone, which is faster for very many files.
        seed: Random seed of the split; None takes that of the recipe, 0.
        task: As for `check`; None takes that of the last check.
        overrides: As for `check`.
        label_regex: As for `check`.
        verbose: Whether to show a progress bar in a terminal or notebook, if no `progress` is
            given.
        progress: Receives the progress.

    Returns:
        The number of pictures of each class in each part; a notebook shows it as a table.

    Raises:
        DataError: If there are no pictures to split, or a label cannot be the name of a folder.
        UsageError: If the shares leave nothing to train on, or the folder is not empty.

    Example:
        >>> foveal.split("photos", "photos-split", val=0.2, test=0.1)  # doctest: +SKIP
        Divided(photos to photos-split: train 700, val 200, test 100)
    """
    from foveal.recipe import make_recipe
    from foveal.workflow.divide import Shares, divide
    from foveal.workflow.tree import Form

    given = {"task": task, "label_regex": label_regex, "seed": seed}
    recipe = make_recipe(None, overrides, given)
    form = Form(link, size)
    with shown_progress(progress, verbose=verbose) as reporting:
        return divide(
            data, Path(out), recipe, Shares(val, test), form, look=look, progress=reporting
        )
