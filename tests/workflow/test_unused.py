"""What was given and has no effect is said, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveal.data.source import Sample
from foveal.recipe import Recipe, make_recipe
from foveal.synth import open_synth
from foveal.tasks import TASKS, get_training
from foveal.tasks.facts import DataFacts
from foveal.workflow.choose import resolve
from foveal.workflow.unused import unused_settings

PHOTOS = DataFacts(
    samples=3000,
    median_side=256,
    median_height=300,
    widest=2.0,
    pad_color=(10, 20, 30),
    ink_share=0.1,
    single_characters=False,
    longest_target=6,
)


class Files:
    """Stands for pictures in files."""

    def __init__(self, *splits: str | None) -> None:
        self.samples = [Sample(str(i), ("a",), split=s) for i, s in enumerate(splits)]


def unused(*overrides: str, source: object = None) -> list[str]:
    given = make_recipe(None, overrides, {})
    training = get_training(given.task)
    resolved = resolve(given, PHOTOS, training, pretrained_at_hand=True)
    return unused_settings(given, resolved, source or Files(None), training)


@pytest.mark.parametrize(
    ("override", "other"),
    [
        ("train.epochs=5", ["train.strategy=frozen", "train.head_epochs=3"]),
        ("train.lr=0.1", ["train.strategy=frozen", "train.head_lr=0.2"]),
        ("train.head_epochs=5", "train.strategy=full"),
        ("train.head_lr=0.1", "train.strategy=scratch"),
        ("train.feature_views=4", "train.strategy=full"),
        ("train.head_is_enough=0.9", "train.strategy=frozen"),
        ("train.blend=true", "train.strategy=full"),
        ("train.keep_statistics=true", "train.strategy=frozen"),
        ("train.keep_statistics=true", "train.strategy=scratch"),
        ("train.frozen_stages=1", "train.strategy=frozen"),
        ("train.frozen_stages=1", "train.strategy=scratch"),
        ("train.momentum=0.5", "train.optimizer=adamw"),
        ("train.head_solver=lbfgs", "train.strategy=full"),
        ("train.head_lr=0.1", ["train.strategy=staged", "train.head_solver=lbfgs"]),
        ("train.lr=0.1", ["train.strategy=frozen", "train.head_solver=lbfgs"]),
        ("train.foreground=0.9", "task=classify"),
        ("pipeline.scale=0.5", "task=classify"),
        ("pipeline.flips=all", "task=read"),
        ("train.augment.rotation=30.0", "train.augment.enabled=false"),
        ("train.augment.blur=0.5", ["train.strategy=frozen", "train.feature_views=1"]),
        ("data.fresh_every=1", "task=read"),
        ("data.focus=0.9", "task=read"),
        ("model.hidden=64", "task=read"),
        ("model.hidden=64", "task=segment"),
        ("train.label_smoothing=0.2", "task=read"),
        ("train.balance=weights", "task=read"),
        ("task_options.beam_width=4", "task=read"),
        ("task_options.length=4", "task=read"),
        ("task_options.steps_per_column=2", ["task=read", "task_options.head=positions"]),
        ("train.feature_views=4", ["task=segment", "train.strategy=frozen"]),
        ("train.quality=best", ["train.strategy=frozen", "pipeline.image_size=64"]),
        ("train.quality=fast", ["task=read", "train.epochs=3"]),
        ("train.quality=best", ["model.backbone=fovea", "train.budget_s=60"]),
    ],
)
def test_a_setting_without_effect_is_named(override: str, other: str | list[str]) -> None:
    others = [other] if isinstance(other, str) else other
    (said,) = unused(override, *others)
    key, _, value = override.partition("=")
    assert said.startswith(f"{key} = {value} has no effect: ")


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.epochs=5", "train.lr=0.1", "train.head_epochs=3", "train.feature_views=1"],
        ["train.strategy=frozen", "train.head_lr=0.1", "train.patience=3", "train.lr=0.1"],
        ["train.strategy=frozen", "train.epochs=5"],
        ["train.optimizer=sgd", "train.momentum=0.5"],
        ["train.strategy=staged", "train.head_solver=lbfgs", "train.lr=0.1", "train.epochs=3"],
        ["task=segment", "train.foreground=0.9", "pipeline.scale=0.5", "pipeline.flips=all"],
        ["task=read", "task_options.decoder=beam", "task_options.beam_width=4"],
        ["task=read", "task_options.head=positions", "train.label_smoothing=0.2"],
        ["split.test_share=0.1", "data.group_regex=(.)", "model.hidden=64"],
        ["train.quality=fast", "train.budget_s=60", "pipeline.image_size=64"],
        ["train.quality=fast", "train.strategy=full", "train.epochs=3"],
        ["train.quality=best", "train.strategy=staged", "train.epochs=3", "train.folds=5"],
        ["train.quality=best", "model.backbone=fovea", "pipeline.image_size=64"],
        ["train.quality=best", "task=read"],
        ["train.quality=fast", "task=segment"],
    ],
)
def test_settings_that_are_read_are_not_named(overrides: list[str]) -> None:
    assert unused(*overrides) == []


@pytest.mark.parametrize("task", list(TASKS))
def test_a_recipe_whose_choices_were_made_is_not_complained_about(task: str) -> None:
    training = get_training(task)
    given = make_recipe(None, (), {"task": task})
    resolved = resolve(given, PHOTOS, training, pretrained_at_hand=True)
    assert unused_settings(resolved, resolved, Files(None), training) == []


@pytest.mark.parametrize("task", ["classify", "read", "segment"])
def test_the_recipe_of_an_older_run_is_not_complained_about(task: str) -> None:
    given = Recipe.load(Path(__file__).parents[1] / "recipes" / f"0.1.0-{task}.yaml")
    training = get_training(task)
    resolved = resolve(given, PHOTOS, training, pretrained_at_hand=True)
    assert unused_settings(given, resolved, Files(None), training) == []


def test_what_is_said_of_files_has_no_effect_on_generated_pictures() -> None:
    drawn = open_synth("synth:captcha?count=4")
    said = unused("task=read", "data.layout=table", "data.fresh_every=1", source=drawn)
    assert [sentence.split()[0] for sentence in said] == ["data.layout"]
    sums = open_synth("synth:arithmetic?count=4")
    assert "data.focus = 0.9" in unused("task=read", "data.focus=0.9", source=sums)[0]


def test_shares_have_no_effect_where_the_data_names_its_splits() -> None:
    shares = ("split.val_share=0.3", "split.test_share=0.2")
    assert len(unused(*shares, source=Files("train", "val"))) == 2
    (said,) = unused(*shares, source=Files("train", "test"))
    assert said.startswith("split.test_share")
