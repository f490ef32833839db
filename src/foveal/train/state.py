"""The mutable state of a fit, and its conversion to and from a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from foveal.train.checkpoint import Checkpoint
from foveal.train.optim import Ema, snapshot
from foveal.train.pace import Pace
from foveal.train.records import EpochRecord, Stopped
from foveal.train.seeds import random_states, restore_random_states
from foveal.types import JsonObject


@dataclass
class Best:
    """The best weights on validation.

    Attributes:
        weights: Name → tensor in main memory.
        epoch: Number of their epoch, from 1.
        score: Value of the metric that is compared, then minus the validation loss where known.
        metrics: Everything that `validate` gave.
    """

    weights: dict[str, Tensor]
    epoch: int
    score: tuple[float, float]
    metrics: dict[str, float]

    def described(self) -> JsonObject:
        """Return everything but the weights as JSON."""
        return {"epoch": self.epoch, "score": list(self.score), "metrics": self.metrics}

    @classmethod
    def restored(
        cls, described: JsonObject | None, weights: dict[str, Tensor] | None
    ) -> Best | None:
        """Return what `described` was made of; None for None."""
        if described is None or weights is None:
            return None
        value, minus_loss = described["score"]
        return cls(weights, described["epoch"], (value, minus_loss), described["metrics"])


def score_of(metrics: Mapping[str, float], metric: str) -> tuple[float, float]:
    """Return the value of a metric and minus the loss, 0 where it is unknown; -inf for NaN."""
    value, loss = metrics[metric], metrics.get("loss", 0.0)
    return -math.inf if math.isnan(value) else value, -math.inf if math.isnan(loss) else -loss


@dataclass
class EpochSums:
    """Sums over the part of the current epoch that is done."""

    losses: dict[str, Tensor] = field(default_factory=dict)
    samples: int = 0
    seconds: float = 0.0

    def add(self, losses: Mapping[str, Tensor], samples: int, seconds: float) -> None:
        """Take in a step without waiting for the device."""
        for name, value in losses.items():
            part = value.detach().float() * samples
            self.losses[name] = self.losses[name] + part if name in self.losses else part
        self.samples += samples
        self.seconds += seconds

    def means(self) -> dict[str, float]:
        """Return the mean losses; waits for the device."""
        return {name: float(total) / self.samples for name, total in self.losses.items()}


@dataclass
class RunState:
    """The position of a fit.

    Attributes:
        model: The network, trained in place.
        ema: Moving average of its weights, or None.
        scaler: Scaler of the loss; does nothing outside float16.
        stage: Number of stages that are done.
        epoch: Number of epochs done over all stages.
        batch: Number of batches of the current epoch that are done.
        step: Number of steps done over all stages.
        pace: Pace of the current stage, None between stages.
        optimizer: Optimizer of the current stage, None between stages.
        stale: Validations of the current stage since its last improvement.
        stage_best: Best metric of the current stage.
        plateau: Factor on the learning rate.
        elapsed_s: Seconds of training up to the last checkpoint.
        spent_s: Seconds of the budget that were spent before the training.
        stopped: Why the last stage ended, None while training.
        before: The best weights before the current stage, where it is blended; else None.
    """

    model: nn.Module
    ema: Ema | None
    scaler: torch.amp.GradScaler
    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    pace: Pace | None = None
    optimizer: torch.optim.Optimizer | None = None
    stale: int = 0
    stage_best: float = -math.inf
    plateau: float = 1.0
    elapsed_s: float = 0.0
    spent_s: float = 0.0
    stopped: Stopped | None = None
    best: Best | None = None
    before: Best | None = None
    sums: EpochSums = field(default_factory=EpochSums)
    history: list[EpochRecord] = field(default_factory=list)

    @property
    def shown_model(self) -> nn.Module:
        """Return the model that is validated and kept."""
        return self.ema.model if self.ema else self.model

    @property
    def is_broken_off(self) -> bool:
        """Whether the fit must end although stages are left."""
        return self.stopped in ("interrupted", "asked", "diverged")

    @property
    def lr(self) -> float:
        """Return the learning rate of the last step, before any factor of a parameter group."""
        if self.optimizer is None:
            return 0.0
        group = self.optimizer.param_groups[0]
        return float(group["lr"]) / float(group["factor"])

    def is_good_enough(self, skip_from: float | None, metric: str) -> bool:
        """Return whether a stage that has not begun need not: the metric is high enough already."""
        if skip_from is None or self.best is None or self.pace is not None:
            return False
        return self.best.metrics.get(metric, -math.inf) >= skip_from

    def judge(self, metrics: dict[str, float], metric: str) -> bool:
        """Take in a validation; return whether the weights are the best so far.

        Among equal values of the metric the lower validation loss wins, then the later epoch:
        the learning rate was lower.
        """
        score = score_of(metrics, metric)
        if score[0] > self.stage_best:
            self.stage_best, self.stale = score[0], 0
        else:
            self.stale += 1
        if self.best is not None and score < self.best.score:
            return False
        self.best = Best(snapshot(self.shown_model), self.epoch, score, metrics)
        return True

    def take(self, metrics: dict[str, float]) -> None:
        """Take the weights as they are for the best ones."""
        self.best = Best(snapshot(self.shown_model), self.epoch, (0.0, 0.0), metrics)

    def keep(self, best: Best) -> None:
        """Take weights for the best ones, and go on from them."""
        self.best = best
        self.model.load_state_dict(best.weights)
        if self.ema:
            self.ema.restart()

    def to_checkpoint(self) -> Checkpoint:
        """Return everything that is needed to go on from here."""
        state: JsonObject = {
            "stage": self.stage,
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "pace": asdict(self.pace) if self.pace else None,
            "stale": self.stale,
            "stage_best": self.stage_best,
            "plateau": self.plateau,
            "elapsed_s": self.elapsed_s,
            "spent_s": self.spent_s,
            "stopped": self.stopped,
            "best": self.best.described() if self.best else None,
            "before": self.before.described() if self.before else None,
            "sums": {"samples": self.sums.samples, "seconds": self.sums.seconds},
            "history": [asdict(record) for record in self.history],
        }
        tensors: dict[str, Any] = {
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict() if self.ema else None,
            "best": self.best.weights if self.best else None,
            "before": self.before.weights if self.before else None,
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "scaler": self.scaler.state_dict(),
            "losses": self.sums.losses,
            "random": random_states(),
        }
        return Checkpoint(state, tensors)

    def restore(self, checkpoint: Checkpoint) -> dict[str, Any] | None:
        """Set everything from a checkpoint but the optimizer, whose state is returned."""
        state, tensors = checkpoint.state, checkpoint.tensors
        self.model.load_state_dict(tensors["model"])
        if self.ema is not None:
            # A run that is extended may take up the moving average only now.
            self.ema.model.load_state_dict(tensors["ema"] or tensors["model"])
        self.scaler.load_state_dict(tensors["scaler"])
        self.stage, self.epoch = state["stage"], state["epoch"]
        self.batch, self.step = state["batch"], state["step"]
        self.pace = Pace(**state["pace"]) if state["pace"] else None
        self.stale, self.stage_best = state["stale"], state["stage_best"]
        self.plateau, self.elapsed_s = state["plateau"], state["elapsed_s"]
        # Runs of old had their whole budget for training.
        self.spent_s = state.get("spent_s", 0.0)
        self.stopped = state["stopped"]
        self.best = Best.restored(state["best"], tensors["best"])
        # Checkpoints of earlier versions have none.
        self.before = Best.restored(state.get("before"), tensors.get("before"))
        device = next(self.model.parameters()).device
        losses = {name: total.to(device) for name, total in tensors["losses"].items()}
        self.sums = EpochSums(losses, **state["sums"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        restore_random_states(tensors["random"])
        optimizer: dict[str, Any] | None = tensors["optimizer"]
        return optimizer
