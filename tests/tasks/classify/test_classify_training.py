import math

import numpy as np
import pytest
import torch

from foveal.recipe import ModelOptions, TrainOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import MULTI_HOT, ONE_HOT, TRAINING
from foveal.train.logistic import Rows, fit_regression
from foveal.types import Labels

LABELS = Labels(("ant", "bee", "cat"))
SINGLE = ClassifyTask.bind(LABELS, {})
MULTI = ClassifyTask.bind(LABELS, {"multi_label": True})
PLAIN = TrainOptions(label_smoothing=0.0)
LOSSES = TRAINING(SINGLE).losses


def row(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_targets_are_stacked_under_the_name_of_their_loss() -> None:
    targets = [row(1, 0, 0), row(0, 0, 1)]

    assert TRAINING(SINGLE).collate(targets)[ONE_HOT].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert list(TRAINING(MULTI).collate(targets)) == [MULTI_HOT]
    assert TRAINING(SINGLE).collate([])[ONE_HOT].shape == (0, 3)


def test_classes_are_counted() -> None:
    targets = TRAINING(MULTI).collate([row(1, 1, 0), row(0, 1, 0)])

    assert TRAINING(MULTI).class_counts(targets).tolist() == [1, 2, 0]


def test_balanced_sampling_draws_every_class_alike() -> None:
    targets = TRAINING(SINGLE).collate([row(1, 0, 0)] * 3 + [row(0, 1, 0)])

    weights = TRAINING(SINGLE).sample_weights(targets)

    assert weights.mean() == pytest.approx(1.0)
    assert weights[:3].sum() == pytest.approx(float(weights[3]))


def test_samples_without_any_class_count_as_a_class() -> None:
    targets = TRAINING(MULTI).collate([row(0, 0, 0), row(1, 0, 0), row(1, 0, 0)])

    assert TRAINING(MULTI).sample_weights(targets).tolist() == pytest.approx([1.5, 0.75, 0.75])


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    targets = TRAINING(SINGLE).collate([row(1, 0, 0)])

    loss = LOSSES({"logits": torch.zeros(1, 3)}, targets, PLAIN, None)["loss"]

    assert float(loss) == pytest.approx(math.log(3))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_single_label_loss_is_torchs_cross_entropy(smoothing: float) -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([0, 1, 2, 1])
    targets = {ONE_HOT: torch.eye(3)[classes]}

    loss = LOSSES({"logits": logits}, targets, TrainOptions(label_smoothing=smoothing), None)[
        "loss"
    ]

    expected = torch.nn.functional.cross_entropy(logits, classes, label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)


def test_a_mixed_target_costs_the_mix_of_the_costs() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.0]])
    first, second = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 1.0, 0]])

    def cost(target: torch.Tensor) -> float:
        return float(LOSSES({"logits": logits}, {ONE_HOT: target}, PLAIN, None)["loss"])

    assert cost(0.3 * first + 0.7 * second) == pytest.approx(0.3 * cost(first) + 0.7 * cost(second))


def test_several_labels_cost_their_mean_binary_cross_entropy() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1]])

    loss = LOSSES({"logits": logits}, {MULTI_HOT: labels}, PLAIN, None)["loss"]

    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(loss, expected)


def test_a_sample_of_weight_zero_does_not_count() -> None:
    logits = torch.tensor([[5.0, 0, 0], [0, 0, 5.0]])
    targets = {ONE_HOT: torch.eye(3)[[0, 0]], "weight": torch.tensor([1.0, 0.0])}

    loss = LOSSES({"logits": logits}, targets, PLAIN, None)["loss"]

    assert float(loss) == pytest.approx(math.log(1 + 2 * math.exp(-5)))


def test_a_batch_without_any_weight_costs_nothing() -> None:
    targets = {ONE_HOT: torch.eye(3)[[0]], "weight": torch.zeros(1)}

    loss = LOSSES({"logits": torch.zeros(1, 3)}, targets, PLAIN, None)["loss"]

    assert float(loss) == 0.0


def test_class_weights_multiply_the_cost_of_their_class() -> None:
    logits = torch.zeros(2, 3)
    targets = {ONE_HOT: torch.eye(3)[[0, 1]]}

    weights = torch.tensor([3.0, 1.0, 1.0])
    loss = LOSSES({"logits": logits}, targets, PLAIN, weights)["loss"]

    assert float(loss) == pytest.approx((3 + 1) / 2 * math.log(3))


def test_bfloat16_logits_are_scored_in_float32() -> None:
    targets = {ONE_HOT: torch.eye(3)[[0]]}

    loss = LOSSES({"logits": torch.zeros(1, 3).bfloat16()}, targets, PLAIN, None)["loss"]

    assert loss.dtype == torch.float32


@pytest.mark.parametrize("factors", [None, (1.0, 3.0, 0.5)], ids=["alike", "weighted"])
@pytest.mark.parametrize("task", [SINGLE, MULTI], ids=["one", "several"])
def test_a_fitted_head_has_the_least_loss_and_penalty(
    task: ClassifyTask, factors: tuple[float, ...] | None
) -> None:
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(rng.standard_normal((40, 5, 1, 1)).astype(np.float32))
    labels = np.eye(3)[rng.integers(0, 3, 40)].astype(np.float32)
    if task is MULTI:
        labels = (rng.random((40, 3)) < 0.4).astype(np.float32)
    training = TRAINING(task)
    head = training.build_head((2, 3), (16, 32), ModelOptions(hidden=0, dropout=0.0))
    head.standardise((maps,))
    targets = {**training.collate(list(labels)), "weight": torch.linspace(0.5, 2, 40)}
    known, several = training.labels(targets)
    weights = None if factors is None else torch.tensor(factors)
    levels = head.rows((maps,))
    assert [level.shape[1] for level in levels] == [2, 3]
    rows = Rows(
        torch.cat(levels, dim=1),
        known,
        targets["weight"],
        torch.zeros(40, dtype=torch.int64),
        several,
        label_weights=weights,
    )
    fitted = fit_regression(rows, (0.05,))
    head.set_map(fitted.weight, fitted.bias)

    loss = training.losses(head((maps,)), targets, PLAIN, weights)["loss"]
    slopes = head.get_parameter("evidence.weight")
    # The head's own features are standardised inside it, so its weights are those penalised.
    (loss + 0.05 / 2 * slopes.square().sum()).backward()
    for name in ("evidence.weight", "evidence.bias"):
        gradient = head.get_parameter(name).grad
        assert gradient is not None
        assert gradient.abs().max() < 1e-3, name


def test_a_head_with_a_hidden_layer_is_no_affine_map() -> None:
    head = TRAINING(SINGLE).build_head((2, 3), (16, 32), ModelOptions(hidden=4, dropout=0.0))
    with pytest.raises(NotImplementedError, match="hidden layer"):
        head.rows((torch.zeros(1, 3, 1, 1),))
