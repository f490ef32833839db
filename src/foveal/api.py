"""The public functions. The command line, notebooks and jobs call these and nothing else.

Heavy parts (torch, the web server) are imported where they are first needed, so that
`import foveal` and `foveal predict` start fast.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack, cast

from foveal.console import NoProgress, Progress
from foveal.errors import MissingExtraError, UsageError
from foveal.model import Model

if TYPE_CHECKING:
    from foveal.evaluate.compare import Comparison
    from foveal.recipe import Knobs, Recipe
    from foveal.workflow.check import CheckReport
    from foveal.workflow.preprocess import Preprocessed

P = ParamSpec("P")
R = TypeVar("R")


def _opened(model: str | Path | Model) -> Model:
    return model if isinstance(model, Model) else Model(model)


def load_voters(models: str, **limits: int | None) -> list[Model]:
    """Open one model, or several joined by commas; `limits` are those of `load`."""
    # A folder may have a comma in its name.
    names = [models] if Path(models).exists() else models.split(",")
    return [load(name.strip(), **limits) for name in names]


def _of_model(
    method: Callable[Concatenate[Model, P], R], *, votes: bool = False
) -> Callable[Concatenate[str | Path | Model, P], R]:
    """Return a method of `Model` as a function that opens its model first.

    Args:
        method: Has the documentation.
        votes: Whether several models may be joined by commas; they are passed on as `others`.
    """

    @wraps(method)
    def function(model: str | Path | Model, *args: P.args, **kwargs: P.kwargs) -> R:
        if votes and isinstance(model, str):
            model, *others = load_voters(model)
            if others:
                kwargs["others"] = others
        return method(_opened(model), *args, **kwargs)

    about = "As for `load`" + ("; several joined by commas vote." if votes else ".")
    document = method.__doc__ or ""
    function.__doc__ = document.replace("Args:\n", f"Args:\n            model: {about}\n", 1)
    function.__module__, function.__qualname__ = __name__, method.__name__
    signature = inspect.signature(method)
    model = inspect.Parameter(
        "model", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="str | Path | Model"
    )
    function.__signature__ = signature.replace(  # type: ignore[attr-defined]  # read by `inspect`
        parameters=[model, *list(signature.parameters.values())[1:]]
    )
    return cast(Callable[Concatenate[str | Path | Model, P], R], function)


def train(
    data: str | Path,
    *,
    name: str | None = None,
    out: str | Path = "runs",
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    **knobs: Unpack[Knobs],
) -> Model:
    """Train a model on a folder of pictures.

    Args:
        data: A folder, table, array file or URL; see the page of each task for the layouts.
        name: Name of the run; None takes that of the data.
        out: Folder for runs.
        recipe: A recipe or the path of a recipe file; None chooses everything from the data.
        overrides: Each `key.path=value`, as after `--set`; any key of the recipe.
        progress: Receives the progress.
        **knobs: Everyday settings, such as `task="read"` or `epochs=5`: the fields of
            `foveal.recipe.Knobs`, explained with the recipe.

    Returns:
        The trained model; `.run` is the run directory.

    Raises:
        DataError: If the data cannot be trained on.
        RecipeError: For an unknown key or a value out of range.
        UsageError: For an unknown setting, or one that is given twice.
        ParityError: If the exported network does not answer like the trained one.

    Example:
        >>> model = foveal.train("photos/", epochs=3)  # doctest: +SKIP
        >>> model("cat.jpg").label  # doctest: +SKIP
        'cat'
    """
    from foveal.recipe import make_recipe

    given = make_recipe(recipe, overrides, knobs)
    run = _training().run_training(
        data, given, out=Path(out), name=name, progress=progress or NoProgress()
    )
    return Model(run)


def resume(run: str | Path, *, progress: Progress | None = None) -> Model:
    """Continue an interrupted training from its last checkpoint.

    Args:
        run: The run directory.
        progress: Receives the progress.

    Raises:
        BundleError: If there is no such run.
    """
    return Model(_training().resume_training(Path(run), progress=progress or NoProgress()))


def extend(run: str | Path, epochs: int, *, progress: Progress | None = None) -> Model:
    """Train a finished run for more epochs, from its final weights.

    Args:
        run: Directory of the finished run, which then has the new model.
        epochs: Number of epochs to add.
        progress: Receives the progress.
    """
    if epochs < 1:
        raise UsageError(f"Invalid epochs. Expected at least 1. Received: {epochs}.")
    return Model(_training().extend_training(Path(run), epochs, progress=progress or NoProgress()))


def load(
    model: str | Path, *, max_pixels: int | None = None, max_bytes: int | None = None
) -> Model:
    """Open a trained model.

    Args:
        model: A run, a bundle folder, a `.foveal` file, or `imagenet`.
        max_pixels: Largest height times width of a picture that is decoded; None takes the
            limit that the model was trained under.
        max_bytes: Largest size of a file that is decoded; None takes the limit of the training.

    Raises:
        BundleError: If nothing is there, or it is not a bundle.

    Example:
        >>> foveal.load("runs/classify/photos")("cat.jpg").headline  # doctest: +SKIP
        'cat 98.1 %'
    """
    return Model(model, max_pixels=max_pixels, max_bytes=max_bytes)


evaluate = _of_model(Model.evaluate, votes=True)
predict = _of_model(Model.predict)
explain = _of_model(Model.explain)
export = _of_model(Model.export)


def compare(runs: Sequence[str | Path], *, out: str | Path | None = None) -> Comparison:
    """Compare runs: which recipe keys and metrics differ, with a paired test.

    Args:
        runs: Run directories, or folders written by `evaluate`. The first is the baseline.
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
    """Check data without training: layout, balance, unreadable and repeated pictures.

    Args:
        data: As for `train`.
        task: Task that the data is for; None takes that of KIND for `synth:KIND`, else `classify`.
        overrides: Each `key.path=value`, as after `--set`.
        label_regex: Regular expression whose first group is the label in a file name.
        progress: Receives the progress.

    Raises:
        DataError: If there are no pictures.
    """
    from foveal.recipe import make_recipe
    from foveal.workflow.check import check_source

    recipe = make_recipe(None, overrides, {"task": task, "label_regex": label_regex})
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
    """Draw labelled pictures of text into a folder that `train` accepts as it is.

    Args:
        kind: What to draw: `captcha`, `letters`, `arithmetic` or `formula`.
        out: The folder to write to; it must be empty or not exist.
        count: Number of pictures.
        seed: Random seed; the same seed gives the same pictures, for any number of workers.
        options: Options of the kind as text, such as `{"length": "4..6"}`.
        workers: Number of processes; 0 uses all cores.
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
    """Clean pages and cut them into lines of text, in parallel.

    Args:
        pictures: One or several paths of files or folders, or globs.
        steps: Such as `["grey", "median:5", "threshold", "lines"]`; None takes
            `foveal.page.DEFAULT_STEPS`, which finds lines on clean and noisy pages.
        out: Folder for the results as PNG files; None keeps them in memory.
        each: With `out`: also write the result of every step and an overview, in a folder for
            each picture.
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
        progress=progress or NoProgress(),
    )


def serve(
    model: str | Path | Model,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_ready: Callable[[str], None] | None = None,
    **options: Any,
) -> None:
    """Serve a model over HTTP, with a web page, until interrupted.

    Args:
        model: As for `load`.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        on_ready: Called with the URL once the server answers.
        **options: Fields of `foveal.server.options.ServerOptions`.
    """
    from foveal.server.run import serve as run_server

    opened = _opened(model)
    predictors = {opened.bundle.name: opened.predictor}
    run_server(predictors, on_ready=on_ready, host=host, port=port, **options)


def watch(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8001,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show a training on a live web page until interrupted.

    The page has the learning curves, some validation pictures and how each epoch answers them,
    the findings, and a button that stops the training after the current epoch. Call it in another
    process than the training; a run that has ended can be looked at too.

    Args:
        run: The run directory.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        on_ready: Called with the URL once the server answers.

    Raises:
        BundleError: If there is no such run.
        UsageError: If the address cannot be listened on.
    """
    from foveal.server.options import ServerOptions
    from foveal.server.run import watch as run_server
    from foveal.workflow.rundir import RunDirectory

    directory = RunDirectory.open(Path(run))
    run_server(directory, ServerOptions(host=host, port=port), on_ready=on_ready)


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
