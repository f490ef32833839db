"""Logistic regression with an L2 penalty, fitted until it converges: the head on frozen features.

Minimised is the mean cross entropy of the rows plus strength / 2 times the sum of the squared
weights; the offsets are not penalised. The strength is the one whose answers out of fold are the
most likely. Strengths are tried from the strongest on, each fit beginning where the last one ended:
Regularization Paths for Generalized Linear Models via Coordinate Descent, 2010,
https://doi.org/10.18637/jss.v033.i01. Deviation: L-BFGS instead of coordinate descent, and the
models of all folds are one problem, since they read the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

# For features with a standard deviation of 1: half a decade apart, the strongest first.
STRENGTHS = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
# What features of earlier levels are multiplied by: less is a stronger penalty for them alone. They
# help where textures tell the classes apart, and are noise where things do.
EARLY = (1.0, 0.3)
# A weaker penalty takes longer and is not tried once so many in a row were worse.
_WORSE = 2
_ITERATIONS = 150
_HISTORY = 10
# The gradient's largest element, and what the objective changes by: as small as float32 can tell.
_GRADIENT, _CHANGE = 1e-5, 1e-9
_TINY = 1e-12


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """What is learnt from.

    Attributes:
        features: (n, D) float32, each column with a mean of 0 and a standard deviation of 1.
        labels: (n, C) float32 in [0, 1]: which labels apply.
        weights: (n,) float32, how much each row counts.
        fold: (n,) int64, rows of one number are left out together; all 0 to leave out none.
        several: Whether any number of labels applies (sigmoid), instead of one (softmax).
        early: Number of first columns that are from earlier levels of the backbone than the last.
        label_weights: (C,) float32, factors on the labels' terms of the loss; None for 1 each.
    """

    features: Tensor
    labels: Tensor
    weights: Tensor
    fold: Tensor
    several: bool = False
    early: int = 0
    label_weights: Tensor | None = None

    @property
    def classes(self) -> int:
        """Return how many labels there are."""
        return int(self.labels.shape[1])


@final
@dataclass(frozen=True, slots=True)
class Regression:
    """A fitted model.

    Attributes:
        weight: (C, D) float32.
        bias: (C,) float32.
        strength: That of its penalty.
        early: Factor on the early columns.
        loss: Mean cross entropy of the rows out of fold; in fold where there is only one.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    early: float
    loss: float


def fit_regression(
    rows: Rows,
    strengths: Sequence[float] = STRENGTHS,
    *,
    tried: Callable[[int], None] = lambda count: None,
) -> Regression:
    """Fit a model to all rows, with the penalty that cross-validation finds best.

    Args:
        rows: Rows to fit to.
        strengths: Strengths of the penalty to try, the strongest first.
        tried: Told how many of `EARLY` were tried.
    """
    if not bool(torch.isfinite(rows.features).all()):
        raise ValueError("fit_regression: the features are not finite")
    fits: list[Regression] = []
    for number, early in enumerate(EARLY if rows.early else EARLY[:1]):
        scale = torch.ones(rows.features.shape[1])
        scale[: rows.early] = early
        scaled = replace(rows, features=rows.features * scale)
        fitted = _best_of_path(scaled, strengths)
        tried(number + 1)
        fits.append(replace(fitted, weight=fitted.weight * scale, early=early))
    return min(fits, key=lambda fitted: fitted.loss)


def _best_of_path(rows: Rows, strengths: Sequence[float]) -> Regression:
    count, classes = len(rows.labels), rows.classes
    folds = int(rows.fold.max()) + 1
    # One model for each fold that it leaves out, and last the one of all rows.
    left_out = torch.arange(folds + 1) if folds > 1 else torch.tensor([-1])
    share = rows.weights[:, None] * (rows.fold[:, None] != left_out)
    # Where all other rows weigh nothing, a model learns nothing.
    share = share / share.sum(dim=0).clamp(min=_TINY)
    models = share.shape[1]
    parameters = rows.features.new_zeros(rows.features.shape[1] + 1, models * classes)
    best: Regression | None = None
    worse = 0
    for strength in strengths:
        parameters = _converged(rows, share, parameters, strength)
        slopes, offsets = parameters[:-1], parameters[-1]
        logits = torch.addmm(offsets, rows.features, slopes).view(count, models, classes)
        # Where there is one fold, `fold` is 0 and so is the number of the only model.
        losses, _ = _losses(logits[torch.arange(count), rows.fold], rows.labels, rows)
        loss = float((losses * rows.weights).sum() / rows.weights.sum())
        if best is None or loss < best.loss:
            last = parameters.view(-1, models, classes)[:, -1]
            best = Regression(last[:-1].T.clone(), last[-1].clone(), strength, 1.0, loss)
            worse = 0
        else:
            worse += 1
            if worse == _WORSE:
                break
    if best is None:
        raise ValueError("fit_regression: no strength was given")
    return best


def _converged(rows: Rows, share: Tensor, start: Tensor, strength: float) -> Tensor:
    """Return (D + 1, models * C) parameters of the least objective; the last row is the offsets."""
    count, classes = len(rows.labels), rows.classes
    models = share.shape[1]
    targets = rows.labels[:, None]
    parameters = start.clone().requires_grad_()

    def objective() -> Tensor:
        # The gradient in closed form: half the time and memory of what autograd would do.
        slopes, offsets = parameters.detach()[:-1], parameters.detach()[-1]
        logits = torch.addmm(offsets, rows.features, slopes).view(count, models, classes)
        losses, errors = _losses(logits, targets, rows)
        errors = (errors * share[:, :, None]).view(count, -1)
        slope = rows.features.T @ errors + strength * slopes
        parameters.grad = torch.cat([slope, errors.sum(dim=0, keepdim=True)])
        return (losses * share).sum() + strength / 2 * slopes.square().sum()

    optimizer = torch.optim.LBFGS(
        [parameters],
        max_iter=_ITERATIONS,
        history_size=_HISTORY,
        tolerance_grad=_GRADIENT,
        tolerance_change=_CHANGE,
        line_search_fn="strong_wolfe",
    )
    optimizer.step(objective)  # type: ignore[no-untyped-call]  # torch
    return parameters.detach()


def _losses(logits: Tensor, targets: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """Return the loss over the last axis, as `ClassifyTraining.losses` has it, and its gradient.

    Args:
        logits: (..., C).
        targets: The same, or what is broadcast to it.
        rows: Say which loss.
    """
    factor = 1.0 if rows.label_weights is None else rows.label_weights
    if rows.several:
        terms = functional.binary_cross_entropy_with_logits(
            logits, targets.expand_as(logits), reduction="none"
        )
        return (factor * terms).mean(dim=-1), factor * (logits.sigmoid() - targets) / rows.classes
    wanted = factor * targets
    logs = functional.log_softmax(logits, dim=-1)
    losses = -(wanted * logs).sum(dim=-1)
    return losses, wanted.sum(dim=-1, keepdim=True) * logs.exp() - wanted
