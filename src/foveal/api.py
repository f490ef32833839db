"""The public functions. The command line, notebooks and jobs call these and nothing else.

Heavy parts (torch, the web server) are imported where they are first needed, so that
`import foveal` and `foveal predict` start fast.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, cast

from foveal.console import NoProgress, Progress
from foveal.destination import check_folder, writing
from foveal.errors import MissingExtraError, UsageError
from foveal.extras import install_extra
from foveal.foreign import spelled
from foveal.model import Model, shown_progress
from foveal.predict.engine import ONNX_RUNTIME
from foveal.workflow.locate import store_of
from foveal.workflow.names import located

if TYPE_CHECKING:
    from foveal.evaluate.compare import Comparison
    from foveal.evaluate.evaluate import Evaluation
    from foveal.recipe import Recipe
    from foveal.server.models.loader import Offer
    from foveal.store.store import Store
    from foveal.workflow.check import CheckReport
    from foveal.workflow.find_lr import LearningRates
    from foveal.workflow.preprocess import Preprocessed

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def _opened(model: str | Path | Model) -> Model:
    return model if isinstance(model, Model) else Model(model)


def _of_model(
    method: Callable[Concatenate[Model, P], R],
) -> Callable[Concatenate[str | Path | Model, P], R]:
    """Return a method of `Model`, which has the documentation, as a function that opens it."""

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
def train(
    data: str | Path,
    *,
    name: str | None = None,
    out: str | Path = "runs",
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    task: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    backbone: str | None = None,
    lr: float | None = None,
    patience: int | None = None,
    budget_s: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    strategy: Literal["auto", "frozen", "staged", "full", "scratch"] | None = None,
    allow_download: bool | None = None,
    label_regex: str | None = None,
    finish_on_interrupt: bool = False,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Train a model on a folder of pictures.

    What is None is chosen from the data and the machine; every choice is shown with its reason.

    Args:
        data: A folder, zip, table, array file or URL; see the page of each task for the layouts.
        name: Name of the run; None takes that of the data.
        out: Folder for runs.
        recipe: A recipe or the path of a recipe file; None chooses everything from the data.
        overrides: Each `key.path=value`, as after `--set`; any key of the recipe.
        task: `classify`, `read` or `segment`; None takes `classify`, or what `synth:KIND` is for.
        epochs: Epochs of training the whole network; of the head, if the backbone stays frozen.
        batch_size: Pictures in a training step.
        image_size: Model input in pixels: side of the square (classify) or of a tile (segment),
            height of a line (read).
        backbone: Backbone, several joined by commas, or your own as `package.module:make`.
        lr: Peak learning rate; also the head's, unless `train.head_lr` is given.
        patience: Stop early after this many epochs without improvement.
        budget_s: Time limit of the training in seconds; the learning rates are planned for it.
        seed: Random seed of the run.
        device: Where to train: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        strategy: Train the head only (`frozen`), the head and then everything (`staged`),
            everything (`full`), or everything from random weights (`scratch`).
        allow_download: Download pretrained weights that are not on this machine.
        label_regex: Regular expression that finds the label in a file name: its group `text`, or
            else its first.
        finish_on_interrupt: When Ctrl-C stops the epochs, make the model of what was learnt so
            far; otherwise stop, and `resume` continues.
        verbose: Whether choices, progress and the result are shown, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        The trained model; `.run` is the run directory.

    Raises:
        DataError: If the data cannot be trained on.
        RecipeError: For an unknown key or a value out of range.
        UsageError: For an unknown argument, or a setting that is given twice.
        ParityError: If the exported network does not answer like the trained one.
        TrainingInterrupted: If Ctrl-C stopped it; its `run` can be resumed.

    Example:
        >>> model = foveal.train("photos/", epochs=3)  # doctest: +SKIP
        >>> model("cat.jpg").label  # doctest: +SKIP
        'cat'
    """
    knobs = {
        "task": task,
        "epochs": epochs,
        "batch_size": batch_size,
        "image_size": image_size,
        "backbone": backbone,
        "lr": lr,
        "patience": patience,
        "budget_s": budget_s,
        "seed": seed,
        "device": device,
        "strategy": strategy,
        "allow_download": allow_download,
        "label_regex": label_regex,
    }
    from foveal.recipe import make_recipe

    given = make_recipe(recipe, overrides, knobs)

    def work(to: Progress) -> Path:
        made: Path = _training().run_training(
            data,
            given,
            out=Path(out),
            name=name,
            progress=to,
            finish_on_interrupt=finish_on_interrupt,
        )
        return made

    return _followed(work, progress, verbose=verbose)


@spelled
def find_lr(
    data: str | Path,
    *,
    name: str | None = None,
    out: str | Path = "runs",
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    task: str | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    backbone: str | None = None,
    seed: int | None = None,
    device: str | None = None,
    strategy: Literal["auto", "frozen", "staged", "full", "scratch"] | None = None,
    label_regex: str | None = None,
    verbose: bool = True,
    progress: Progress | None = None,
) -> LearningRates:
    """Look for a learning rate: train at most 100 steps while it rises, and see the loss fall.

    All arguments are those of `train`. Nothing is kept but the plot, in the folder for runs.

    Args:
        data: The pictures.
        name: Name of the run to be.
        out: Folder for runs.
        recipe: A recipe or the path of a recipe file.
        overrides: Each `key.path=value`.
        task: `classify`, `read` or `segment`.
        batch_size: Pictures in a training step.
        image_size: Model input in pixels.
        backbone: Backbone.
        seed: Random seed.
        device: Where to train.
        strategy: What of the network is trained.
        label_regex: Regular expression that finds the label in a file name.
        verbose: Whether choices and progress are shown, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        The suggestion, the curve, and the path of the plot; renders in a notebook as the curve.

    Raises:
        DataError: If the data cannot be trained on.
        FovealError: If the loss falls at no learning rate.

    Example:
        >>> rates = foveal.find_lr("photos/")  # doctest: +SKIP
        >>> foveal.train("photos/", lr=rates.suggested)  # doctest: +SKIP
    """
    from foveal.recipe import make_recipe

    knobs = {
        "task": task,
        "batch_size": batch_size,
        "image_size": image_size,
        "backbone": backbone,
        "seed": seed,
        "device": device,
        "strategy": strategy,
        "label_regex": label_regex,
    }
    given = make_recipe(recipe, overrides, knobs)
    _training()
    from foveal.workflow.find_lr import find_learning_rate

    to = shown_progress(progress, verbose=verbose)
    try:
        return find_learning_rate(data, given, out=Path(out), name=name, progress=to)
    finally:
        to.finish()


@spelled
def resume(
    run: str | Path,
    *,
    finish: bool = False,
    finish_on_interrupt: bool = False,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Continue an interrupted training from its last checkpoint.

    Args:
        run: The run directory.
        finish: Train no more, but make the model of what was learnt so far; the run can still be
            continued.
        finish_on_interrupt: As for `train`.
        verbose: Whether progress and the result are shown, if no `progress` is given.
        progress: Receives the progress.

    Raises:
        BundleError: If there is no such run.
        TrainingInterrupted: If Ctrl-C stopped it.
        UsageError: If there is no checkpoint to `finish`.
    """

    def work(to: Progress) -> Path:
        made: Path = _training().resume_training(
            Path(run), progress=to, finish=finish, finish_on_interrupt=finish_on_interrupt
        )
        return made

    return _followed(work, progress, verbose=verbose)


@spelled
def extend(
    run: str | Path,
    epochs: int,
    *,
    finish_on_interrupt: bool = False,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Train a finished run for more epochs, from its final weights.

    Args:
        run: Directory of the finished run, which then has the new model.
        epochs: Number of epochs to add.
        finish_on_interrupt: As for `train`.
        verbose: Whether progress and the result are shown, if no `progress` is given.
        progress: Receives the progress.
    """
    if epochs < 1:
        raise UsageError(f"Invalid epochs. Expected at least 1. Received: {epochs}.")

    def work(to: Progress) -> Path:
        made: Path = _training().extend_training(
            Path(run), epochs, progress=to, finish_on_interrupt=finish_on_interrupt
        )
        return made

    return _followed(work, progress, verbose=verbose)


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
        max_pixels: Largest height times width of a picture that is decoded; None takes the
            limit that the model was trained under.
        max_bytes: Largest size of a file that is decoded; None takes the limit of the training.
        engine: What runs the network: `onnxruntime`, `openvino`, `openvino-bf16`, `cuda`,
            `tensorrt`, or `auto`, which takes the fastest that is installed. Any but `onnxruntime`
            first has to answer the bundle's proof pictures as that does, when the model is used.

    Raises:
        BundleError: If nothing is there, or it is not a bundle.
        UsageError: If there is no such engine.

    Example:
        >>> foveal.load("runs/classify/photos")("cat.jpg").headline  # doctest: +SKIP
        'cat 98.1 %'
    """
    return Model(model, max_pixels=max_pixels, max_bytes=max_bytes, engine=engine)


def open_store(location: str | Path | None = None, *, progress: Progress | None = None) -> Store:
    """Open a store, which keeps versions of models under names.

    Args:
        location: Path or fsspec URL, which need not be there yet; None takes the variable
            `FOVEAL_STORE`, or else `models`.
        progress: Receives the progress where versions are measured on a pinned test set.

    Raises:
        MissingExtraError: If the URL's kind needs a package that is not installed.
        UsageError: If the URL is of no known kind.

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
    """Compare runs, models or evaluations: what differs, with a paired test.

    Args:
        *runs: Run directories, folders written by `evaluate`, models whose run is at hand,
            models in the store (`cats:3`), or evaluations; one after another or as a list. The
            first is the baseline.
        out: Folder for the table; None writes nothing.

    Raises:
        UsageError: For fewer than two, or different tasks.
        DataError: If a run has no readable metrics and predictions.

    Example:
        >>> foveal.compare("runs/classify/a", "runs/classify/b")  # doctest: +SKIP
        >>> foveal.compare(one.evaluate("held-out"), two.evaluate("held-out"))  # doctest: +SKIP
    """
    from foveal.evaluate.compare import compare as compare_runs

    if out is not None:
        check_folder(Path(out))
    listed = [run for item in runs for run in (item if isinstance(item, (list, tuple)) else [item])]
    comparison = compare_runs([_measured(run) for run in listed])
    if out is not None:
        with writing(Path(out)):
            comparison.write(Path(out))
    return comparison


def _measured(run: Any) -> Any:
    """Return what `evaluate.compare` reads: a path, or an evaluation."""
    if isinstance(run, Model):
        if run.run is None:
            raise UsageError(
                f"The run of {run.bundle.name} is not at hand, so its answers are not known.",
                hint='foveal.compare(one.evaluate("held-out"), two.evaluate("held-out"))',
            )
        return run.run
    if not isinstance(run, (str, Path)):
        return run
    path = located(run)
    if path.exists() or (stored := store_of(run)) is None:
        return path
    from foveal.workflow.stored_runs import stored_run

    store, reference = stored
    return stored_run(store, store.resolve(reference))


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


@spelled
def serve(
    *models: str | Path | Model,
    store: str | Path | None = None,
    canary: Sequence[str] = (),
    shadow: Sequence[str] = (),
    host: str = "127.0.0.1",
    port: int = 8000,
    on_ready: Callable[[str], None] | None = None,
    grpc_port: int | None = None,
    health_route: str | None = None,
    predict_route: str | None = None,
    max_body_bytes: int = 16 * 1024 * 1024,
    max_pixels: int | None = None,
    body_timeout_s: float = 30.0,
    header_timeout_s: float = 5.0,
    keep_alive_s: float = 15.0,
    min_bytes_per_s: int = 32 * 1024,
    max_connections: int | None = None,
    max_client_connections: int | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    trusted_proxies: tuple[str, ...] = (),
    deadline_s: float = 30.0,
    queue_items: int = 256,
    queue_bytes: int = 256 * 1024 * 1024,
    max_instances: int = 64,
    max_batch: int = 16,
    workers: int = 1,
    worker_timeout_s: float = 30.0,
    threads: int | None = None,
    engine: str | None = None,
    isolate_decoding: bool = False,
    decode_timeout_s: float = 10.0,
    allowed_hosts: tuple[str, ...] = (),
    allowed_origins: tuple[str, ...] = (),
    poll_s: float = 1.0,
    drain_delay_s: float = 5.0,
    drain_s: float = 30.0,
    keys: str | Path | None = None,
    insecure: bool = False,
    access_log: str | None = None,
    audit_log: str | Path | None = None,
    app: bool = False,
    runtime_dir: str | Path | None = None,
) -> None:
    """Serve models over HTTP, with a web page, until interrupted.

    A model of a store goes on being what the store says: when an alias is promoted, or a newer
    version is published where none has the alias `live`, that is loaded and answers instead.

    `model.serve()` serves in a thread instead, and returns at once.

    Args:
        *models: As for `load`. Without any, all of the store is served.
        store: Path or URL of the store that the names are in; None takes the default one.
        canary: `NAME:VERSION=SHARE%`, versions that answer a share of the requests.
        shadow: `NAME:VERSION`, versions whose answers are compared and never sent.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        on_ready: Called with the URL once the server answers.
        grpc_port: Port for the Open Inference Protocol over gRPC; None serves HTTP alone.
        health_route: Another path that says whether traffic may come.
        predict_route: Another path that answers Vertex AI's `instances` with the one model.
        max_body_bytes: Largest request body.
        max_pixels: Pictures of more pixels are refused; None takes the limit of the training.
        body_timeout_s: Time to receive a body, besides that which it takes at `min_bytes_per_s`.
        header_timeout_s: Time to receive the head of a request.
        keep_alive_s: How long a connection may wait for its next request.
        min_bytes_per_s: Who sends or reads more slowly for long is cut off.
        max_connections: Connections at once; None takes what open files allow, up to 8192.
        max_client_connections: Connections of one address at once; None allows half of all.
        tls_cert: PEM file of the certificate chain; None for plain HTTP.
        tls_key: PEM file of its key. Both are read again at SIGHUP.
        trusted_proxies: Addresses or networks of proxies whose `X-Forwarded-For` is believed.
        deadline_s: Time from the body to the answer; then 504.
        queue_items: Pictures that may be in work at once; then 503.
        queue_bytes: Bytes of bodies that may be in memory at once; then 503.
        max_instances: Pictures in one request of the TF Serving route.
        max_batch: Most pictures of one run of the network.
        workers: Processes that answer, each with the model in its memory. More than one are only
            started by a program that has not opened a model before.
        worker_timeout_s: A worker process that is silent for so long is replaced.
        threads: Threads of each process that decode pictures and run networks; None takes all
            cores, shared among the processes.
        engine: As for `load`; None leaves each model its own.
        isolate_decoding: Decode in sandboxed processes, so that a crash, a hang or a memory bomb
            in an image library takes nothing with it but that picture.
        decode_timeout_s: Longest time that a picture may take there.
        allowed_hosts: Names that a `Host` header may have besides the loopback's; `*` allows any.
        allowed_origins: Web origins besides the server's own that may post.
        poll_s: How often a store is asked for new versions and aliases.
        drain_delay_s: After SIGTERM, how long to go on accepting while `/readyz` says no.
        drain_s: How long requests in flight may take to finish after that.
        keys: File of API keys (`foveal keys create`), one of which each request has to have; None
            takes `FOVEAL_KEYS` or the user's own file, if there is one.
        insecure: Answer anyone who reaches the server, without keys, on a public address too.
        access_log: File to add a JSON line to for each request; `-` is standard output.
        audit_log: File to add a line to for each act of administration; None is one beside the
            keys.
        app: Offer each model as an app at `/app`, which holds the model: whoever opens it takes it
            along.
        runtime_dir: Directory for what several processes share; None makes one that ends with them.

    Raises:
        UsageError: For an address that others can reach, without keys and without `insecure`.
    """
    options = {name: value for name, value in locals().items() if name not in _NOT_OPTIONS}
    from foveal.access import existing_keys_file
    from foveal.server.options import ServerOptions

    options["keys"] = None if insecure and keys is None else existing_keys_file(_path(keys))
    options.update(audit_log=_path(audit_log), runtime_dir=_path(runtime_dir))
    options.update(tls_cert=_path(tls_cert), tls_key=_path(tls_key))
    # What is wrong with them is said before a model is read, which takes longer.
    checked = ServerOptions(**options)

    def open_models() -> Offer:
        from foveal.server.models.offer import Wanted, make_offer
        from foveal.workflow.locate import in_store

        opened = {id(model): model.predictor for model in models if isinstance(model, Model)}
        paths = [model for model in models if not isinstance(model, Model)]
        wanted = Wanted(paths, None if store is None else str(store), canary, shadow)
        offer = make_offer(wanted, lambda path: Model(path).predictor, in_store)
        given = {predictor.bundle.name: predictor for predictor in opened.values()}
        return replace(offer, fixed={**given, **offer.fixed})

    if workers > 1:
        from foveal.server.supervisor import supervise

        supervise(open_models, checked, on_ready=on_ready)
        return
    from foveal.server.run import serve as run_server

    run_server(open_models(), checked, on_ready=on_ready)


_NOT_OPTIONS = ("models", "store", "canary", "shadow", "on_ready")


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _followed(
    work: Callable[[Progress], Path], progress: Progress | None, *, verbose: bool
) -> Model:
    """Return the model of the run that `work` gives.

    Unless someone else listens, a terminal, a notebook or a log sees what was chosen, how far the
    work is, and what came out.
    """
    if progress is not None or not verbose:
        return Model(work(progress or NoProgress()))
    from foveal.progress import followed

    with followed() as drawn:
        model = Model(work(drawn))
        drawn.finish()
        primary = model.bundle.task.primary_metric
        logger.info("%s on validation: %s", primary.replace("_", " "), model.metrics[primary])
        logger.info("report: %s", (model.run or model.bundle.path) / "report.html")
        return model


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
        run: The run directory, or the name of a run in `runs`.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        on_ready: Called with the URL once the server answers.

    Raises:
        BundleError: If there is no such run.
        UsageError: If the address cannot be listened on.
    """
    from foveal.server.options import ServerOptions
    from foveal.server.training_page import watch as run_server
    from foveal.workflow.rundir import RunDirectory

    directory = RunDirectory.open(located(run))
    # Whoever asks for another address than this machine's wants the page seen from there.
    options = ServerOptions(host=host, port=port, insecure=True)
    run_server(directory, options, on_ready=on_ready)


def _training() -> Any:
    # Threads that wait by spinning fight over the cores of a machine that does anything else
    # beside: with one other busy process two of them train at a tenth of the speed of sleeping
    # ones, which alone cost under a tenth. Read by OpenMP when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Training needs torch, which is not installed.", hint=install_extra("train")
        ) from error
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        # What timm needs warns in every notebook that lacks widgets, which foveal does not use.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import_module("tqdm.auto")
    from foveal.workflow import train as training

    return training
