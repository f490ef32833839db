"""Submit jobs and deployments, and find them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from foveal.errors import UsageError
from foveal.foreign import spelled
from foveal.model import Model

if TYPE_CHECKING:
    from foveal.jobs.job import Job
    from foveal.jobs.listed import Jobs
    from foveal.jobs.options import JobOptions
    from foveal.jobs.target import Target
    from foveal.jobs.training import Training
    from foveal.jobs.vertex.models import Deployment
    from foveal.recipe import Recipe


@spelled
def submit(
    data: str | Path,
    *,
    on: str,
    name: str | None = None,
    out: str | Path | None = None,
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    start_from: str | Path | Model | None = None,
    task: str | None = None,
    quality: Literal["fast", "good", "best"] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    backbone: str | None = None,
    lr: float | None = None,
    folds: int | None = None,
    patience: int | None = None,
    budget_s: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    devices: int | None = None,
    strategy: Literal["auto", "frozen", "staged", "full", "scratch"] | None = None,
    allow_download: bool | None = None,
    label_regex: str | None = None,
    finish_on_interrupt: bool = False,
    workers: int = 1,
    machine: str | None = None,
    accelerator: str | None = None,
    accelerators: int = 1,
    image: str | None = None,
    bucket: str | None = None,
    spot: bool = False,
    service_account: str | None = None,
    labels: Sequence[str] = (),
    timeout_s: float | None = None,
) -> Job:
    """Submit a training as a job, and return at once.

    The arguments up to `finish_on_interrupt` are those of `train`, except for `on` and `out`. Those
    after it are for clusters and clouds; a target that does not support one raises an error.

    Args:
        data: The pictures. If the job runs elsewhere, a local folder or file is uploaded with it,
            up to 90 MB for Ray and 2 GB for Vertex AI; a URL is read by the job.
        on: `local` (a background process on this machine), `ray://HOST` (a Ray cluster, by the
            address of its dashboard), or `vertex:PROJECT/REGION` (Vertex AI).
        name: Name of the run and of the job; None takes that of the data.
        out: Folder or URL for runs, as seen by the job; None takes `runs` on this machine, or a
            folder from which `Job.fetch` downloads.
        recipe: A recipe or the path of a recipe file.
        overrides: Settings of the recipe, each as `key.path=value`.
        start_from: Trained model whose weights initialise the training.
        task: `classify`, `read` or `segment`.
        quality: How thoroughly to train, where other arguments leave it open: `fast` (a first
            answer), `good`, or `best` (everything, for twice the epochs, on larger pictures); None
            takes `good`.
        epochs: Number of epochs.
        batch_size: Number of pictures in a training step.
        image_size: Size of the model input, in pixels; see `train`.
        backbone: Backbone; see `train`.
        lr: Peak learning rate.
        folds: Cross-validate in this many folds, and train the model on all pictures.
        patience: Stop early after this many epochs without improvement.
        budget_s: Time limit in seconds for reading the pictures and training.
        seed: Random seed.
        device: Device to train on, where the job runs.
        devices: Number of processes that train together, each on its share of every batch.
        strategy: Which parts of the network are trained.
        allow_download: Download pretrained weights that are missing.
        label_regex: Regular expression that finds the label in a file name.
        finish_on_interrupt: When the job is stopped, finish with the model trained so far.
        workers: Number of processes that train together, over all machines.
        machine: Machine type, such as `n1-standard-8`.
        accelerator: Accelerator type, such as `NVIDIA_TESLA_T4`.
        accelerators: Number of accelerators in each machine.
        image: Container image that the job runs in.
        bucket: Bucket for the package and the results, `gs://BUCKET` with or without a path.
        spot: Use spot machines, which are cheaper and can be reclaimed at any time.
        service_account: Service account that the job runs as.
        labels: Labels by which costs are told apart, each `key=value`.
        timeout_s: Time limit of the job, in seconds.

    Returns:
        The job; a notebook shows its state and the end of its log.

    Raises:
        UsageError: If the target is invalid, or does not support an option.
        RecipeError: If a key is unknown or a value out of range.
        FovealError: If the target cannot be reached or rejects the job.

    Example:
        >>> job = foveal.submit("photos", on="local", epochs=5)  # doctest: +SKIP
        >>> job.state  # doctest: +SKIP
        <JobState.RUNNING: 'running'>
        >>> run = job.fetch()  # doctest: +SKIP
    """
    given = locals()
    # Imported late, as in every public function.
    from foveal.jobs.submit import submit as send
    from foveal.urls import is_url

    target, options, training = _asked(given)
    if target.kind == "local" and not is_url(out or ""):
        out = Path(out or "runs").absolute()
    together = training.together(options)
    # On one machine of the cluster a training needs nothing of Ray.
    if workers > 1:
        together = ("--on", "ray:auto", "--workers", str(workers))
    return send(training.work(target, *together), target, options, output=out)


def write_manifest(
    data: str, on: str, settings: Mapping[str, Any], folder: Path | None = None
) -> tuple[Path, str]:
    """Write the manifest of a training for Kubernetes, Slurm or SkyPilot.

    Args:
        data: As for `submit`.
        on: `k8s`, `slurm` or `sky`.
        settings: Further arguments of `submit`.
        folder: Folder to write; None takes one with the name of the run.

    Returns:
        The folder, and the command that submits the job.
    """
    from foveal.jobs.manifests import write_manifest as write

    target, options, training = _asked({**settings, "data": data, "on": on})
    out = settings.get("out")
    folder = folder or Path(f"{training.name}-{target}")
    return folder, write(training, target, options, None if out is None else str(out), folder)


def _asked(given: Mapping[str, Any]) -> tuple[Target, JobOptions, Training]:
    """Return the training that the arguments of `submit` describe."""
    from foveal.jobs.options import JobOptions
    from foveal.jobs.target import Target
    from foveal.jobs.training import Training
    from foveal.recipe import KNOBS, make_recipe
    from foveal.settings import settings_of
    from foveal.workflow.rundir import default_name

    target, data, name = Target.parse(given["on"]), str(given["data"]), given.get("name")
    machines = {name: given[name] for name in settings_of(JobOptions) if name in given}
    machines["labels"] = tuple(machines.get("labels", ()))
    options = JobOptions(**machines)
    options.check(target)
    knobs = {name: value for name, value in given.items() if name in KNOBS}
    training = Training(
        data,
        make_recipe(given.get("recipe"), given.get("overrides", ()), knobs),
        default_name(data) if name is None else name,
        _bundle_of(given.get("start_from")),
        given.get("finish_on_interrupt", False),
    )
    return target, options, training


@spelled
def deploy(
    model: str | Path | Model,
    *,
    on: str,
    image: str,
    bucket: str,
    endpoint: str | None = None,
    machine: str | None = None,
    accelerator: str | None = None,
    accelerators: int = 1,
    replicas: int = 1,
    max_replicas: int | None = None,
    service_account: str | None = None,
    labels: Sequence[str] = (),
) -> Deployment:
    """Deploy a model to a Vertex AI endpoint.

    The bundle is uploaded to the bucket and registered as a version of a model. The endpoint is
    created if it does not exist; it switches to the new version once that is ready, and the
    previous version is undeployed. Existing resources are reused, so repeating an interrupted call
    completes it.

    Args:
        model: A run, a bundle, or a name in the store, such as `cats@live`, whose alias the version
            gets too.
        on: Target, `vertex:PROJECT/REGION`.
        image: Container image of foveal's server, such as one of `foveal export --to docker`.
        bucket: Bucket for the model, `gs://BUCKET` with or without a path.
        endpoint: Name of the endpoint; None takes that of the model.
        machine: Machine type; None takes `n1-standard-2`.
        accelerator: Accelerator type, such as `NVIDIA_TESLA_T4`; None uses none.
        accelerators: Number of accelerators in each machine.
        replicas: Smallest number of machines.
        max_replicas: Largest number of machines; None takes `replicas`.
        service_account: Service account that the server runs as.
        labels: Labels by which costs are told apart, each `key=value`.

    Returns:
        Names of model, version and endpoint, and the `url` that `foveal predict` takes.

    Raises:
        FovealError: If Vertex AI rejects a request.
        MissingExtraError: If google-auth or gcsfs is not installed.
        UsageError: If the target is not Vertex AI, or the bucket is invalid.

    Example:
        >>> foveal.deploy(
        ...     "cats@live",
        ...     on="vertex:my-project/europe-west4",
        ...     image="europe-docker.pkg.dev/my-project/foveal/serve:1",
        ...     bucket="gs://my-bucket",
        ... ).url  # doctest: +SKIP
    """
    from foveal.jobs.options import JobOptions
    from foveal.jobs.target import Target
    from foveal.jobs.vertex.artifact import upload_bundle
    from foveal.jobs.vertex.client import Vertex
    from foveal.jobs.vertex.models import Machines, Served
    from foveal.jobs.vertex.models import deploy as deploy_there
    from foveal.store.reference import Reference

    target = Target.parse(on)
    if target.kind != "vertex":
        raise UsageError(
            f"Models are deployed to Vertex AI, not to {target}.",
            hint="--on vertex:PROJECT/REGION; foveal serve NAME serves on this machine",
        )
    if max_replicas is not None and max_replicas < replicas:
        raise UsageError(
            f"--max-replicas must be at least {replicas}, the value of --replicas. Received: "
            f"{max_replicas}.",
            hint=f"use --max-replicas {replicas}",
        )
    options = JobOptions(accelerators=accelerators, labels=tuple(labels))
    opened = model if isinstance(model, Model) else Model(model)
    stored = opened.stored
    name = opened.bundle.name if stored is None else stored.name
    reference = None if stored is None else Reference.parse(str(model).rpartition("/")[2])
    alias = None if reference is None else reference.alias
    artifact = upload_bundle(opened.bundle, bucket, name)
    served = Served(
        name,
        opened.bundle.version,
        artifact,
        image,
        () if alias is None else (alias,),
        options.label_values,
    )
    machines = Machines(
        machine=machine,
        accelerator=accelerator,
        accelerators=accelerators,
        replicas=replicas,
        most=max_replicas or replicas,
        service_account=service_account,
    )
    return deploy_there(Vertex.of(target), served, endpoint or name, machines)


def jobs() -> Jobs:
    """Return the jobs that were submitted from this machine.

    Returns:
        The jobs, oldest first; they can also be indexed by name, as in `foveal.jobs()["photos"]`.

    Example:
        >>> foveal.jobs()["photos"].fetch()  # doctest: +SKIP
    """
    from foveal.jobs.listed import Jobs
    from foveal.jobs.submit import known_jobs

    return Jobs(known_jobs())


def _bundle_of(model: Any) -> Path | None:
    if model is None:
        return None
    opened = model if isinstance(model, Model) else Model(model)
    path: Path = opened.bundle.path
    return path
