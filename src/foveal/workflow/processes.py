"""Train in several local processes, and handle their failures."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from time import monotonic
from typing import TypeAlias, final

import torch

from foveal.errors import FovealError, RecipeError
from foveal.recipe import Recipe
from foveal.train.checkpoint import CheckpointStore
from foveal.train.interrupt import StopSwitch
from foveal.train.precision import choose_device
from foveal.workers import started
from foveal.workflow.broadcast import Broadcast
from foveal.workflow.member import LOST, REFUSED, Order
from foveal.workflow.messages import Inbox
from foveal.workflow.rundir import RunDirectory

logger = logging.getLogger(__name__)

RESTARTS = 3
"""How often the processes are started anew without having come further in between."""
# How often messages are fetched and processes looked after.
_EVERY_S = 0.1
# After one has ended by itself: time for the others to say why they end.
_GRACE_S = 3.0
_LOOPBACK = "127.0.0.1"


@final
@dataclass(frozen=True, slots=True)
class RunToTrain:
    """A run to train.

    Attributes:
        run: The run directory, prepared.
        recipe: Recipe of the run.
        extensions: Epochs that the run was extended by, in order.
        begun_s: When the work began, by `monotonic`.
    """

    run: RunDirectory
    recipe: Recipe
    extensions: tuple[int, ...]
    begun_s: float

    def order(self, inbox: Inbox, device: str) -> Order:
        """Return what each process is told."""
        return Order(
            run=str(self.run.path.resolve()),
            extensions=self.extensions,
            spent_s=monotonic() - self.begun_s,
            address=inbox.address,
            device=device,
            timeout_s=self.recipe.train.devices_timeout_s,
        )


Launch: TypeAlias = Callable[[RunToTrain, Broadcast], None]
"""Trains until the fit has ended, in other processes; what came of it is the last checkpoint."""


def check_devices(recipe: Recipe) -> None:
    """Raise where this machine cannot train in as many processes as the recipe says."""
    train = recipe.train
    if train.devices == 1:
        return
    device = choose_device(train.device)
    if device.type == "mps" or ":" in str(device):
        raise RecipeError(
            f"train.devices = {train.devices} needs as many devices, but train.device = {device} "
            "is one.",
            hint="use --device cpu, or --devices 1",
        )
    cards = torch.cuda.device_count()
    if device.type == "cuda" and cards < train.devices:
        raise RecipeError(
            f"train.devices = {train.devices} is more than the {cards} "
            f"GPU{'s' if cards != 1 else ''} that torch finds here.",
            hint=f"use --devices {cards}, or --device cpu",
        )
    check_shares(recipe, train.devices)


def check_shares(recipe: Recipe, processes: int) -> None:
    """Raise where the batches cannot be shared by so many processes."""
    size = recipe.train.batch_size or 1
    if size < processes:
        raise RecipeError(
            f"A batch of {size} pictures is too small for {processes} processes. Expected at "
            "least one picture for each.",
            hint=f"use --batch-size {processes}",
        )
    if recipe.train.compile:
        raise RecipeError(
            "train.compile works in a single process only.", hint="use --set train.compile=false"
        )


def train_here(training: RunToTrain, progress: Broadcast) -> None:
    """Train in `train.devices` processes of this machine; a `Launch`.

    When one dies or does not answer, all are started anew from the last checkpoint.

    Raises:
        FovealError: If they die again and again, or the training cannot go on.
        KeyboardInterrupt: If Ctrl-C was pressed twice.
    """
    switch = StopSwitch()
    left, steps = RESTARTS, -1
    with switch.listening():
        while (died := _attempt(training, progress, switch)) is not None:
            known = CheckpointStore(training.run.checkpoints, sweeps=False).names()
            latest = int(known[-1].rpartition("-")[2]) if known else 0
            left, steps = (RESTARTS if latest > steps >= 0 else left), latest
            if left == 0:
                raise FovealError(
                    f"The training stopped: {died}, for the {RESTARTS + 1}th time in a row.",
                    hint=f"foveal train --resume {training.run.path}",
                    code="process_lost",
                )
            left -= 1
            logger.warning(
                "%s: all %d start anew from the last checkpoint (%d more times without progress)",
                died,
                training.recipe.train.devices,
                left,
            )


def _attempt(training: RunToTrain, progress: Broadcast, switch: StopSwitch) -> str | None:
    """Train until the end, and return None; or what happened when a process died."""
    inbox = Inbox(_LOOPBACK)
    progress.when_asked_to_stop(partial(inbox.ask, after_epoch=True))
    device = choose_device(training.recipe.train.device).type
    order, count = asdict(training.order(inbox, device)), training.recipe.train.devices
    orders = [{"order": order, "rank": rank, "world": count} for rank in range(count)]
    with started("foveal.workflow.member", orders) as processes:
        first_s: float | None = None
        while True:
            inbox.pump(progress)
            if switch.asked:
                inbox.ask(after_epoch=False)
            ended = [status for p in processes if (status := p.poll()) is not None]
            if len(ended) == len(processes) and not any(ended):
                inbox.pump(progress)
                return None
            if any(ended):
                first_s = monotonic() if first_s is None else first_s
                known = REFUSED in ended or any(status < 0 for status in ended)
                if known or len(ended) == len(processes) or monotonic() - first_s > _GRACE_S:
                    break
            time.sleep(_EVERY_S)
        inbox.pump(progress)
        statuses = [p.poll() for p in processes]
    if inbox.error is not None:
        raise inbox.error
    for status in statuses:
        if status not in (None, 0, LOST) and status > 0:
            raise RuntimeError(f"a training process ended with exit status {status}")
    return _what_died(statuses)


def _what_died(statuses: list[int | None]) -> str:
    for rank, status in enumerate(statuses):
        if status is not None and status < 0:
            name = signal.Signals(-status).name
            why = ", perhaps because memory ran out" if name == "SIGKILL" else ""
            return f"training process {rank} was ended by {name}{why}"
    return "a training process did not respond in time"
