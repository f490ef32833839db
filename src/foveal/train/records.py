"""Inputs and outputs of a fit: stages, records of steps and epochs, the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn

from foveal.train.data import Inputs, Loader


@dataclass(frozen=True, slots=True)
class Validated:
    """The result of a validation.

    Attributes:
        metrics: Name → value; of the one that weights are compared by, larger is better.
        confused: Label → how often it was taken for another one or another one for it; empty
            where the task does not count that.
    """

    metrics: dict[str, float]
    confused: dict[str, int] = field(default_factory=dict)


Validate: TypeAlias = Callable[[nn.Module], Validated]
"""Measures the model (in eval mode, no gradients) on the validation split."""

Forward: TypeAlias = Callable[[nn.Module, Inputs], dict[str, Tensor]]

FitAtOnce: TypeAlias = Callable[[nn.Module], dict[str, float]]
"""Fits some of the model in place, without steps, and returns the losses."""

Stopped: TypeAlias = Literal["finished", "patience", "budget", "interrupted", "asked", "diverged"]


def forward_all(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    """Run the whole network on pictures."""
    outputs: dict[str, Tensor] = model(inputs)
    return outputs


def forward_head(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    """Run only the network's head, on cached feature maps."""
    head: Any = model.head
    outputs: dict[str, Tensor] = head(inputs)
    return outputs


def all_parameters(name: str) -> float:
    """Train every parameter at the stage's learning rate."""
    return 1.0


def head_only(name: str) -> float:
    """Train the parameters of the head; freeze the others."""
    return 1.0 if name.startswith("head.") else 0.0


@dataclass(frozen=True)
class Stage:
    """One part of a training: the same loop with other data, parameters or learning rate.

    Attributes:
        name: For the history ("head", "full").
        loader: Where the batches come from.
        epochs: Largest number of epochs; None for as many as the budget allows.
        lr: The highest learning rate.
        lr_factor: Parameter name → factor on the learning rate; 0 freezes the parameter, and a
            module all of whose parameters are frozen keeps its batch statistics.
        forward: Function that runs the model on the loader's inputs.
        validate: Instead of the fit's own (on cached features, say).
        skip_from: The stage is left out when the best value of the metric so far is at least this.
        budget_share: Share of the time left, relative to the shares of this and all later stages;
            None for a stage that the budget does not bind.
        keep_statistics: Normalise the batches of the backbone by the statistics that it has.
        blended: When the stage ends, keep the best weights on the line from those before it to
            those after it; see `foveal.train.blend`.
        fit: Instead of epochs of steps: called once, and then the model is validated. The same
            weights come out whenever it is called, so a resumed run calls it again.
    """

    name: str
    loader: Loader
    epochs: int | None
    lr: float
    lr_factor: Callable[[str], float] = all_parameters
    forward: Forward = forward_all
    validate: Validate | None = None
    skip_from: float | None = None
    budget_share: float | None = 1.0
    keep_statistics: bool = False
    blended: bool = False
    fit: FitAtOnce | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimizer step, as callbacks see it.

    Attributes:
        stage: Name of the stage.
        epoch: Number of the current epoch over all stages, from 1.
        step: Number of steps done over all stages.
        progress: Share of the stage that is done, in [0, 1].
        loss: Scalar on the device; reading it waits for the device.
        lr: Learning rate of the step.
        samples: Size of the batch.
        inputs: The batch itself.
        elapsed_s: Seconds of training so far, earlier runs that were resumed included.
        left_s: Estimated seconds until the end of the stage, None before there is an estimate.
    """

    stage: str
    epoch: int
    step: int
    progress: float
    loss: Tensor
    lr: float
    samples: int
    inputs: Inputs
    elapsed_s: float
    left_s: float | None


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch (the last of a budgeted stage may be a part of one).

    Attributes:
        stage: Name of the stage.
        epoch: Number over all stages, from 1.
        step: Steps done over all stages at its end.
        lr: Learning rate of its last step.
        losses: Mean over its samples of everything that `TaskTraining.losses` gave.
        metrics: Validation metrics, as `validate` returned them.
        seconds: Training and validation.
        samples_per_s: Samples per second of training alone.
        is_best: Whether its weights are the best so far; False in a fit that chooses nothing.
        confused: Label → number of confusions, as `validate` returned it.
    """

    stage: str
    epoch: int
    step: int
    lr: float
    losses: dict[str, float]
    metrics: dict[str, float]
    seconds: float
    samples_per_s: float
    is_best: bool
    confused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FitResult:
    """The result of a fit; the model itself holds the best weights.

    Attributes:
        history: One record an epoch, earlier runs that were resumed included.
        best_epoch: Number of the epoch whose weights were kept, 0 when interrupted before any.
        best_metrics: The validation metrics of those weights; empty when interrupted before any.
        stopped: Why it ended.
        steps: Optimizer steps in all.
        seconds: Seconds of training in all, including earlier runs that were resumed.
        before: The weights before a blended stage of a fit that chooses nothing; else None.
    """

    history: tuple[EpochRecord, ...]
    best_epoch: int
    best_metrics: dict[str, float]
    stopped: Stopped
    steps: int
    seconds: float
    before: dict[str, Tensor] | None = None

    @property
    def is_fine_tuned(self) -> bool:
        """Whether any stage but that of the head alone was trained."""
        return any(record.stage != "head" for record in self.history)
