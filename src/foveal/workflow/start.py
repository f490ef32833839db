"""Start a training from a trained model: settings, weights, and training pictures.

Known labels keep their rows of the head, whatever their order, new ones get rows of their own, and
those that no longer occur are dropped. The model is copied into the run, so that the run can be
resumed when the model is gone.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from foveal.atomic import atomic_path
from foveal.bundle.bundle import Bundle
from foveal.bundle.container import TRAINED_ON_NAME
from foveal.bundle.trained_on import TrainedOn
from foveal.errors import RecipeError, UsageError, WeightsError
from foveal.models.backbones import resolve_backbone
from foveal.models.network import Network, build_network, head_options
from foveal.recipe import SETTINGS, AugmentOptions, Recipe, TrainOptions
from foveal.tasks import get_training
from foveal.tasks.training import TaskTraining
from foveal.train.defaults import Part, default_lr
from foveal.types import Labels
from foveal.workflow.locate import find_model
from foveal.workflow.network import bundle_recipe
from foveal.workflow.rundir import RunDirectory

logger = logging.getLogger(__name__)

# Of the usual rates: what was learnt would be thrown away by that of random weights.
_WARM_LR: dict[Part, float] = {"scratch": 0.3, "full": 0.75}
# Of the epochs from random weights.
_WARM_EPOCHS = 1 / 3
# What the model's weights are for; all else may be chosen anew.
_TAKEN = ("task", "task_options", "model", "pipeline")
_LISTED = 12


@final
@dataclass(frozen=True)
class Start:
    """A trained model that a training starts from.

    Attributes:
        bundle: The model.
        recipe: Recipe of the model.
    """

    bundle: Bundle
    recipe: Recipe

    @classmethod
    def find(cls, model: str | Path) -> Start:
        """Return the model that a user names; as for `foveal.load`.

        Raises:
            BundleError: If there is none, or it has no recipe.
            UsageError: If it has no weights.
        """
        return cls.of(find_model(model).bundle)

    @classmethod
    def kept_in(cls, run: RunDirectory) -> Start | None:
        """Return what a run was started from; None for a run that began with nothing."""
        return cls.of(Bundle.open(run.start)) if run.start.exists() else None

    @classmethod
    def of(cls, bundle: Bundle) -> Start:
        """Return a bundle as a start."""
        if "weights.safetensors" not in bundle.manifest.files:
            raise UsageError(
                f"The model {bundle.name!r} has no trainable weights to start from.",
                hint="use the run that it was trained in",
            )
        return cls(bundle, bundle_recipe(bundle))

    @property
    def trained_on(self) -> TrainedOn | None:
        """Hashes of its training pictures; None if they are unknown."""
        if TRAINED_ON_NAME not in self.bundle.manifest.files:
            return None
        return TrainedOn.from_bytes(self.bundle.read(TRAINED_ON_NAME))

    def keep_in(self, run: RunDirectory) -> None:
        """Copy the model into a run."""
        source = self.bundle.path
        with atomic_path(run.start, durable=True) as temporary:
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, temporary)

    def lay_under(self, recipe: Recipe) -> Recipe:
        """Return a recipe as the user gave it, with what the weights are for taken from the model.

        Raises:
            RecipeError: If something else was given.
        """
        before = self.recipe.flat()
        given = recipe.flat()
        for key in sorted(recipe.given | {f"task_options.{k}" for k in recipe.task_options}):
            section = key.partition(".")[0]
            if section in _TAKEN and key in given and given[key] != before.get(key, given[key]):
                where = SETTINGS[key].where if key in SETTINGS else key
                raise RecipeError(
                    f"{where} = {given[key]} contradicts the model that the training starts from, "
                    f"{self.bundle.name!r}, which has {before[key]}.",
                    hint=f"leave out {where}, or train without --from",
                )
        if recipe.train.strategy == "scratch":
            raise RecipeError(
                "train.strategy = scratch starts from random weights, which contradicts starting "
                "from a model.",
                hint="use --strategy full",
            )
        old = self.recipe.train
        strategy = "full" if old.strategy == "scratch" else old.strategy
        why = f"as {self.bundle.name}, which the training starts from"
        taken = Recipe(
            task=self.recipe.task,
            task_options=self.recipe.task_options,
            model=self.recipe.model,
            pipeline=self.recipe.pipeline,
            train=TrainOptions(strategy=strategy, augment=old.augment),
            reasons={"model.backbone": why, "train.strategy": why, "pipeline.image_size": why},
        )
        return recipe.filled(taken)

    def settle(self, resolved: Recipe, given: frozenset[str], samples: int) -> Recipe:
        """Return a resolved recipe with the model's settings, and rates that keep what it learnt.

        Args:
            resolved: The recipe, with no automatic value left.
            given: Keys that the user gave.
            samples: Number of labelled pictures.
        """
        old, train = self.recipe, resolved.train
        reasons = dict(resolved.reasons)
        is_trained = train.strategy != "frozen"
        if "train.lr" not in given and train.batch_size is not None and is_trained:
            part: Part = "scratch" if old.train.strategy == "scratch" else "full"
            whole = default_lr(replace(train, lr=None), part, train.batch_size)
            train = replace(train, lr=_WARM_LR[part] * whole)
            reasons["train.lr"] = "lower than usual, so that what was learnt is not forgotten"
        is_open = "train.epochs" not in given and train.budget_s is None
        if is_open and old.train.strategy == "scratch":
            anew = max(15, min(150, round(60_000 / max(1, samples))))
            train = replace(train, epochs=max(5, round(anew * _WARM_EPOCHS)))
            reasons["train.epochs"] = "a third of a training from random weights"
        # Also what was off, and would be chosen today.
        said = {each.name: f"train.augment.{each.name}" for each in fields(AugmentOptions)}
        own = {name: getattr(train.augment, name) for name, key in said.items() if key in given}
        train = replace(train, augment=replace(old.train.augment, **own))
        reasons = {key: why for key, why in reasons.items() if key not in said.values()}
        return replace(
            resolved,
            task_options=dict(old.task_options),
            model=old.model,
            pipeline=old.pipeline,
            train=train,
            reasons=reasons,
        )

    def changes(self, labels: Labels) -> Changes:
        """Return what is new in some labels, and what is gone."""
        before, after = self.bundle.manifest.labels, labels.names
        return Changes(
            known=tuple(name for name in after if name in before),
            added=tuple(name for name in after if name not in before),
            dropped=tuple(name for name in before if name not in after),
        )


@final
@dataclass(frozen=True, slots=True)
class Changes:
    """The labels of a training beside those of the model that it starts from.

    Attributes:
        known: In both.
        added: Only in the training.
        dropped: Only in the model.
    """

    known: tuple[str, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]

    def sentences(self) -> list[str]:
        """Return what a person should know, one thing a sentence."""
        said = [f"{_count(self.known)} known: they keep what the model learnt"]
        if self.added:
            said.append(
                f"{_count(self.added)} new ({_listed(self.added)}): each begins as the mean of the "
                "known ones"
            )
        if self.dropped:
            said.append(
                f"{_count(self.dropped)} dropped ({_listed(self.dropped)}): no picture has them"
            )
        return said


def _count(names: tuple[str, ...]) -> str:
    return f"{len(names)} {'label is' if len(names) == 1 else 'labels are'}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")


def warm_network(training: TaskTraining, recipe: Recipe, start: Start) -> Network:
    """Build the network of a training with the weights of the model that it starts from.

    A row of a new label is the mean of the rows of all known ones, so that its score begins among
    theirs, plus the small random row that a new head has, so that no two are alike.

    Args:
        training: The task's torch half.
        recipe: A resolved recipe, of `Start.settle`.
        start: The model.

    Raises:
        WeightsError: If the weights are damaged, or of another network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build_network(training, recipe.model, pretrained=False)
    try:
        before = load(start.bundle.read("weights.safetensors"))
    except SafetensorError as error:
        raise WeightsError(f"Cannot read the weights: {error}", code="weights_invalid") from error
    after = network.state_dict()
    axes = _label_axes(training, recipe)
    state: dict[str, Tensor] = {}
    for name, fresh in after.items():
        if name not in before:
            raise _misfit(start, name)
        if name in axes:
            state[name] = _moved(
                before[name], fresh, axes[name], start.bundle.manifest.labels, training.task.labels
            )
        elif before[name].shape != fresh.shape:
            raise _misfit(start, name)
        else:
            state[name] = before[name]
    network.load_state_dict(state)
    network.licences = list(start.bundle.manifest.licences)
    network.plain_backbone = recipe.train.precision == "bf16_head"
    return network


def _misfit(start: Start, name: str) -> WeightsError:
    return WeightsError(
        f"The weights of {start.bundle.name!r} belong to another network: {name!r} does not match.",
        hint="train without --from",
        code="weights_invalid",
    )


def _label_axes(training: TaskTraining, recipe: Recipe) -> dict[str, int]:
    """Return tensor of the network → the axis along which its labels lie.

    It is the one that grows with one label more; so every task's head is understood.
    """
    spec = resolve_backbone(recipe.model.backbone)
    options = head_options(spec, recipe.model)
    names = training.task.labels.names
    # Any character that is not among the labels would do.
    other = next(chr(code) for code in range(0x4E00, 0x9FFF) if chr(code) not in names)
    more = get_training(recipe.task)(
        type(training.task).bind(Labels((*names, other)), recipe.task_options)
    )
    with torch.random.fork_rng(devices=[]):
        heads = [each.build_head(spec.channels, spec.strides, options) for each in (training, more)]
    sizes, larger = ({name: t.shape for name, t in h.state_dict().items()} for h in heads)
    axes: dict[str, int] = {}
    for name, shape in sizes.items():
        pairs = zip(shape, larger[name], strict=True)
        grown = [axis for axis, (few, many) in enumerate(pairs) if few != many]
        if grown:
            axes[f"head.{name}"] = grown[0]
    return axes


def _moved(before: Tensor, fresh: Tensor, axis: int, old: tuple[str, ...], new: Labels) -> Tensor:
    """Return a tensor with the rows of known labels where these are now."""
    # What comes before the labels, such as the blank of texts, stays where it is.
    first = fresh.shape[axis] - len(new.names)
    source, target = before.movedim(axis, 0), fresh.movedim(axis, 0).clone()
    target[:first] = source[:first]
    mean = source[first:].mean(dim=0)
    for at, name in enumerate(new.names):
        if name in old:
            target[first + at] = source[first + old.index(name)]
        else:
            target[first + at] += mean
    return target.movedim(0, axis).contiguous()
