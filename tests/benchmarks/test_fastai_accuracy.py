"""The comparison of accuracies with fastai."""

from pathlib import Path

import pytest

from fastai_accuracy import SETS, Mixed, parts
from holdout import Item


def test_so_many_of_each_class_are_learned_and_others_tested() -> None:
    items = [
        Item(Path(f"{label}/{number}.png"), label, f"{label}-{number}")
        for label, count in (("cat", 60), ("dog", 30))
        for number in range(count)
    ]
    one = Mixed("two", "cats and dogs", ("any",), frozenset({"cat", "dog"}), 20, 15, 64)
    train, test = parts(one, items, seed=3)
    assert not {item.path for item in train} & {item.path for item in test}
    for label, tested in (("cat", 15), ("dog", 10)):
        assert sum(item.label == label for item in train) == 20
        assert sum(item.label == label for item in test) == tested
    assert parts(one, items, seed=3) == (train, test)
    assert parts(one, items, seed=4) != (train, test)


@pytest.mark.parametrize("one", SETS, ids=lambda one: one.name)
def test_every_set_has_six_classes(one: Mixed) -> None:
    assert len(one.classes) == 6
