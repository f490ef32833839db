"""Open, use and compare models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from foveal.console import Progress
from foveal.destination import check_folder, writing
from foveal.errors import DataError, UsageError
from foveal.foreign import spelled
from foveal.model import Model
from foveal.predict.engine import ONNX_RUNTIME
from foveal.urls import from_here, is_url, local_path, shown
from foveal.workflow.fetched import fetched
from foveal.workflow.locate import near_name, store_of
from foveal.workflow.names import located

if TYPE_CHECKING:
    from foveal.evaluate.compare import Comparison
    from foveal.evaluate.evaluate import Evaluation
    from foveal.store.store import Store

P = ParamSpec("P")
R = TypeVar("R")


def _opened(model: str | Path | Model) -> Model:
    return model if isinstance(model, Model) else Model(model)


def _of_model(
    method: Callable[Concatenate[Model, P], R],
) -> Callable[Concatenate[str | Path | Model, P], R]:
    """Return a method of `Model` as a function that opens the model first."""

    @wraps(method)
    def function(model: str | Path | Model, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(_opened(model), *args, **kwargs)

    about = "As for `load`."
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


@spelled
def load(
    model: str | Path,
    *,
    max_pixels: int | None = None,
    max_bytes: int | None = None,
    engine: str = ONNX_RUNTIME,
) -> Model:
    """Open a trained model.

    Args:
        model: A run or its name, a bundle folder, a `.foveal` file, a model in the store (`cats`,
            `cats@live`, `cats:3`), or `imagenet`; several joined by commas vote.
        max_pixels: Largest picture that is decoded, in pixels (height times width); None takes the
            limit of the training.
        max_bytes: Largest file that is decoded, in bytes; None takes the limit of the training.
        engine: Inference engine: `onnxruntime`, `openvino`, `openvino-bf16`, `cuda`, `tensorrt`, or
            `auto`, which takes the fastest one installed. Any engine but `onnxruntime` is first
            compared with it on the proof pictures of the bundle, when the model is first used.

    Raises:
        BundleError: If there is no model, or it is not a valid bundle.
        UsageError: If the engine is unknown.

    Example:
        >>> foveal.load("runs/classify/photos")("cat.jpg").headline  # doctest: +SKIP
        'cat 98.1 %'
    """
    return Model(model, max_pixels=max_pixels, max_bytes=max_bytes, engine=engine)


def open_store(location: str | Path | None = None, *, progress: Progress | None = None) -> Store:
    """Open a model store, which keeps versions of models under names.

    Args:
        location: Path or fsspec URL, which need not exist yet; None takes the environment variable
            `FOVEAL_STORE`, or else the folder `models`.
        progress: Receives the progress when versions are evaluated on a pinned test set.

    Raises:
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        UsageError: If the protocol of the URL is unknown.

    Example:
        >>> store = foveal.open_store("models")  # doctest: +SKIP
        >>> foveal.load("runs/classify/photos").push("photos", store=store)  # doctest: +SKIP
        >>> store.promote("photos:2", "live")  # doctest: +SKIP
        >>> foveal.load("photos@live")("cat.jpg").label  # doctest: +SKIP
        'cat'
    """
    from foveal.store.store import Store
    from foveal.workflow.versions import measure_with

    return Store.open(location, measure=measure_with(progress))


evaluate = _of_model(Model.evaluate)
predict = _of_model(Model.predict)
explain = _of_model(Model.explain)
export = _of_model(Model.export)


def compare(
    *runs: str | Path | Model | Evaluation | Sequence[str | Path | Model | Evaluation],
    out: str | Path | None = None,
) -> Comparison:
    """Compare runs, models or evaluations with a paired test.

    Args:
        *runs: Run directories or their URLs, folders written by `evaluate`, models whose run is
            available, models in the store (`cats:3`), or evaluations, as separate arguments or as a
            list. The first is the baseline.
        out: Folder for `compare.json`, `compare.md` and `compare.html`; None writes nothing.

    Raises:
        UsageError: If there are fewer than two, or their tasks differ.
        DataError: If a run has no readable metrics and predictions.
        RemoteError: If a run at a URL cannot be fetched.

    Example:
        >>> foveal.compare("runs/classify/a", "runs/classify/b")  # doctest: +SKIP
        >>> foveal.compare(one.evaluate("held-out"), two.evaluate("held-out"))  # doctest: +SKIP
    """
    from foveal.evaluate.compare import compare as compare_runs

    if out is not None:
        check_folder(Path(out))
    listed = [run for item in runs for run in (item if isinstance(item, (list, tuple)) else [item])]
    found = [_measured(run) for run in listed]
    places = {
        path: shown(run)
        for path, run in zip(found, listed, strict=True)
        if isinstance(run, (str, Path)) and is_url(run)
    }
    comparison = compare_runs(found, places)
    if out is not None:
        with writing(Path(out)):
            comparison.write(Path(out))
    return comparison


def _measured(run: Any) -> Any:
    """Return a run as `evaluate.compare` takes it: a path, or an evaluation."""
    if isinstance(run, Model):
        if run.run is None:
            raise UsageError(
                f"The run of {run.bundle.name} cannot be found, so its answers to the validation "
                "pictures are unknown.",
                hint='foveal.compare(one.evaluate("held-out"), two.evaluate("held-out"))',
            )
        return from_here(run.run)
    if not isinstance(run, (str, Path)):
        return run
    if is_url(run) and (copy := fetched(str(run))) is not None:
        return copy
    path = located(local_path(run))
    if path.exists():
        return path
    if (stored := store_of(run)) is None:
        near = near_name(path.name)
        raise DataError(
            f"There is no run at {path}.",
            hint=f"did you mean {near}?" if near else "foveal train DATA",
        )
    from foveal.workflow.stored_runs import stored_run

    store, reference = stored
    return stored_run(store, store.resolve(reference))
