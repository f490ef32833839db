"""Keep weights between those before and after fine-tuning.

Robust fine-tuning of zero-shot models, 2021, https://arxiv.org/abs/2109.01903: weights on the line
between a pretrained network and the fine-tuned one are often better than either, since both lie in
one basin of the loss. Deviations: the network before has a head that was trained on the frozen
backbone, batch statistics are interpolated as the weights are, and the place on the line is the one
of least validation loss, which a few dozen pictures tell more surely than accuracy. Where the rate
falls to nearly zero, no epoch but the last is compared: the weights of those before are noisy, and
if one of them has the least loss on a few dozen pictures, that is mostly chance.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from torch import Tensor

from foveal.train.optim import snapshot
from foveal.train.records import Validated
from foveal.train.state import Best, RunState, score_of

logger = logging.getLogger(__name__)

# Of the way from the weights before to those after; both ends are known already.
SHARES = (1 / 3, 2 / 3)


def keep_blend(
    state: RunState, validated: Callable[[], Validated], metric: str, *, is_annealed: bool
) -> None:
    """Take the weights of least validation loss for the best ones of the run, and go on from them.

    Compared are the weights before the stage, those after it, and some between. Without a loss in
    what is validated, the metric decides.

    Args:
        state: At the end of the stage, whose last epoch is in the history.
        validated: Measures `state.shown_model`.
        metric: Name of the metric.
        is_annealed: Whether the learning rate fell to nearly zero. Otherwise the best epoch is
            compared, too.
    """
    before, best = state.before, state.best
    if before is None or best is None or not state.history:
        raise ValueError("keep_blend: the stage was not opened to be blended")
    model, metrics = state.shown_model, state.history[-1].metrics
    after = Best(snapshot(model), state.epoch, score_of(metrics, metric), metrics)
    found = {"before": before, "after": after}
    if not is_annealed:
        found["best epoch"] = best
    for share in SHARES:
        weights = between(before.weights, after.weights, share)
        model.load_state_dict(weights)
        metrics = validated().metrics
        name = f"{100 * share:.0f} % of the way"
        found[name] = Best(weights, state.epoch, score_of(metrics, metric), metrics)
    name = max(found, key=lambda each: found[each].score[::-1])
    logger.info(
        "fine-tuning ended; kept are the weights of the least validation loss: %s (%s)",
        name,
        ", ".join(f"{each} {-one.score[1]:.4f}" for each, one in found.items()),
    )
    state.keep(found[name])


def between(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Return the weights at a share of the way from some to others; counters are the others'."""
    return {
        name: value + share * (after[name] - value) if value.is_floating_point() else after[name]
        for name, value in before.items()
    }
