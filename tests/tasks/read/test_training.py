"""Targets as tensors, and losses that can be added up by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from foveal.models.network import build_network
from foveal.recipe import ModelOptions, TrainOptions, parse_section
from foveal.tasks import get_training
from foveal.tasks.read.heads import CtcHead, GruHead, PositionsHead
from foveal.tasks.read.task import ReadTask
from foveal.tasks.read.training import LENGTH, TEXT, TRAINING
from foveal.types import Labels

ABC = Labels(("a", "b", "c"))
CTC = ReadTask.bind(ABC, {})
POSITIONS = ReadTask.bind(ABC, {"head": "positions", "length": 3})


def losses(
    task: ReadTask,
    logits: Tensor,
    *texts: str,
    label_weights: Tensor | None = None,
    weight: Tensor | None = None,
    **more: object,
) -> dict[str, Tensor]:
    options = parse_section(TrainOptions, {"label_smoothing": 0.0, **more})
    outputs = {"logits": logits}
    if task.options.head == "positions":
        outputs["attention"] = torch.zeros(*logits.shape[:2], 4)
    targets = TRAINING(task).collate(texts)
    if weight is not None:
        targets["weight"] = weight
    return TRAINING(task).losses(outputs, targets, options, label_weights)


def loss(task: ReadTask, logits: Tensor, *texts: str, **more: object) -> float:
    return float(losses(task, logits, *texts, **more)["loss"])


def log_shares(*rows: tuple[float, ...]) -> Tensor:
    """Return (1, T, K) logits whose softmax are these probabilities."""
    return torch.tensor([rows]).clamp(min=1e-30).log()


def test_the_training_half_is_found_by_its_folder() -> None:
    assert get_training("read") is TRAINING


def test_texts_are_classes_from_1_filled_with_0() -> None:
    tensors = TRAINING(CTC).collate(["ab", "cab", "b"])
    assert tensors[TEXT].tolist() == [[1, 2, 0], [3, 1, 2], [2, 0, 0]]
    assert tensors[LENGTH].tolist() == [2, 3, 1]
    assert tensors[TEXT].dtype == tensors[LENGTH].dtype == torch.int64


def test_positions_always_have_their_number_of_classes() -> None:
    assert TRAINING(POSITIONS).collate(["a"])[TEXT].tolist() == [[1, 0, 0]]


def test_no_texts_are_an_empty_tensor() -> None:
    assert TRAINING(CTC).collate([])[TEXT].shape == (0, 1)
    assert TRAINING(POSITIONS).collate([])[TEXT].shape == (0, 3)


def test_characters_are_counted_wherever_they_stand() -> None:
    tensors = TRAINING(CTC).collate(["aab", "a"])
    assert TRAINING(CTC).class_counts(tensors).tolist() == [3, 1, 0]


def test_a_text_is_drawn_as_often_as_its_rarest_character_asks_for() -> None:
    # a three times, b once: 1/3 and 1, whose mean is 2/3.
    tensors = TRAINING(CTC).collate(["aa", "ab"])
    assert TRAINING(CTC).sample_weights(tensors).tolist() == pytest.approx([0.5, 1.5])


def test_the_sequence_loss_is_over_all_alignments() -> None:
    # "a" by aa, a- and -a: .6 * .6 + 2 * .6 * .4.
    logits = log_shares((0.4, 0.6, 0, 0), (0.4, 0.6, 0, 0))
    assert loss(CTC, logits, "a") == pytest.approx(-math.log(0.84), rel=1e-5)


def test_the_sequence_loss_is_per_character() -> None:
    # Four equal classes in two columns: "ab" has one alignment of sixteen.
    assert loss(CTC, torch.zeros(1, 2, 4), "ab") == pytest.approx(math.log(16) / 2)


@pytest.mark.parametrize(("text", "why"), [("abc", "three in two"), ("aa", "no blank between")])
def test_a_text_that_cannot_stand_in_the_columns_teaches_nothing(text: str, why: str) -> None:
    logits = torch.zeros(1, 2, 4, requires_grad=True)
    value = losses(CTC, logits, text)["loss"]
    value.backward()
    assert value.item() == 0.0, why
    assert logits.grad is not None and not logits.grad.any()


def test_the_filling_of_a_short_text_is_no_part_of_it() -> None:
    logits = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    alone = loss(CTC, logits[:1], "a")
    both = loss(CTC, logits, "a", "abc")
    assert both == pytest.approx((alone + loss(CTC, logits[1:], "abc")) / 2, rel=1e-5)


def test_each_position_has_its_own_loss() -> None:
    # "ab": a at .5, b at .25, nothing (class 0) at .1.
    logits = log_shares((0.5, 0.5, 0, 0), (0.75, 0, 0.25, 0), (0.1, 0.9, 0, 0))
    found = losses(POSITIONS, logits, "ab")
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {
            "position_1": math.log(2),
            "position_2": math.log(4),
            "position_3": math.log(10),
            "loss": (math.log(2) + math.log(4) + math.log(10)) / 3,
        },
        rel=1e-5,
    )


def test_sequence_losses_have_one_curve() -> None:
    assert list(losses(CTC, torch.zeros(1, 4, 4), "ab")) == ["loss"]


def test_label_smoothing_works_on_positions_and_leaves_sequences_alone() -> None:
    logits = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0))
    smooth = loss(POSITIONS, logits, "abc", label_smoothing=0.1)
    expected = torch.nn.functional.cross_entropy(
        logits[0], torch.tensor([1, 2, 3]), label_smoothing=0.1
    )
    assert smooth == pytest.approx(float(expected), rel=1e-5)
    assert loss(CTC, logits, "a", label_smoothing=0.1) == loss(CTC, logits, "a")


def test_class_weights_multiply_the_cost_of_their_character() -> None:
    # All cost ln 4; a counts three times, b once, nothing once.
    weights = torch.tensor([3.0, 1.0, 1.0])
    value = loss(POSITIONS, torch.zeros(1, 3, 4), "ab", label_weights=weights)
    assert value == pytest.approx((3 + 1 + 1) / 3 * math.log(4))


@pytest.mark.parametrize("task", [CTC, POSITIONS])
def test_a_sample_of_weight_zero_does_not_count(task: ReadTask) -> None:
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    value = loss(task, logits, "ab", "c", weight=torch.tensor([2.0, 0.0]))
    assert value == pytest.approx(loss(task, logits[:1], "ab"), rel=1e-5)


@pytest.mark.parametrize("task", [CTC, POSITIONS])
def test_a_batch_without_any_weight_costs_nothing(task: ReadTask) -> None:
    assert loss(task, torch.zeros(1, 3, 4), "ab", weight=torch.zeros(1)) == 0.0


@pytest.mark.parametrize("task", [CTC, POSITIONS])
def test_bfloat16_logits_are_scored_in_float32(task: ReadTask) -> None:
    value = losses(task, torch.zeros(1, 3, 4).bfloat16(), "ab")["loss"]
    assert value.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "head"),
    [
        ({}, CtcHead),
        ({"head": "gru"}, GruHead),
        ({"head": "positions", "length": 2}, PositionsHead),
    ],
)
def test_the_option_names_the_head(options: dict[str, object], head: type) -> None:
    task = ReadTask.bind(ABC, options)
    network = build_network(TRAINING(task), ModelOptions(backbone="reader"), pretrained=False)
    assert type(network.head) is head
    # Only the coarsest map whose columns are narrow enough, and everything coarser.
    assert len(network.head.levels) == 1


def test_coarser_maps_are_used_beside_the_last_fine_one() -> None:
    head = TRAINING(CTC).build_head((8, 16, 32, 64), (4, 8, 16, 32), ModelOptions())
    assert len(head.levels) == 3
    only_coarse = TRAINING(CTC).build_head((8, 16), (16, 32), ModelOptions())
    assert len(only_coarse.levels) == 2
