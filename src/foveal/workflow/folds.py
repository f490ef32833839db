"""Cross-validation: a training for each fold, and one on all pictures, which ships.

The pictures of a fold are answered by a network that was trained on the other folds. On these
out-of-fold answers is decided what a single training decides on its validation split, and they are
what is measured. Of the networks, only the one that is trained on all pictures is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic
from typing import final

from foveal.console import NoProgress, Progress
from foveal.errors import FovealError, UsageError
from foveal.models.network import Network
from foveal.recipe import Recipe
from foveal.train.blend import SHARES, between
from foveal.train.distributed import Group
from foveal.train.optim import snapshot
from foveal.train.records import FitResult
from foveal.words import percent
from foveal.workflow.batches import TrainSetup
from foveal.workflow.broadcast import Broadcast
from foveal.workflow.cross_validation import CrossValidation, TrainedFold
from foveal.workflow.fitting import Fit, network_of
from foveal.workflow.prepare import Prepared
from foveal.workflow.processes import Launch
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.stages import Planner
from foveal.workflow.start import Start
from foveal.workflow.units import Units

logger = logging.getLogger(__name__)


def check_folds(
    recipe: Recipe, start: Start | None, launch: Launch | None, *, ships_interrupted: bool
) -> None:
    """Raise where a training with folds cannot be what was asked for; without folds do nothing.

    Args:
        recipe: Resolved.
        start: The model that the training starts from; None for new weights.
        launch: Trains in several processes; None trains in this one.
        ships_interrupted: Whether an interrupted training shall be finished.

    Raises:
        UsageError: If it cannot.
    """
    folds = recipe.train.folds
    if folds is None:
        return
    if start is not None:
        raise UsageError(
            "A model that has learnt some of the pictures cannot be measured on all of them: "
            "--folds cannot be used with --from.",
            hint="leave one of them out",
        )
    if ships_interrupted:
        raise UsageError(
            "A model with --folds needs all trainings, so an interrupted one cannot be finished.",
            hint="leave out --finish-on-interrupt; foveal train --resume RUN continues it",
        )
    if launch is not None or recipe.train.devices > 1:
        raise UsageError(
            f"The {folds} folds are trained in one process.",
            hint="leave out --devices and --workers, or --folds",
        )


@final
class FoldTrainings:
    """The trainings of a run with folds.

    Args:
        prepared: The data, with folds.
        run: The run directory; each fold has its own in it.
        progress: Told how far each training is.
        begun_s: When the work began, by `monotonic`: the budget counts from then on.
        resume: Go on from the latest checkpoints.
    """

    def __init__(
        self,
        prepared: Prepared,
        run: RunDirectory,
        progress: Broadcast,
        *,
        begun_s: float,
        resume: bool,
    ) -> None:
        self._prepared = prepared
        self._run = run
        self._progress = progress
        self._begun_s = begun_s
        self._resume = resume
        self._folds = prepared.recipe.train.folds or 0
        self._spent_s = 0.0

    def run(self) -> tuple[Network, FitResult, CrossValidation]:
        """Train all networks; return the one of all pictures, how it went, and who answers.

        Raises:
            KeyboardInterrupt: If a training was interrupted; its checkpoint is there.
            FovealError: If a training diverged.
        """
        self._keep_features()
        self._spent_s = monotonic() - self._begun_s
        folds: list[TrainedFold] = []
        results: list[FitResult] = []
        losses: list[dict[float, float]] = []
        # Asked of the first fold, since all networks are to be made in the same way.
        fine_tunes: bool | None = None
        for number in range(self._folds):
            prepared = self._prepared.fold(number)
            units = Units(prepared)
            title = f"fold {number + 1} of {self._folds}"
            run = self._run.fold(number + 1)
            network, result = self._fit(prepared, units, run, title, fine_tunes=fine_tunes)
            if fine_tunes is None:
                fine_tunes = _is_fine_tuned(prepared, result)
            metric = prepared.task.epoch_metric
            logger.info(
                "%s: %s %s on %d pictures",
                title,
                metric,
                percent(result.best_metrics.get(metric)),
                len(set(units.validation_samples.tolist())),
            )
            if result.before is not None:
                losses.append(self._losses(prepared, units, network, result))
            folds.append(TrainedFold(prepared, units, network))
            results.append(result)
        share = _least(losses, [len(fold.units.validation_samples) for fold in folds])
        for fold, result in zip(folds, results, strict=True):
            _blend(fold.network, result, share)
        units = Units(self._prepared)
        network, result = self._fit(
            self._prepared, units, self._run, "all pictures", fine_tunes=fine_tunes
        )
        _blend(network, result, share)
        answers = CrossValidation(self._prepared, units, folds, self._run, self._progress)
        return network, result, answers

    def _keep_features(self) -> None:
        """Compute the features that all trainings read, before the first of them is timed."""
        planner = self._planner(
            self._prepared, Units(self._prepared), network_of(self._prepared), self._progress
        )
        planner.keep_features()

    def _fit(
        self,
        prepared: Prepared,
        units: Units,
        run: RunDirectory,
        title: str,
        *,
        fine_tunes: bool | None,
    ) -> tuple[Network, FitResult]:
        networks = self._folds + 1
        budget_s = prepared.recipe.train.budget_s
        run.path.mkdir(parents=True, exist_ok=True)
        fit = Fit(
            run,
            (),
            # What all trainings had to wait for is shared by them, as the budget is.
            monotonic() - self._spent_s / networks,
            self._resume,
            Group(),
            lambda stop: self._progress.when_asked_to_stop(partial(stop, after_epoch=True)),
            budget_s=None if budget_s is None else budget_s / networks,
            fine_tunes=fine_tunes,
        )
        network, result = fit(prepared, units, Titled(self._progress, title))
        if result.stopped in ("interrupted", "asked"):
            raise KeyboardInterrupt
        if result.stopped == "diverged":
            raise FovealError(
                f"The training diverged ({title}): the loss became infinite or NaN.",
                hint="foveal train DATA --folds K --lr 0.0003",
                code="diverged",
            )
        return network, result

    def _losses(
        self, prepared: Prepared, units: Units, network: Network, result: FitResult
    ) -> dict[float, float]:
        """Return share of the way from the weights before fine-tuning to those after it → loss."""
        validate = self._planner(prepared, units, network, NoProgress()).no_plan().validation
        after = snapshot(network)
        losses = {}
        for share in (0.0, *SHARES, 1.0):
            _blend(network, result, share)
            losses[share] = validate(network).metrics["loss"]
            network.load_state_dict(after)
        return losses

    def _planner(
        self, prepared: Prepared, units: Units, network: Network, progress: Progress
    ) -> Planner:
        setting = TrainSetup.of(prepared.recipe, prepared.task)
        return Planner(prepared, units, network, setting, self._run, progress)


def _is_fine_tuned(prepared: Prepared, result: FitResult) -> bool:
    """Return whether a fold was trained beyond its head, where that is a question."""
    if prepared.recipe.train.strategy == "staged" and not result.is_fine_tuned:
        logger.info(
            "the head alone is good enough on the first fold (train.head_is_enough): no network "
            "is fine-tuned"
        )
    return result.is_fine_tuned


def _blend(network: Network, result: FitResult, share: float) -> None:
    """Give a network that has its last weights those at a share of the way to them."""
    if result.before is None or share == 1.0:
        return
    network.load_state_dict(between(result.before, snapshot(network), share))


def _least(losses: Sequence[Mapping[float, float]], counts: Sequence[int]) -> float:
    """Return the share of the least mean loss over all pictures; 1 where nothing is blended."""
    if not losses:
        return 1.0
    total = sum(counts)
    means = {
        share: sum(one[share] * n for one, n in zip(losses, counts, strict=True)) / total
        for share in losses[0]
    }
    # Of equal ones the last, which had more training.
    best = min(means, key=lambda share: (means[share], -share))
    logger.info(
        "fine-tuning: kept are the weights %s of the way from those before it to those after it, "
        "which have the least out-of-fold loss (%s)",
        percent(best, 0),
        ", ".join(f"{percent(share, 0)} {loss:.4f}" for share, loss in means.items()),
    )
    return best


@final
class Titled:
    """A `Progress` that says which of several trainings each task belongs to.

    Args:
        progress: Receives the progress.
        title: Name of the training.
    """

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title

    def start(self, title: str, total: int | None) -> None:
        """Begin a task of `total` steps; None if the number is unknown."""
        self._progress.start(f"{self._title}: {title}", total)

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Report that `done` steps are finished so far, with named values to show."""
        self._progress.update(done, fields)

    def finish(self) -> None:
        """End the current task."""
        self._progress.finish()
