"""The search space: the default recipe lies in it, and a file can only narrow it."""

from pathlib import Path

import optuna
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from foveal.errors import FovealError, RecipeError
from foveal.recipe import make_recipe
from foveal.tune.declare import AUGMENTATION, declare, recipe_layer
from foveal.tune.resolving import Resolver
from foveal.tune.space import Choice, Range, Space
from foveal.tune.spacefile import narrowed_by, space_from_json, space_json, space_yaml

optuna.logging.set_verbosity(optuna.logging.ERROR)

LR = Range("train.lr", "Rate.", 0.001, ("train.strategy", ("full",)), 1e-4, 1e-2, log=True)
LITE = ("model.backbone", ("lite",))
SPACE = Space(
    (
        Choice("model.backbone", "Network.", "lite", None, ("lite", "cnn")),
        Choice(
            "train.strategy", "Way.", "frozen", ("model.backbone", ("lite",)), ("frozen", "full")
        ),
        LR,
        Range("train.mixup", "Mix.", 0.0, None, 0.0, 0.4),
    ),
    {"model.backbone": "lite", "train.strategy": "frozen"},
    {("model.backbone", "cnn"): {"train.strategy": "scratch"}},
)


def drawn_values(space: Space, seed: int, count: int = 1) -> list[dict]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [space.ask(study.ask()) for _ in range(count)]


@given(st.integers(0, 2**31 - 1))
def test_what_is_drawn_lies_in_the_space_and_counts(seed):
    (values,) = drawn_values(SPACE, seed)
    assert SPACE.holds(values)
    assert ("train.strategy" in values) == (values["model.backbone"] == "lite")
    assert ("train.lr" in values) == (values.get("train.strategy") == "full")


def test_the_default_lies_in_the_space():
    assert SPACE.holds(SPACE.default)
    assert SPACE.default == {
        "model.backbone": "lite",
        "train.strategy": "frozen",
        "train.mixup": 0.0,
    }


@given(st.floats(1e-4, 1e-2), st.floats(1e-4, 1e-2), st.integers(0, 1000))
def test_a_narrowed_range_gives_nothing_that_the_whole_one_does_not(one, other, seed):
    low, high = sorted((one, other))
    narrow = SPACE.narrowed({"train.lr": {"low": low, "high": high}})
    for values in drawn_values(narrow, seed, 5):
        assert SPACE.holds(values)
        assert low <= values.get("train.lr", low) <= high


@given(st.floats(-1, 1).filter(lambda v: not 1e-4 <= v <= 1e-2), st.sampled_from(["low", "high"]))
def test_a_range_cannot_be_widened(value, end):
    with pytest.raises(RecipeError, match=r"'train\.lr'. Expected within 0\.0001 to 0\.01"):
        SPACE.narrowed({"train.lr": {end: value}})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"train.lr": 0.5}, r"'train\.lr'. Expected within 0\.0001 to 0\.01. Received: 0\.5"),
        ({"train.lr": [0.001, 1.0]}, r"Expected within"),
        ({"train.lr": {"low": 0.01, "high": 0.001}}, r"Expected low to be at most high"),
        ({"train.lr": {"low": 1.0, "high": 0.001}}, r"Expected within"),
        ({"train.lr": {"hgih": 0.01}}, r"Received the key 'hgih'"),
        ({"train.lr": []}, r"Expected within"),
        ({"train.lr": "fast"}, r"Expected within"),
        ({"model.backbone": "resnet"}, r"Expected within lite, cnn"),
        ({"model.backbone": ["lite", "resnet"]}, r"Expected within lite, cnn"),
        ({"model.backbone": []}, r"Expected within lite, cnn"),
        ({"train.mixup": True}, r"Expected within 0 to 0\.4"),
        (
            {"train.mixpu": 0.1},
            r"Unknown key of the space 'train\.mixpu'\. Did you mean 'train\.mixup'\?",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_range(asked, message):
    with pytest.raises(RecipeError, match=message) as error:
        SPACE.narrowed(asked)
    assert error.value.error_code == "space_invalid"


def test_a_value_and_a_list_leave_just_these(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text("model.backbone: cnn\ntrain:\n  mixup: [0.1, 2e-1]\n  lr: {low: 1e-3}\n")
    narrow = narrowed_by(SPACE, file)
    drawn = drawn_values(narrow, 0, 20)
    assert {values["model.backbone"] for values in drawn} == {"cnn"}
    assert {values["train.mixup"] for values in drawn} == {0.1, 0.2}
    assert not any("train.lr" in values for values in drawn)


@pytest.mark.parametrize("text", ["- a list", "train: [", "\x00"])
def test_a_file_that_is_no_space_is_refused(tmp_path, text):
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(RecipeError, match="space"):
        narrowed_by(SPACE, tmp_path / "space.yaml")


def test_what_is_shown_narrows_to_the_same(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text(space_yaml(SPACE))
    assert yaml.safe_load(file.read_text())["train.lr"]["when"] == "train.strategy is full"
    assert narrowed_by(SPACE, file) == SPACE


def test_a_space_survives_being_written_down():
    assert space_from_json(space_json(SPACE)) == SPACE


@pytest.fixture(scope="module")
def photos(tmp_path_factory, draw_folder) -> Path:
    return draw_folder(tmp_path_factory.mktemp("photos"), n=6, size=40)


@pytest.mark.parametrize(
    ("overrides", "knobs"),
    [
        ([], {}),
        ([], {"backbone": "fovea"}),
        (["train.optimizer=sgd"], {"strategy": "full"}),
        (["train.augment.enabled=false", "train.weight_decay=0"], {"epochs": 4}),
    ],
)
def test_the_recipe_of_the_default_values_is_the_default_recipe(photos, overrides, knobs):
    resolver = Resolver(str(photos), make_recipe(None, overrides, knobs))
    space = resolver.space(frozenset())
    assert space.holds(space.default)
    assert resolver.recipe(space.default).digest() == resolver.default.digest()


def test_every_recipe_of_the_space_can_be_made(photos):
    resolver = Resolver(str(photos), make_recipe(None, [], {}))
    space = resolver.space(frozenset())
    keys = {dimension.key for dimension in space}
    assert {"train.lr", "train.weight_decay", "train.beta1", "model.dropout"} <= keys
    for values in drawn_values(space, 1, 12):
        recipe = resolver.recipe(values)
        flat = recipe.flat()
        assert all(flat[key] == value for key, value in values.items() if key in flat)


def test_what_is_given_is_not_searched(photos):
    resolver = Resolver(str(photos), make_recipe(None, ["train.mixup=0.2"], {"backbone": "fovea"}))
    keys = {d.key for d in resolver.space(frozenset({"model.backbone", "train.mixup"}))}
    assert "model.backbone" not in keys
    assert "train.mixup" not in keys
    # Of random weights, the head is never trained alone.
    assert "train.head_lr" not in keys


def test_a_recipe_with_a_budget_of_its_own_is_refused(photos):
    with pytest.raises(FovealError, match=r"train\.budget_s"):
        Resolver(str(photos), make_recipe(None, ["train.budget_s=10"], {}))


def test_the_strength_of_augmentation_is_a_factor_within_the_bounds(photos):
    default = Resolver(str(photos), make_recipe(None, [], {})).default
    doubled = recipe_layer(default, {AUGMENTATION: 2.0})["train"]["augment"]
    assert doubled["rotation"] == 20.0
    assert doubled["brightness"] == pytest.approx(0.3)
    off = recipe_layer(default, {AUGMENTATION: 0.0})["train"]["augment"]
    assert set(off.values()) == {0.0}


def test_masks_are_never_blended():
    recipe = make_recipe(None, [], {"task": "segment", "backbone": "fovea", "strategy": "scratch"})
    space = declare(recipe, frozenset(), lambda values: recipe)
    assert "train.mixup" not in {dimension.key for dimension in space}
