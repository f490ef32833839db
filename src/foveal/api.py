"""The public functions. The command line, notebooks and jobs call these and nothing else.

Heavy parts (torch, the web server) are imported where they are first needed, so that
`import foveal` and `foveal predict` start fast.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveal.console import NoProgress, Progress
from foveal.errors import MissingExtraError, UsageError
from foveal.model import Model, PictureLike

if TYPE_CHECKING:
    from foveal.evaluate.compare import Comparison
    from foveal.evaluate.evaluate import Evaluation
    from foveal.explain.evidence import Explanation
    from foveal.recipe import Recipe
    from foveal.workflow.check import CheckReport
    from foveal.workflow.preprocess import Preprocessed

# Everyday knobs → where they stand in the recipe.
KNOBS = {
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "image_size": "pipeline.image_size",
    "backbone": "model.backbone",
    "lr": "train.lr",
    "patience": "train.patience",
    "budget_s": "train.budget_s",
    "seed": "seed",
    "device": "train.device",
    "strategy": "train.strategy",
    "allow_download": "model.allow_download",
    "label_regex": "data.label_regex",
}


def train(
    data: str | Path,
    *,
    task: str | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    **knobs: Any,
) -> Model:
    """Train on a folder of pictures and return the proven model.

    Args:
        data: A folder, table, array file or URL; see the data layouts in the README.
        task: What to learn: `classify`, `read` or `segment`. None takes the recipe's, the drawn
            kind's for `synth:KIND`, else `classify`.
        name: Name of the run; None takes the data's.
        out: Folder of the runs.
        recipe: A recipe or the path of a recipe file; None chooses everything from the data.
        overrides: `key.path=value` each, as after `--set`.
        progress: Told how far the work is.
        **knobs: Everyday recipe keys: `epochs`, `batch_size`, `image_size`, `backbone`, `lr`,
            `patience`, `budget_s`, `seed`, `device`, `strategy`, `allow_download`,
            `label_regex`.

    Returns:
        The model; `.run` is the run directory.

    Raises:
        DataError: When the data cannot be trained on.
        RecipeError: For an unknown key or a value out of range.
        ParityError: When the exported network does not answer like the trained one.

    Example:
        >>> model = foveal.train("photos/", epochs=3)  # doctest: +SKIP
        >>> model("cat.jpg").label  # doctest: +SKIP
        'cat'
    """
    resolved = _recipe(_task(data, task, recipe), recipe, overrides, knobs)
    run_training = _training().run_training
    run = run_training(data, resolved, out=Path(out), name=name, progress=progress or NoProgress())
    return Model(run)


def resume(run: str | Path, *, progress: Progress | None = None) -> Model:
    """Go on with a training that was interrupted, from its last checkpoint.

    Args:
        run: The run directory.
        progress: Told how far the work is.

    Raises:
        BundleError: When there is no such run.
    """
    return Model(_training().resume_training(Path(run), progress=progress or NoProgress()))


def extend(run: str | Path, epochs: int, *, progress: Progress | None = None) -> Model:
    """Train a finished run for more epochs, from its final weights, into a new run.

    Args:
        run: The finished run's directory; it stays as it is.
        epochs: How many more.
        progress: Told how far the work is.
    """
    if epochs < 1:
        raise UsageError(f"Invalid epochs. Expected at least 1. Received: {epochs}.")
    return Model(_training().extend_training(Path(run), epochs, progress=progress or NoProgress()))


def load(model: str | Path) -> Model:
    """Open a trained model.

    Args:
        model: A run, a bundle folder, a `.foveal` file, or `imagenet`.

    Raises:
        BundleError: When nothing is there, or what is there is not a bundle.

    Example:
        >>> foveal.load("runs/classify/photos")("cat.jpg").headline  # doctest: +SKIP
        'cat 98.1 %'
    """
    return Model(model)


def evaluate(
    model: str | Path | Model,
    data: str | Path,
    *,
    split: str | None = None,
    out: str | Path | None = None,
    label_regex: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a bundle on labelled data, through the same code that serves it.

    Args:
        model: As for `load`; several joined by commas vote, each with its own pre-processing.
        data: Labelled data in any layout that training takes, or `synth:KIND`.
        split: `train`, `val` or `test`: only that part, where the data names parts.
        out: Folder for report.html, metrics.json and predictions.csv; None writes nothing.
        label_regex: Its first group, in a file's name, is the picture's label.
        progress: Told how far the work is.

    Raises:
        DataError: When no labelled picture can be read.
        UsageError: When bundles that shall vote differ in task or labels.
    """
    first, *others = [model] if isinstance(model, Model) else _voters(str(model))
    return first.evaluate(
        data, split=split, out=out, label_regex=label_regex, progress=progress, others=others
    )


def predict(
    model: str | Path | Model,
    pictures: Iterable[str | Path],
    *,
    batch_size: int = 32,
    out: str | Path | None = None,
    maps: bool = False,
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield one record for each picture of the files, folders and globs given, in order.

    A picture that cannot be read yields `{"source", "error"}`; the others are answered.

    Args:
        model: As for `load`.
        pictures: Paths of files and folders, and globs.
        batch_size: Pictures in one run of the network; those that are cut into tiles run alone.
        out: Folder for `<stem>.png` (the mask, of a model that gives masks) and
            `<stem>_overlay.jpg` (the answer drawn on the picture); records hold their paths then.
            None writes nothing.
        maps: With `out`: also write each label's probabilities as `<stem>_<label>.png`, grey,
            255 for 1.
        progress: Told how far the work is, with `out`.

    Raises:
        UsageError: When `out` cannot be written or holds the pictures themselves.

    Example:
        >>> for record in foveal.predict("runs/segment/cells", ["slides/"], out="masks"):
        ...     record["mask"]["path"]  # doctest: +SKIP
        'masks/slide1.png'
    """
    opened = model if isinstance(model, Model) else Model(model)
    return opened.predict(pictures, batch_size=batch_size, out=out, maps=maps, progress=progress)


def explain(
    model: str | Path | Model,
    picture: PictureLike,
    *,
    label: str | None = None,
    method: str = "evidence",
) -> Explanation:
    """Say why a picture gets its answer: a heat map over it.

    Args:
        model: As for `load`.
        picture: A path, bytes, array or Pillow image.
        label: The label to explain; None takes the answer's own.
        method: `evidence` (the model's own map) or `occlusion` (slower, independent).
    """
    opened = model if isinstance(model, Model) else Model(model)
    return opened.explain(picture, label=label, method=method)


def compare(runs: Sequence[str | Path], *, out: str | Path | None = None) -> Comparison:
    """Hold runs beside each other: what differs in recipe and metrics, with a paired test.

    Args:
        runs: Run directories, or folders that `evaluate` wrote.
        out: Folder for the table; None writes nothing.
    """
    from foveal.evaluate.compare import compare as compare_runs

    comparison = compare_runs([Path(run) for run in runs])
    if out is not None:
        comparison.write(Path(out))
    return comparison


def check(
    data: str | Path,
    *,
    task: str | None = None,
    overrides: Sequence[str] = (),
    label_regex: str | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Look a source over without training: layout, balance, unreadable and repeated pictures.

    Args:
        data: As for `train`.
        task: What is to be learnt; None takes the drawn kind's for `synth:KIND`, else `classify`.
        overrides: `key.path=value` each, as after `--set`.
        label_regex: Its first group, in a file's name, is the picture's label.
        progress: Told how far the work is.

    Raises:
        DataError: When there is nothing to look at.
    """
    from foveal.workflow.check import check_source

    recipe = _recipe(_task(data, task, None), None, overrides, {"label_regex": label_regex})
    return check_source(data, recipe, progress or NoProgress())


def synth(
    kind: str,
    out: str | Path,
    *,
    count: int = 1000,
    seed: int = 0,
    options: Mapping[str, str] | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Draw labelled pictures of text into a folder that `train` takes as it is.

    Args:
        kind: What to draw: `captcha`, `letters`, `arithmetic` or `formula`.
        out: The folder; refused when it holds anything already.
        count: How many pictures.
        seed: Same seed, same pictures, whatever the number of workers.
        options: The kind's own options as text, such as `{"length": "4..6"}`.
        workers: Processes; 0 takes all cores.
        progress: Told how far the work is.

    Raises:
        UsageError: For an unknown kind or option, or a folder that is not empty.
        DataError: When this machine has no font that can draw them.

    Example:
        >>> foveal.synth("captcha", "plates", options={"length": "4..6"})  # doctest: +SKIP
        PosixPath('plates')
    """
    from foveal.synth import make_kind, write_folder

    target = Path(out)
    drawn = make_kind(kind, options or {})
    write_folder(drawn, target, count=count, seed=seed, workers=workers, progress=progress)
    return target


def preprocess(
    pictures: str | Path | Iterable[str | Path],
    *,
    steps: Sequence[str] | None = None,
    out: str | Path | None = None,
    each: bool = False,
    progress: Progress | None = None,
) -> list[Preprocessed]:
    """Clean pages and cut them to their lines of text, in parallel.

    Args:
        pictures: Paths of files and folders, and globs; one or several.
        steps: Such as `["grey", "median:5", "threshold", "lines"]`; None takes
            `foveal.page.DEFAULT_STEPS`, which finds lines on clean and noisy pages.
        out: Folder for the results as PNG; None keeps them in memory.
        each: With `out`: write what every step made too, in a folder for each picture, and an
            overview of them.
        progress: Told how far the work is.

    Returns:
        One for each picture, in order: `.image`, `.pieces`, `.stages` (what each step made), or
        `.error` for one that cannot be read. Renders in a notebook as its stages.

    Raises:
        RecipeError: For an unknown step.
        MissingExtraError: When OpenCV is not installed.
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
        progress=progress or NoProgress(),
    )


def export(model: str | Path | Model, to: str, out: str | Path) -> Path:
    """Write a bundle in another form.

    Args:
        model: As for `load`.
        to: `onnx` (the network alone), `foveal` (the bundle as one file), or a plug-in's format.
        out: The file to write.

    Raises:
        UsageError: When there is no such format.
    """
    from foveal.export.formats import write_as

    return write_as((model if isinstance(model, Model) else Model(model)).bundle, to, Path(out))


def serve(
    model: str | Path | Model,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_ready: Callable[[str], None] | None = None,
    **options: Any,
) -> None:
    """Serve a model over HTTP with its web page until interrupted.

    Args:
        model: As for `load`.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        on_ready: Called with the URL once the server answers.
        **options: Fields of `foveal.server.options.ServerOptions`.
    """
    from foveal.server.run import serve as run_server

    opened = model if isinstance(model, Model) else Model(model)
    predictors = {opened.bundle.name: opened.predictor}
    run_server(predictors, on_ready=on_ready, host=host, port=port, **options)


def _task(data: str | Path, task: str | None, recipe: object) -> str | None:
    if task is not None or recipe is not None:
        return task
    from foveal.synth import is_synth, kind_of

    return kind_of(str(data)).task if is_synth(data) else None


def _voters(models: str) -> list[Model]:
    # A folder may have a comma in its name.
    names = [models] if Path(models).exists() else models.split(",")
    return [Model(name.strip()) for name in names]


def _recipe(
    task: str | None,
    recipe: str | Path | Recipe | None,
    overrides: Sequence[str],
    knobs: dict[str, Any],
) -> Recipe:
    from foveal.errors import unknown_name
    from foveal.recipe import Recipe

    given = {key: value for key, value in knobs.items() if value is not None}
    for key in given:
        if key not in KNOBS:
            raise UsageError(unknown_name("knob", key, KNOBS), hint='overrides=["train.epochs=5"]')
    if isinstance(recipe, Recipe):
        loaded = recipe.overridden(overrides)
    else:
        loaded = Recipe.load(Path(recipe) if recipe is not None else None, overrides)
    changes = {KNOBS[key].replace(".", "__"): value for key, value in given.items()}
    if task is not None:
        changes["task"] = task
    return loaded.updated(**changes)


def _training() -> Any:
    # Threads that wait by spinning fight over the cores of a machine that does anything else
    # beside: with one other busy process two of them train at a tenth of the speed of sleeping
    # ones, which alone cost under a tenth. Read by OpenMP when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Training needs torch, which is not installed.", hint="pip install 'foveal[train]'"
        ) from error
    from foveal.workflow import train as training

    return training
