"""Start or resume a study, run it, and conclude it."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

from foveal.atomic import write_atomic
from foveal.console import Progress, only_shown
from foveal.destination import check_folder
from foveal.errors import UsageError
from foveal.jobs.target import Target
from foveal.names import is_name
from foveal.recipe import Recipe
from foveal.tasks import get_task
from foveal.tune.announcing import Announcer
from foveal.tune.clock import Clock
from foveal.tune.conclusion import conclude
from foveal.tune.folder import SCHEMA_VERSION, StudyFolder
from foveal.tune.journal import optuna
from foveal.tune.kept import kept, located, place_for
from foveal.tune.laying import Layout
from foveal.tune.limits import Limits
from foveal.tune.processes import work_in_processes
from foveal.tune.resolving import Resolver
from foveal.tune.result import Tuning
from foveal.tune.rungs import last_stage_epochs, rungs_of
from foveal.tune.space import Space
from foveal.tune.spacefile import narrowed_by, space_json, space_yaml
from foveal.tune.work import Worker
from foveal.types import JsonObject
from foveal.workflow.remote_run import Runs
from foveal.workflow.rundir import default_name

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class Asked:
    """The budget and the location of a study, from the command.

    Attributes:
        budget_s: Wall-clock seconds of the whole study, the comparison included; None for no limit.
        trials: How many recipes are tried at most; None for no limit.
        workers: How many trainings at a time.
        on: Where the workers run.
    """

    budget_s: float | None = None
    trials: int | None = None
    workers: int = 1
    on: Target = field(default_factory=lambda: Target("local"))

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: For a value that is out of range, or a target that workers cannot run on.
        """
        if self.budget_s is not None and not self.budget_s > 0:
            raise UsageError(f"Invalid budget. Expected more than 0 s. Received: {self.budget_s}.")
        if self.trials is not None and self.trials < 2:
            raise UsageError(
                "Invalid number of trials. Expected at least 2: the default recipe and another "
                f"one. Received: {self.trials}.",
                hint="foveal tune DATA --trials 20",
            )
        if self.workers < 1:
            raise UsageError(
                f"Invalid number of workers. Expected at least 1. Received: {self.workers}."
            )
        if str(self.on) not in ("local", "ray:local", "ray:auto"):
            raise UsageError(
                f"Invalid target {str(self.on)!r} for a study. Expected local, ray:local or "
                "ray:auto.",
                hint="use --on ray:local: all workers need the folder of the study",
            )


def show_space(data: str | Path, given: Recipe, *, fixed: frozenset[str]) -> Space:
    """Return what would be searched for some data.

    Args:
        data: Where it is.
        given: The recipe as the user gave it.
        fixed: Keys that were given one by one and are not searched.
    """
    return Resolver(str(data), given).space(fixed)


def run_tuning(
    data: str | Path,
    given: Recipe,
    asked: Asked,
    *,
    fixed: frozenset[str],
    space_file: Path | None,
    out: str | Path,
    name: str | None,
    progress: Progress,
) -> Tuning:
    """Begin a study, or go on with the one that the same command began; return what it found.

    Args:
        data: The source's location.
        given: The recipe as the user gave it; with what is chosen, it is the default recipe.
        asked: How long it may take.
        fixed: Keys that were given one by one and are not searched.
        space_file: YAML that narrows the space.
        out: Folder of the runs, a path or an fsspec URL.
        name: Name of the study, or None for the data's.
        progress: Receives the progress.

    Raises:
        DataError: If the data cannot be trained on.
        RecipeError: For a space that is not within the whole one.
        UsageError: For a budget that is too short, or when another process works on the study.
    """
    begun_s = time.monotonic()
    _check_extras(asked)
    if asked.budget_s is None and asked.trials is None:
        raise UsageError(
            "A study needs a limit: a budget, or a number of trials.",
            hint="foveal tune DATA --budget 1h",
        )
    name = default_name(str(data)) if name is None else name
    if not is_name(name):
        raise UsageError(
            f"Invalid study name {name!r}. Expected letters, digits, '.', '_', '-'.",
            hint="foveal tune DATA --name first-try",
        )
    runs = Runs.at(out)
    check_folder(runs.folder)
    if runs.url is not None and asked.on.address == "auto":
        raise UsageError(
            "A study at a URL is worked on in a folder of this machine, which other machines of a "
            "cluster cannot access.",
            hint="use an --out that all machines share, or --on ray:local",
        )
    with only_shown(*_SHOWN):
        resolver = Resolver(str(data), given)
        space = resolver.space(fixed)
        if space_file is not None:
            space = narrowed_by(space, space_file)
        if space.size <= 1:
            raise UsageError(
                "There is nothing to search: every setting of the space has a single value.",
                hint="foveal tune DATA --show-space",
                code="space_invalid",
            )
        about = _about(str(data), resolver, given, space, fixed)
        folder = _folder(runs, resolver.default.task, name, about)
        with folder.working(), kept(folder):
            if not folder.about.is_file():
                _begin(folder, about, given, space, resolver, progress)
            return _work(folder, asked, begun_s, progress, resolver)


def resume_tuning(study: str | Path, asked: Asked, *, progress: Progress) -> Tuning:
    """Go on with a study; return what it found.

    Args:
        study: Its folder or URL, or its name in `runs/tune`.
        asked: How long it may take; what is None is as it was.
        progress: Receives the progress.

    Raises:
        BundleError: If there is no such study.
        RemoteError: If it is at a URL and cannot be fetched.
        UsageError: As for `run_tuning`.
    """
    begun_s = time.monotonic()
    _check_extras(asked)
    folder = located(study)
    about = folder.read_about()
    before = about["asked"]
    if asked.budget_s is None and asked.trials is None:
        asked = replace(asked, budget_s=before["budget_s"], trials=before["trials"])
    with only_shown(*_SHOWN), folder.working(), kept(folder):
        resolver = Resolver(about["data"], Recipe.load(folder.given))
        return _work(folder, asked, begun_s, progress, resolver)


def _check_extras(asked: Asked) -> None:
    """Raise at once if a package is missing that is used late.

    Raises:
        MissingExtraError: Naming the extra.
    """
    optuna()
    if asked.on.kind == "ray":
        # Another extra, which is read with Ray alone.
        from foveal.cluster.connect import import_ray

        import_ray()


# The rest says of each training what is of interest only where there is one.
_SHOWN = ("foveal.tune", "foveal.train.interrupt")


def _about(
    data: str, resolver: Resolver, given: Recipe, space: Space, fixed: frozenset[str]
) -> JsonObject:
    location = data if "://" in data or data.startswith("synth:") else str(Path(data).resolve())
    searched = space_json(space)
    identity = [location, given.given_yaml(), sorted(fixed), searched]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    task = get_task(resolver.default.task)
    bound = task.bind(
        task.fit_labels(s.raw for s in resolver.source.samples if s.raw),
        resolver.default.task_options,
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "data": location,
        "metric": bound.primary_metric,
        "rungs": rungs_of(last_stage_epochs(resolver.default)),
        "space": searched,
        "identity": digest,
        "asked": {"budget_s": None, "trials": None},
    }


def _folder(runs: Runs, task: str, name: str, about: JsonObject) -> StudyFolder:
    """Return the study that the same command began, or a place for a new one."""
    number = 1
    while True:
        folder = place_for(runs, task, name if number == 1 else f"{name}-{number}")
        if not folder.about.is_file():
            return folder
        if folder.read_about()["identity"] == about["identity"]:
            logger.info("continuing the study %s", folder.place)
            return folder
        number += 1


def _begin(
    folder: StudyFolder,
    about: JsonObject,
    given: Recipe,
    space: Space,
    resolver: Resolver,
    progress: Progress,
) -> None:
    write_atomic(folder.given, given.given_yaml())
    write_atomic(folder.space, space_yaml(space))
    Layout(folder, about["data"]).begin(resolver, progress)
    folder.write(folder.about, about)


def _work(
    folder: StudyFolder, asked: Asked, begun_s: float, progress: Progress, resolver: Resolver
) -> Tuning:
    about = folder.read_about()
    limits_asked = {"budget_s": asked.budget_s, "trials": asked.trials}
    if about["asked"] != limits_asked:
        # With other limits the search may go on, and find another recipe to compare.
        folder.chosen.unlink(missing_ok=True)
        about = {**about, "asked": limits_asked}
        folder.write(folder.about, about)
    interrupted = False
    with Clock(folder, begun_s) as clock:
        limits = Limits(
            deadline=None
            if asked.budget_s is None
            else time.time() + asked.budget_s - clock.seconds,
            budget_s=asked.budget_s,
            trials=asked.trials,
            workers=asked.workers,
            again=f"foveal tune --resume {folder.place} --budget {{}}",
        )
        try:
            _run_workers(folder, limits, asked, progress, resolver)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            progress.finish()
        tuning = conclude(
            folder, seconds=clock.seconds, budget_s=asked.budget_s, interrupted=interrupted
        )
    return tuning


def _run_workers(
    folder: StudyFolder, limits: Limits, asked: Asked, progress: Progress, resolver: Resolver
) -> None:
    if asked.on.kind == "ray":
        # Read with Ray alone, which is another extra.
        from foveal.tune.on_ray import work_on_ray

        work_on_ray(folder, limits, asked.on, look=Announcer(folder, progress))
    elif limits.workers > 1:
        work_in_processes(folder, limits, look=Announcer(folder, progress))
    else:
        Worker(folder, limits, progress, lambda: False, resolver=resolver).run()
