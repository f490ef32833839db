import math
import os
import signal

import numpy as np
import pytest
import torch
from fitting import (
    CPU,
    FakeClock,
    TinyTraining,
    accuracy,
    tiny_loader,
    tiny_network,
    weights_of,
)

from foveal.errors import FovealError, UsageError
from foveal.recipe import TrainOptions
from foveal.train.checkpoint import CheckpointStore
from foveal.train.pace import Pace
from foveal.train.records import Stage, Validated, head_only
from foveal.train.trainer import Trainer


class Listener:
    """Calls a function after every step."""

    def __init__(self, on_step):
        self.on_step = on_step
        self.steps = []
        self.epochs = []
        self.result = None

    def fit_started(self, model, stages, history):
        self.model = model

    def step_done(self, step):
        self.steps.append(step)
        self.on_step(step)

    def epoch_done(self, record):
        self.epochs.append(record)

    def fit_ended(self, result):
        self.result = result


def fit(model, stages, validate=accuracy, *, on_step=lambda step: None, **options):
    listener = Listener(on_step)
    trainer = Trainer(TrainOptions(**options), device=CPU, callbacks=[listener])
    result = trainer.fit(model, TinyTraining(None), stages, validate, metric="accuracy")
    return result, listener


def test_a_network_learns_bright_from_dark():
    model = tiny_network()
    result, listener = fit(model, [Stage("full", tiny_loader(), 6, 0.03)])
    assert accuracy(model).metrics["accuracy"] == 1.0
    assert result.best_metrics == {"accuracy": 1.0}
    assert result.stopped == "finished"
    assert result.steps == 48
    assert [r.epoch for r in result.history] == [1, 2, 3, 4, 5, 6]
    assert result.history[-1].losses["loss"] < result.history[0].losses["loss"] / 2
    assert listener.result == result


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd"},
        {"schedule": "constant", "ema": 0.5},
        {"schedule": "plateau"},
        {"mixup": 0.2},
        {"precision": "fp32"},
    ],
    ids=str,
)
def test_every_option_learns(options):
    model = tiny_network()
    fit(model, [Stage("full", tiny_loader(), 6, 0.03)], **options)
    assert accuracy(model).metrics["accuracy"] >= 0.95


class Leaky(torch.autograd.Function):
    """Passes values on, and gradients that are not finite in bf16 alone."""

    @staticmethod
    def forward(ctx, values):
        ctx.is_leaky = torch.is_autocast_enabled("cpu")
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.nan if ctx.is_leaky else gradient


@pytest.mark.parametrize("is_leaky", [False, True])
def test_steps_whose_gradients_are_lost_in_bf16_are_computed_in_float32(caplog, is_leaky):
    model, plain = tiny_network(), tiny_network()
    handle = model.backbone.register_forward_hook(
        lambda module, inputs, features: Leaky.apply(features) if is_leaky else features
    )
    fit(model, [Stage("full", tiny_loader(), 2, 0.03)], precision="bf16")
    handle.remove()
    fit(plain, [Stage("full", tiny_loader(), 2, 0.03)], precision="fp32")
    after, expected = weights_of(model), weights_of(plain)
    assert all(np.isfinite(values).all() for values in after.values())
    trained = [n for n in after if n.endswith("weight")]
    assert all(np.array_equal(after[n], expected[n]) for n in trained) == is_leaky
    said = [r.message for r in caplog.records if "computed again in float32" in r.message]
    assert len(said) == is_leaky


def test_a_loss_that_is_not_finite_is_not_computed_again(caplog):
    model = tiny_network()
    model.backbone.register_forward_hook(lambda module, inputs, features: features * math.nan)
    with pytest.raises(FovealError, match="diverged"):
        fit(model, [Stage("full", tiny_loader(), 2, 0.03)], precision="bf16")
    assert "computed again" not in caplog.text


def test_the_same_seed_gives_the_same_weights():
    first, second = tiny_network(), tiny_network()
    for model in (first, second):
        fit(model, [Stage("full", tiny_loader(), 2, 0.03)], mixup=0.2)
    assert all((weights_of(second)[n] == w).all() for n, w in weights_of(first).items())


def test_fitting_leaves_the_global_random_state_alone():
    model = tiny_network()
    before = torch.get_rng_state()
    fit(model, [Stage("full", tiny_loader(), 1, 0.03)])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_frozen_part_keeps_weights_and_batch_statistics():
    model = tiny_network()
    before = weights_of(model)
    fit(model, [Stage("head", tiny_loader(), 2, 0.03, lr_factor=head_only)])
    after = weights_of(model)
    assert all((after[n] == before[n]).all() for n in before if n.startswith("backbone."))
    assert (after["head.score.weight"] != before["head.score.weight"]).any()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_best_weights_are_kept_when_later_ones_are_worse():
    scores = iter([0.5, 0.9, 0.7])
    seen = []

    def validate(model):
        seen.append(weights_of(model))
        return Validated({"accuracy": next(scores)})

    model = tiny_network()
    result, _ = fit(model, [Stage("full", tiny_loader(), 3, 0.03)], validate)
    assert result.best_epoch == 2
    assert result.best_metrics == {"accuracy": 0.9}
    assert [r.is_best for r in result.history] == [True, True, False]
    assert all((weights_of(model)[n] == w).all() for n, w in seen[1].items())


def test_equal_metrics_are_told_apart_by_the_loss_and_then_by_age():
    metrics = iter([(0.9, 0.3), (0.9, 0.1), (0.9, 0.2), (0.9, 0.1)])

    def validate(model):
        value, loss = next(metrics)
        return Validated({"accuracy": value, "loss": loss})

    result, _ = fit(tiny_network(), [Stage("full", tiny_loader(), 4, 0.03)], validate)
    assert [r.is_best for r in result.history] == [True, True, False, True]


def test_patience_ends_a_stage_after_so_many_epochs_without_improvement():
    scores = iter([0.5, 0.6, 0.6, 0.55, 0.4])

    def validate(model):
        return Validated({"accuracy": next(scores)})

    result, _ = fit(tiny_network(), [Stage("full", tiny_loader(), 9, 0.03)], validate, patience=2)
    assert result.stopped == "patience"
    assert len(result.history) == 4


def test_a_plateau_lowers_the_learning_rate_by_its_factor():
    scores = iter([0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4])

    def validate(model):
        return Validated({"accuracy": next(scores)})

    stages = [Stage("full", tiny_loader(), 8, 0.01)]
    result, _ = fit(tiny_network(), stages, validate, schedule="plateau")
    # Three validations without improvement after the first, three more, and the next.
    expected = [0.01] * 4 + [0.003] * 3 + [0.0009]
    assert [r.lr for r in result.history] == pytest.approx(expected)


def test_the_moving_average_is_what_is_validated_and_kept():
    model = tiny_network()
    seen = []

    def validate(shown):
        seen.append(shown)
        return Validated({"accuracy": 0.5})

    fit(model, [Stage("full", tiny_loader(), 1, 0.03)], validate, ema=0.99)
    assert seen[0] is not model
    assert all((weights_of(seen[0])[n] == w).all() for n, w in weights_of(model).items())


def test_control_c_ends_after_the_step_with_the_best_weights():
    def interrupt(step):
        if step.step == 11:
            os.kill(os.getpid(), signal.SIGINT)

    # Whoever started the tests may have it ignored, as a shell does in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stages = [Stage("full", tiny_loader(), 3, 0.03)]
        result, listener = fit(tiny_network(), stages, on_step=interrupt)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.stopped == "interrupted"
    assert result.steps == 11
    assert result.best_epoch == 1
    assert listener.result == result


def test_an_interrupt_before_the_first_validation_keeps_what_was_learnt():
    def interrupt(step):
        raise KeyboardInterrupt

    model = tiny_network()
    result, _ = fit(model, [Stage("full", tiny_loader(), 3, 0.03)], on_step=interrupt)
    assert result.stopped == "interrupted"
    assert result.history == ()
    assert result.best_epoch == 0
    # Nobody waits for a validation after Ctrl-C; what ships is measured anyway.
    assert result.best_metrics == {}


def test_a_loss_that_is_not_finite_stops_the_training():
    def spoil(step):
        with torch.no_grad():
            model.head.score.weight.fill_(math.nan)

    model = tiny_network()
    with pytest.raises(FovealError, match="diverged"):
        fit(model, [Stage("full", tiny_loader(), 3, 0.03)], on_step=spoil)


def test_a_divergence_after_an_epoch_keeps_the_best_weights():
    def spoil(step):
        if step.step == 10:
            with torch.no_grad():
                model.head.score.weight.fill_(math.nan)

    model = tiny_network()
    result, _ = fit(model, [Stage("full", tiny_loader(), 3, 0.03)], on_step=spoil)
    assert result.stopped == "diverged"
    assert result.best_epoch == 1
    assert torch.isfinite(model.head.score.weight).all()


def test_a_stage_without_an_end_is_refused():
    with pytest.raises(UsageError, match="neither a number of epochs nor a budget"):
        fit(tiny_network(), [Stage("full", tiny_loader(), None, 0.03)])


def test_a_stage_with_nothing_to_train_is_refused():
    stage = Stage("full", tiny_loader(), 1, 0.03, lr_factor=lambda name: 0.0)
    with pytest.raises(UsageError, match="every parameter is frozen"):
        fit(tiny_network(), [stage])


def test_a_metric_that_validate_does_not_give_is_refused():
    with pytest.raises(ValueError, match="Expected 'accuracy' in it"):
        fit(
            tiny_network(),
            [Stage("full", tiny_loader(), 1, 0.03)],
            lambda model: Validated({"other": 1.0}),
        )


class TimedTraining(TinyTraining):
    """Takes a given time for a step, twice as long from some step on."""

    def __init__(self, clock, step_s, slow_from):
        self.clock, self.step_s, self.slow_from = clock, step_s, slow_from
        self.steps = 0

    def losses(self, outputs, targets, options, label_weights):
        self.steps += 1
        self.clock.now_s += self.step_s * (2 if self.steps > self.slow_from else 1)
        return super().losses(outputs, targets, options, label_weights)


def timed_fit(stages, step_s, validation_s, budget_s, slow_from=10**9, spent_s=None, clock=None):
    """Fit on a clock on which steps and validations take what is said; return the seconds too."""
    clock = clock or FakeClock()
    started_s = None if spent_s is None else clock.now_s - spent_s

    def validate(model):
        clock.now_s += validation_s
        return Validated({"accuracy": 0.5})

    listener = Listener(lambda step: None)
    options = TrainOptions(budget_s=budget_s)
    trainer = Trainer(options, device=CPU, callbacks=[listener], clock=clock, begun_s=started_s)
    begun_s = clock.now_s
    training = TimedTraining(clock, step_s, slow_from)
    result = trainer.fit(tiny_network(), training, stages, validate, metric="accuracy")
    return result, listener, clock.now_s - begun_s


def test_a_budget_decides_the_number_of_steps():
    # 8 steps of 1 s and a validation of 2 s make an epoch of 10 s; 95 s hold nine and a half.
    result, listener, seconds = timed_fit([Stage("full", tiny_loader(), None, 0.01)], 1.0, 2.0, 95)
    assert result.stopped == "budget"
    assert 91 <= seconds <= 96
    assert len(result.history) == 10
    # The schedule came to its end: the last learning rate is next to nothing.
    assert result.history[-1].lr < 0.01 * 0.02
    assert max(step.lr for step in listener.steps) == pytest.approx(0.01, rel=0.02)


def test_a_budget_is_kept_when_the_machine_slows_down():
    stages = [Stage("full", tiny_loader(), None, 0.01)]
    result, listener, seconds = timed_fit(stages, 1.0, 2.0, 100, slow_from=20)
    assert 94 <= seconds <= 102
    assert result.history[-1].lr < 0.01 * 0.05
    progress = [step.progress for step in listener.steps]
    assert progress == sorted(progress)


class WaitingLoader:
    """Waits for its pictures before some epoch, as if they had to be drawn first."""

    def __init__(self, clock, waits_at, seconds):
        self.inner, self.samples = tiny_loader(), tiny_loader().samples
        self.clock, self.waits_at, self.seconds = clock, waits_at, seconds

    def __len__(self):
        return len(self.inner)

    def epoch(self, epoch, first_batch=0):
        if epoch == self.waits_at:
            self.clock.now_s += self.seconds
        yield from self.inner.epoch(epoch, first_batch)


def test_a_budget_may_end_before_the_first_step_of_an_epoch():
    clock = FakeClock()
    stages = [Stage("full", WaitingLoader(clock, 3, 200), None, 0.01)]
    result, _, _ = timed_fit(stages, 1.0, 2.0, 100, clock=clock)
    assert result.stopped == "budget"
    assert [record.epoch for record in result.history] == [1, 2, 3]


def test_what_was_spent_before_the_fit_is_of_the_budget():
    stages = [Stage("full", tiny_loader(), None, 0.01)]
    result, _, seconds = timed_fit(stages, 1.0, 2.0, 150, spent_s=55)
    assert result.stopped == "budget"
    # As of a budget of 95 s without.
    assert 91 <= seconds <= 96
    assert result.history[-1].lr < 0.01 * 0.02


def test_a_quarter_of_the_budget_is_left_for_the_fit_in_any_case(caplog):
    stages = [Stage("full", tiny_loader(), None, 0.01)]
    _, _, seconds = timed_fit(stages, 1.0, 2.0, 200, spent_s=190)
    assert 44 <= seconds <= 52
    assert "took 190 s of the budget of 200 s; the training still gets 50 s" in caplog.text


def test_a_resumed_fit_knows_what_was_spent_before_it(tmp_path):
    clock, store = FakeClock(), CheckpointStore(tmp_path)

    def fit(stages, begun_s):
        trainer = Trainer(
            TrainOptions(budget_s=100),
            device=CPU,
            checkpoints=store,
            clock=clock,
            begun_s=begun_s,
        )
        training = TimedTraining(clock, 1.0, 10**9)
        before_s = clock.now_s
        trainer.fit(tiny_network(), training, stages, accuracy, metric="accuracy", resume=True)
        return clock.now_s - before_s

    first = [Stage("head", tiny_loader(), 1, 0.01)]
    assert fit(first, clock.now_s - 60) == 8
    clock.now_s += 1000
    # 60 s were spent on pictures and 8 s on the first stage.
    assert 30 <= fit([*first, Stage("full", tiny_loader(), None, 0.01)], clock.now_s) <= 34


def test_a_budget_that_is_not_needed_changes_nothing():
    result, _, seconds = timed_fit([Stage("full", tiny_loader(), 3, 0.01)], 1.0, 2.0, 1000)
    assert result.stopped == "finished"
    assert result.steps == 24
    assert seconds == 30


def test_stages_share_a_budget():
    stages = [
        Stage("head", tiny_loader(), None, 0.01, lr_factor=head_only, budget_share=1),
        Stage("full", tiny_loader(), None, 0.01, budget_share=3),
    ]
    result, _, seconds = timed_fit(stages, 1.0, 2.0, 200)
    head_s = sum(r.seconds for r in result.history if r.stage == "head")
    assert 46 <= head_s <= 52
    assert 190 <= seconds <= 204


def test_a_budget_too_short_for_anything_still_gives_a_model():
    result, _, _ = timed_fit([Stage("full", tiny_loader(), 5, 0.01)], 1.0, 2.0, 0.5)
    assert result.steps == 1
    assert result.best_epoch == 1


def test_a_stage_without_a_share_runs_its_epochs_after_the_budget_is_spent():
    stages = [
        Stage("full", tiny_loader(), None, 0.01),
        Stage("more", tiny_loader(), 2, 0.01, budget_share=None),
    ]
    result, _, _ = timed_fit(stages, 1.0, 2.0, 20)
    assert [record.stage for record in result.history][-2:] == ["more", "more"]
    assert result.stopped == "finished"


def told_bright_from_dark(model):
    """Set the head to weights with which the network knows every picture."""
    known = tiny_network()
    fit(known, [Stage("full", tiny_loader(), 6, 0.03)])
    model.load_state_dict(known.state_dict())
    return {"loss": 0.25}


def test_a_stage_may_fit_without_steps():
    model = tiny_network()
    stages = [Stage("head", tiny_loader(), 1, 0.1, fit=told_bright_from_dark)]
    result, listener = fit(model, stages)
    (record,) = listener.epochs
    assert (record.stage, record.epoch, record.step, record.is_best) == ("head", 1, 0, True)
    assert record.losses == {"loss": 0.25}
    assert result.best_metrics == {"accuracy": 1.0}
    assert result.stopped == "finished"
    assert accuracy(model).metrics["accuracy"] == 1.0


def test_the_moving_average_begins_with_what_was_fitted():
    model = tiny_network()
    stages = [Stage("head", tiny_loader(), 1, 0.1, fit=told_bright_from_dark)]
    result, _ = fit(model, stages, ema=0.999)
    assert result.best_metrics == {"accuracy": 1.0}


def test_what_was_fitted_is_kept_where_steps_only_make_it_worse():
    model = tiny_network()
    stages = [
        Stage("head", tiny_loader(), 1, 0.1, fit=told_bright_from_dark),
        Stage("full", tiny_loader(), 2, 30.0),
    ]
    result, _ = fit(model, stages)
    assert result.best_metrics == {"accuracy": 1.0}
    assert accuracy(model).metrics["accuracy"] == 1.0


def test_a_resumed_run_does_not_fit_again(tmp_path):
    calls = []

    def counted(model):
        calls.append(1)
        return told_bright_from_dark(model)

    stages = [
        Stage("head", tiny_loader(), 1, 0.1, fit=counted),
        Stage("full", tiny_loader(), 2, 0.001),
    ]
    whole = tiny_network()
    fit(whole, stages)
    store = CheckpointStore(tmp_path)
    asks = Listener(lambda step: killed.stop())
    killed = Trainer(TrainOptions(), device=CPU, checkpoints=store, callbacks=[asks])
    killed.fit(tiny_network(), TinyTraining(None), stages, accuracy, metric="accuracy")
    resumed = tiny_network()
    trainer = Trainer(TrainOptions(), device=CPU, checkpoints=store)
    trainer.fit(resumed, TinyTraining(None), stages, accuracy, metric="accuracy", resume=True)
    assert len(calls) == 2
    again = weights_of(resumed)
    assert all(np.array_equal(value, again[name]) for name, value in weights_of(whole).items())


def test_a_first_step_that_is_an_epoch_is_not_the_whole_schedule():
    pace = Pace(steps_per_epoch=1, total=None, deadline_s=100.0)
    pace.step_done(1.0, 1.0)
    # About 90 steps are left, with a share of a validation each.
    assert 0.005 < pace.progress < 0.02


def test_a_slow_first_step_counts_no_more_than_its_part_of_an_epoch():
    pace = Pace(steps_per_epoch=8, total=None, deadline_s=100.0)
    pace.step_done(50.0, 50.0)
    assert pace.progress == 1 / 8
