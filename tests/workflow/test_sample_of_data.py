"""`data.sample`: some of very many pictures, every label with its share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from drawing import DrawFolder
from hypothesis import given
from hypothesis import strategies as st

from foveal.data.layouts import open_source
from foveal.data.source import Source
from foveal.recipe import Recipe
from foveal.workflow.sources import drawn, open_for


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder) -> Source:
    root = tmp_path_factory.mktemp("photos")
    draw_folder(root, classes=("circle",), n=30)
    draw_folder(root, classes=("square",), n=10)
    draw_folder(root, classes=("triangle",), n=1)
    return open_source(root)


def _counts(source: Source) -> Counter[object]:
    return Counter(sample.raw for sample in source.samples)


def test_every_label_keeps_its_share_and_one_at_least(source: Source) -> None:
    some = drawn(source, 20, seed=1)
    assert _counts(some) == {("circle",): 15, ("square",): 5, ("triangle",): 1}
    assert some.layout.endswith("of which 21 are drawn")
    assert list(some.samples) == [s for s in source.samples if s in set(some.samples)]


def test_the_seed_says_which(source: Source) -> None:
    assert drawn(source, 20, seed=1).samples == drawn(source, 20, seed=1).samples
    assert drawn(source, 20, seed=1).samples != drawn(source, 20, seed=2).samples


@given(st.integers(1, 60), st.integers(0, 9))
def test_there_are_about_so_many(source: Source, count: int, seed: int) -> None:
    assert abs(len(drawn(source, count, seed).samples) - min(count, 41)) <= 3
    assert len(_counts(drawn(source, count, seed))) == 3


def test_the_recipe_asks_for_it(source: Source) -> None:
    recipe = Recipe.parse({"task": "classify", "data": {"sample": 20}})
    assert len(open_for(Path(source.location), recipe).samples) == 21
