"""The heads: shapes for any width, where positions look, what reaches the weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from foveal.tasks.read.heads import Columns, CtcHead, GruHead, PositionsHead

CHANNELS = (6, 10)


def maps(height: int = 4, width: int = 9, count: int = 2) -> tuple[Tensor, ...]:
    """Return a fine map, and a coarser one as a strided layer would give it."""
    generator = torch.Generator().manual_seed(0)
    sizes = ((height, width), (-(-height // 2), -(-width // 2)))
    return tuple(
        torch.rand(count, channels, *size, generator=generator)
        for channels, size in zip(CHANNELS, sizes, strict=True)
    )


def head(name: str, *, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    if name == "positions":
        return PositionsHead(CHANNELS, 5, positions=3, dropout=dropout)
    return {"ctc": CtcHead, "gru": GruHead}[name](CHANNELS, 5, dropout=dropout)


HEADS = ["ctc", "gru", "positions"]


@pytest.mark.parametrize("width", [1, 2, 9, 40])
@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 8, 13])
def test_columns_are_those_of_the_fine_map_whatever_its_size(height: int, width: int) -> None:
    assert Columns(CHANNELS, 7).eval()(maps(height, width)).shape == (2, 7, width)


def test_where_a_stroke_stands_in_its_line_is_not_forgotten() -> None:
    # The same stroke at the top and at the bottom of a map of eight rows.
    top, bottom = torch.zeros(1, 1, 8, 3), torch.zeros(1, 1, 8, 3)
    top[0, 0, 0], bottom[0, 0, 7] = 1.0, 1.0
    torch.manual_seed(0)
    columns = Columns((1,), 7)
    columns.project[1] = nn.Identity()
    assert not torch.allclose(columns((top,)), columns((bottom,)))


@pytest.mark.parametrize("width", [3, 9, 33])
@pytest.mark.parametrize("name", ["ctc", "gru"])
def test_every_column_has_a_distribution(name: str, width: int) -> None:
    outputs = head(name).eval()(maps(width=width))
    assert list(outputs) == ["logits"]
    assert outputs["logits"].shape == (2, width, 5)


@pytest.mark.parametrize("kind", [CtcHead, GruHead])
def test_steps_share_a_column_from_left_to_right(kind: type[CtcHead | GruHead]) -> None:
    torch.manual_seed(0)
    built = kind(CHANNELS, 5, dropout=0.0, steps=2).eval()
    with torch.inference_mode():
        # Only the bias is left: class 1 in the first half of a column, class 3 in the second.
        built.classify.weight.zero_()
        built.classify.bias.copy_(torch.eye(5)[[1, 3]].flatten())
        logits = built(maps(width=9))["logits"]
    assert logits.shape == (2, 18, 5)
    assert logits.argmax(dim=2).tolist() == [[1, 3] * 9] * 2


@pytest.mark.parametrize("width", [1, 9, 33])
def test_positions_have_a_distribution_and_say_where_they_looked(width: int) -> None:
    outputs = head("positions").eval()(maps(width=width))
    assert outputs["logits"].shape == (2, 3, 5)
    assert outputs["attention"].shape == (2, 3, width)
    torch.testing.assert_close(outputs["attention"].sum(2), torch.ones(2, 3))


def test_before_training_each_position_looks_at_its_share_of_the_line() -> None:
    untrained = head("positions").eval()
    nn.init.zeros_(untrained.look.weight)
    nn.init.zeros_(untrained.look.bias)
    attention = untrained(maps(width=30))["attention"][0]
    # A third of thirty columns each: 0 to 10, 10 to 20, 20 to 30.
    assert [int(row.argmax()) // 10 for row in attention] == [0, 1, 2]


def test_the_coarser_map_is_used_too() -> None:
    for name in HEADS:
        fine, coarse = maps()
        built = head(name).eval()
        with torch.inference_mode():
            first, second = built((fine, coarse))["logits"], built((fine, coarse + 1))["logits"]
        assert not torch.allclose(first, second), name


@pytest.mark.parametrize("name", HEADS)
def test_what_is_reduced_gives_the_same_answer(name: str) -> None:
    built, features = head(name).eval(), (torch.zeros(2, 3, 8, 18), *maps())
    with torch.inference_mode():
        reduced = built.reduce(features)
        assert len(reduced) == 2
        torch.testing.assert_close(built(reduced)["logits"], built(features)["logits"])


@pytest.mark.parametrize("name", HEADS)
def test_gradients_reach_every_weight(name: str) -> None:
    built = head(name).train()
    built(maps(count=4))["logits"].square().sum().backward()
    without = [n for n, p in built.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias added to all columns alike moves no softmax over the columns.
    assert [n for n in without if n != "look.bias"] == []


@pytest.mark.parametrize("name", HEADS)
def test_bfloat16_autocast_gives_finite_float32_logits(name: str) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        outputs = head(name).eval()(maps())
    assert all(value.dtype == torch.float32 for value in outputs.values())
    assert all(torch.isfinite(value).all() for value in outputs.values())


@pytest.mark.parametrize("name", HEADS)
def test_an_answer_does_not_depend_on_the_other_pictures(name: str) -> None:
    built, features = head(name).eval(), maps(count=3)
    with torch.inference_mode():
        together = built(features)["logits"][1:2]
        alone = built(tuple(m[1:2] for m in features))["logits"]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_dropout_is_for_training_alone(name: str) -> None:
    built, features = head(name, dropout=0.5), maps()
    with torch.inference_mode():
        first, second = built.train()(features)["logits"], built(features)["logits"]
        again, once_more = built.eval()(features)["logits"], built(features)["logits"]
    assert not torch.equal(first, second)
    assert torch.equal(again, once_more)
