import pytest
import torch
from fitting import CPU, FakeClock, TinyTraining, tiny_loader, tiny_network, weights_of

from foveal.recipe import TrainOptions
from foveal.train.blend import between
from foveal.train.checkpoint import CheckpointStore
from foveal.train.records import Stage, Validated, head_only
from foveal.train.trainer import Trainer


class Scripted:
    """Gives one (accuracy, loss) after the other, and keeps the weights that it was asked of."""

    def __init__(self, *values):
        self.values = list(values)
        self.seen = []

    def __call__(self, model):
        accuracy, loss = self.values[len(self.seen)]
        self.seen.append(weights_of(model))
        return Validated({"accuracy": accuracy, "loss": loss})


def head_then_everything(epochs=2, rate=0.03):
    return [
        Stage("head", tiny_loader(), 1, 0.03, lr_factor=head_only),
        Stage("full", tiny_loader(), epochs, rate, blended=True),
    ]


def fit(validate, stages, **options):
    model = tiny_network()
    trainer = Trainer(TrainOptions(**options), device=CPU)
    result = trainer.fit(model, TinyTraining(None), stages, validate, metric="accuracy")
    return result, weights_of(model)


def is_same(weights, others):
    return all((others[name] == value).all() for name, value in weights.items())


HEAD, FIRST, LAST = (0.8, 0.5), (0.9, 0.6), (0.85, 0.4)


@pytest.mark.parametrize("options", [{}, {"ema": 0.5}], ids=str)
def test_the_weights_of_the_least_loss_on_the_line_are_kept(options):
    validate = Scripted(HEAD, FIRST, LAST, (0.7, 0.1), (0.95, 0.3))
    result, weights = fit(validate, head_then_everything(), **options)
    before, _, after, blended, _ = validate.seen
    assert result.best_metrics == {"accuracy": 0.7, "loss": 0.1}
    assert is_same(weights, blended)
    name = "backbone.0.weight"
    middle = before[name] + (after[name] - before[name]) / 3
    assert weights[name] == pytest.approx(middle, abs=1e-6)


def test_where_everything_later_is_worse_the_weights_before_are_kept():
    validate = Scripted((0.8, 0.05), (0.95, 0.6), (0.9, 0.4), (0.9, 0.2), (0.9, 0.3))
    result, weights = fit(validate, head_then_everything())
    assert result.best_epoch == 1
    assert is_same(weights, validate.seen[0])


@pytest.mark.parametrize(
    ("options", "epochs", "kept"),
    [({}, 2, 3), ({"schedule": "constant"}, 2, 1), ({"patience": 1}, 3, 1)],
    ids=str,
)
def test_an_epoch_in_the_middle_counts_only_where_the_rate_stays_high(options, epochs, kept):
    validate = Scripted(HEAD, (0.9, 0.01), LAST, (0.7, 0.1), (0.95, 0.3))
    _, weights = fit(validate, head_then_everything(epochs), **options)
    assert is_same(weights, validate.seen[kept])


def test_without_a_loss_the_metric_decides():
    scores = iter([0.8, 0.7, 0.75, 0.9, 0.85])
    result, _ = fit(lambda model: Validated({"accuracy": next(scores)}), head_then_everything())
    assert result.best_metrics == {"accuracy": 0.9}


def test_fine_tuning_starts_from_the_best_weights_before_it():
    stages = [
        Stage("head", tiny_loader(), 2, 0.03, lr_factor=head_only),
        Stage("full", tiny_loader(), 1, 1e-12, blended=True),
    ]
    validate = Scripted((0.9, 0.1), (0.8, 0.5), (0.8, 0.5), (0.8, 0.5), (0.8, 0.5))
    fit(validate, stages)
    first, second, after = (seen["head.score.weight"] for seen in validate.seen[:3])
    assert after == pytest.approx(first, abs=1e-6)
    assert abs(after - second).max() > 1e-3


def test_a_further_stage_goes_on_from_the_weights_that_were_kept():
    stages = [*head_then_everything(), Stage("more", tiny_loader(), 1, 1e-12)]
    validate = Scripted(HEAD, FIRST, LAST, (0.7, 0.1), (0.7, 0.3), (0.7, 0.2))
    _, _ = fit(validate, stages)
    kept, further = (seen["head.score.weight"] for seen in (validate.seen[3], validate.seen[5]))
    assert further == pytest.approx(kept, abs=1e-6)


def test_counters_are_those_after():
    before = {"weight": torch.zeros(2), "count": torch.tensor(1)}
    after = {"weight": torch.tensor([3.0, 6.0]), "count": torch.tensor(7)}
    blended = between(before, after, 1 / 3)
    assert blended["weight"].tolist() == pytest.approx([1.0, 2.0])
    assert int(blended["count"]) == 7


def test_a_stage_that_was_interrupted_is_blended_as_a_whole_one(tmp_path):
    class StopsAt:
        def __init__(self, step):
            self.step = step

        def fit_started(self, model, stages, history): ...

        def step_done(self, record):
            if record.step == self.step:
                raise KeyboardInterrupt

        def epoch_done(self, record): ...

        def fit_ended(self, result): ...

    def losses(model):
        # Least in the middle of the line, wherever it ends.
        weights = weights_of(model)["backbone.0.weight"]
        return Validated({"accuracy": 0.5, "loss": float(abs(weights - middle).mean())})

    def run(folder, step=None):
        store = CheckpointStore(tmp_path / folder, every_s=0.0, largest_share=float("inf"))
        callbacks = [] if step is None else [StopsAt(step)]
        model = tiny_network()
        trainer = Trainer(TrainOptions(), device=CPU, checkpoints=store, callbacks=callbacks)
        stages = head_then_everything()
        arguments = (model, TinyTraining(None), stages, losses)
        result = trainer.fit(*arguments, metric="accuracy", resume=True)
        return result, weights_of(model)

    middle = 0.0
    run("measured")
    whole = CheckpointStore(tmp_path / "measured").load().tensors
    middle = whole["model"]["backbone.0.weight"].numpy() * 0.5
    _, expected = run("whole")
    result, _ = run("stopped", step=20)
    assert result.stopped == "interrupted"
    result, weights = run("stopped")
    assert result.stopped == "finished"
    assert is_same(weights, expected)


def test_a_budget_has_room_for_the_validations_of_the_line():
    clock = FakeClock()

    class Timed(TinyTraining):
        def losses(self, *given):
            clock.now_s += 1.0
            return super().losses(*given)

    def validate(model):
        clock.now_s += 4.0
        return Validated({"accuracy": 0.5, "loss": 0.5})

    trainer = Trainer(TrainOptions(budget_s=100), device=CPU, clock=clock)
    begun_s = clock.now_s
    stages = head_then_everything(epochs=None)
    trainer.fit(tiny_network(), Timed(None), stages, validate, metric="accuracy")
    assert 92 <= clock.now_s - begun_s <= 102


def test_a_stage_without_weights_before_it_ends_as_any_other():
    stages = [Stage("full", tiny_loader(), 2, 0.03, blended=True)]
    result, _ = fit(Scripted((0.8, 0.2), (0.9, 0.3)), stages)
    assert result.best_epoch == 2


def test_a_fit_that_chooses_nothing_keeps_the_last_weights_and_those_before_the_blended_stage():
    validate = Scripted((0.9, 0.1), (0.5, 0.9), (0.4, 0.95))
    model = tiny_network()
    trainer = Trainer(TrainOptions(), device=CPU, chooses=False)
    result = trainer.fit(
        model, TinyTraining(None), head_then_everything(), validate, metric="accuracy"
    )
    before, _, last = validate.seen
    assert is_same(weights_of(model), last)
    assert result.best_epoch == 3
    assert result.before is not None
    assert is_same({name: value.numpy() for name, value in result.before.items()}, before)


def test_a_fit_that_chooses_nothing_needs_no_validation():
    trainer = Trainer(TrainOptions(), device=CPU, chooses=False)
    stages = [Stage("full", tiny_loader(), 2, 0.03)]
    result = trainer.fit(
        tiny_network(), TinyTraining(None), stages, lambda model: Validated({}), metric="accuracy"
    )
    assert [record.metrics for record in result.history] == [{}, {}]
    assert result.before is None


def test_the_weights_before_a_blended_stage_survive_a_resume(tmp_path):
    def fit_again():
        model = tiny_network()
        store = CheckpointStore(tmp_path)
        trainer = Trainer(TrainOptions(), device=CPU, checkpoints=store, chooses=False)
        result = trainer.fit(
            model,
            TinyTraining(None),
            head_then_everything(),
            lambda model: Validated({}),
            metric="accuracy",
            resume=True,
        )
        return result, weights_of(model)

    first, weights = fit_again()
    again, same = fit_again()
    assert again.steps == first.steps
    assert is_same(weights, same)
    assert first.before is not None
    assert again.before is not None
    assert all(torch.equal(again.before[name], value) for name, value in first.before.items())
