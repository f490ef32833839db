"""Choose sizes for a time budget by the speed of this machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from foveal.errors import RecipeError
from foveal.machine import keeping_memory
from foveal.models.backbones import resolve_backbone, starts_pretrained
from foveal.models.network import Network, build_network, parameters_of_stages
from foveal.recipe import PipelineOptions, Recipe, TrainOptions
from foveal.tasks.facts import DataFacts
from foveal.tasks.training import TaskTraining
from foveal.train.folding import FoldedNormalisation
from foveal.train.optim import set_modes
from foveal.train.precision import choose_device, choose_precision, use_threads
from foveal.workflow.choose import LEAST_TUNING_EPOCHS

logger = logging.getLogger(__name__)

# Of a budget: the rest goes to validations.
_TRAINED_SHARE = 0.85
# Of a budget that features may be cached for: the head must still be trained on them.
_CACHED_SHARE = 0.6
# A smaller batch makes more steps of the same pictures; below this its gradient is noise.
_SMALL_BATCH = 16
# Sides that are tried, as shares of the one that is chosen without a budget.
_SHARES = (2 / 3, 1 / 2, 1 / 3)
# Features of a frozen backbone only have to be computed: of the sides that its strides divide, the
# largest that fits is taken.
_FROZEN_STEP = 32
_SIDE_STEP = 8
# Under these sides strokes merge at the first strides; pretrained filters see nothing they know.
_LEAST_LINE, _LEAST_SCRATCH, _LEAST_PRETRAINED = 24, 32, 96
_TIMED = 3
# Steps of pretrained weights that are trained as a whole: fewer only disturb them, unless few
# pictures make several epochs of them.
_TUNING_STEPS = 100


@final
@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds that this machine takes for one picture of the size that was timed."""

    forward_s: float
    step_s: float


@final
@dataclass(frozen=True, slots=True)
class _Choice:
    """A setting that is tried: side in pixels, batch size, and whether the backbone is trained."""

    side: int
    batch: int
    is_frozen: bool


def fit_to_budget(
    recipe: Recipe,
    resolved: Recipe,
    facts: DataFacts,
    training: TaskTraining,
    again: Callable[[Recipe], Recipe],
    *,
    timed: Callable[[Recipe, TaskTraining], Speed] | None = None,
) -> Recipe:
    """Return the recipe with sizes at which the budget is enough to learn something.

    The network is timed for a few steps. If the budget allows fewer steps than the task needs at
    least, first the batch and then the pictures are made smaller; if it does not even last for
    the cached features of a pretrained backbone, the pictures. What was given stays as it is.

    Args:
        recipe: As the user gave it, with a time budget.
        resolved: The same with every choice made for training without a limit.
        facts: Facts from a sample of the pictures.
        training: The task's torch half.
        again: Makes all choices anew under a recipe.
        timed: Times a recipe's network; None does so on this machine.

    Raises:
        RecipeError: If the budget is too short for a training of each fold.
    """
    budget = recipe.train.budget_s
    if budget is None or resolved.pipeline.fit == "tile" or ":" in resolved.model.backbone:
        # Tiles are cut from pictures at their own scale; a network of the user's own is theirs.
        return resolved
    side = resolved.pipeline.height or 0
    choices = list(_choices(recipe, resolved, side))
    speed = (timed or time_network)(resolved, training)
    for choice in choices:
        if _is_enough(choice, resolved, facts, training, speed, side):
            break
    else:
        choice = choices[-1]
        if recipe.train.folds is not None:
            raise RecipeError(
                f"A budget of {budget:.0f} s is too short for {_networks(resolved)} trainings on "
                f"this machine: {_words(choice, resolved, facts, training, speed, side)}.",
                hint="use a longer --budget, or leave out --folds",
            )
        logger.warning(
            "a budget of %.0f s is too short for this machine: %s",
            budget,
            _words(choice, resolved, facts, training, speed, side),
        )
    if choice == choices[0]:
        return resolved
    why = (
        f"within the budget {_words(choices[0], resolved, facts, training, speed, side)}, "
        f"and {_words(choice, resolved, facts, training, speed, side)}"
    )
    return again(_with(recipe, resolved, choice, side, why))


@keeping_memory()
def time_network(recipe: Recipe, training: TaskTraining) -> Speed:
    """Time the network of a resolved recipe, without weights, on random pictures."""
    device = choose_device(recipe.train.device)
    use_threads()
    height, width = recipe.pipeline.height or 0, recipe.pipeline.width or 0
    if recipe.pipeline.fit == "line":
        # The largest width is rare, and has room to spare.
        width = min(width, max(height, width // 2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build_network(training, recipe.model, pretrained=False).to(device)
        network.plain_backbone = recipe.train.precision == "bf16_head"
        batch = min(_SMALL_BATCH, recipe.train.batch_size or _SMALL_BATCH)
        images = 255 * torch.rand(batch, 3, height, width, device=device)
    images = images.to(memory_format=torch.channels_last)
    step_s = _fastest(_stepping(network, images, recipe, device), device)
    forward_s = _fastest(_caching(network, images, device), device)
    return Speed(forward_s / batch, step_s / batch)


def _stepping(
    network: Network, images: Tensor, recipe: Recipe, device: torch.device
) -> Callable[[], None]:
    """Return a training step without its optimizer, as the stages of a training do it."""
    options = recipe.train
    precision, folded = choose_precision(options.precision, device), FoldedNormalisation()
    is_kept = options.keep_statistics and options.fine_tunes
    height, width = images.shape[2:]
    stages = options.frozen_stages if options.fine_tunes else 0
    frozen = parameters_of_stages(network, network.features, stages, (height, width))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in frozen)
    set_modes(network, keep_statistics=is_kept)

    def step() -> None:
        folding = folded.running(network.features, images) if is_kept else nullcontext()
        with precision.training(), folding:
            outputs = network(images)
        total = torch.stack([output.float().mean() for output in outputs.values()]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        network.zero_grad(set_to_none=True)

    return step


def _caching(network: Network, images: Tensor, device: torch.device) -> Callable[[], None]:
    """Return a forward pass as for cached features."""
    precision, folded = choose_precision("auto", device), FoldedNormalisation()
    network.eval()

    def forward() -> None:
        folding = folded.running(network.features, images)
        with torch.inference_mode(), precision.autocast(), folding:
            network.reduced_features(images)

    return forward


def _fastest(run: Callable[[], object], device: torch.device) -> float:
    """Return the least seconds of a few runs; the first allocates memory and is not counted."""
    seconds = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _choices(recipe: Recipe, resolved: Recipe, side: int) -> Iterator[_Choice]:
    """Yield what is tried, the best first; a setting that was given is in all of them."""
    strategy, batch = resolved.train.strategy, resolved.train.batch_size or _SMALL_BATCH
    is_frozen = strategy == "frozen"
    yield _Choice(side, batch, is_frozen)
    small = batch
    if strategy == "staged" and recipe.train.strategy == "auto":
        is_frozen = True
        yield _Choice(side, batch, is_frozen)
    elif not is_frozen and recipe.train.batch_size is None and batch > _SMALL_BATCH:
        small = _SMALL_BATCH
        yield _Choice(side, small, is_frozen)
    given = recipe.pipeline
    if (given.image_size, given.height, given.width) != (None, None, None):
        return
    spec = resolve_backbone(resolved.model.backbone)
    least = _LEAST_LINE if resolved.pipeline.fit == "line" else _LEAST_SCRATCH
    if starts_pretrained(resolved.model):
        least = _LEAST_PRETRAINED
    least = max(least, spec.min_size)
    if is_frozen:
        largest = _FROZEN_STEP * (-(-side // _FROZEN_STEP) - 1)
        smaller_sides = list(range(largest, least - 1, -_FROZEN_STEP))
    else:
        smaller_sides = [_SIDE_STEP * round(side * share / _SIDE_STEP) for share in _SHARES]
    for smaller in smaller_sides:
        if smaller >= least:
            yield _Choice(smaller, small, is_frozen)


def _is_enough(
    choice: _Choice,
    recipe: Recipe,
    facts: DataFacts,
    training: TaskTraining,
    speed: Speed,
    side: int,
) -> bool:
    budget = recipe.train.budget_s or 0.0
    if choice.is_frozen:
        return _caching_s(choice, recipe, facts, speed, side) <= _CACHED_SHARE * budget
    return _steps(choice, recipe, facts, speed, side) >= _least_steps(
        choice, recipe, facts, training
    )


def _caching_s(choice: _Choice, recipe: Recipe, facts: DataFacts, speed: Speed, side: int) -> float:
    views = recipe.train.feature_views if recipe.train.augment.is_on else 1
    return facts.samples * views * speed.forward_s * (choice.side / side) ** 2


def _steps(choice: _Choice, recipe: Recipe, facts: DataFacts, speed: Speed, side: int) -> int:
    """Return how many steps the budget allows; the time of one grows with pixels and batch."""
    left = _TRAINED_SHARE * (recipe.train.budget_s or 0.0)
    if recipe.train.strategy == "staged":
        left -= _caching_s(choice, recipe, facts, speed, side)
    left /= _networks(recipe)
    return max(0, int(left / (speed.step_s * choice.batch * (choice.side / side) ** 2)))


def _networks(recipe: Recipe) -> int:
    """Return how many networks share the budget: one for each fold, and the one that ships."""
    return 1 if recipe.train.folds is None else recipe.train.folds + 1


def _least_steps(choice: _Choice, recipe: Recipe, facts: DataFacts, training: TaskTraining) -> int:
    if recipe.train.strategy == "scratch":
        return training.scratch_steps
    return min(_TUNING_STEPS, LEAST_TUNING_EPOCHS * -(-facts.samples // choice.batch))


def _words(
    choice: _Choice,
    recipe: Recipe,
    facts: DataFacts,
    training: TaskTraining,
    speed: Speed,
    side: int,
) -> str:
    if choice.is_frozen:
        seconds = _caching_s(choice, recipe, facts, speed, side)
        return f"computing features at {choice.side} px takes about {seconds:.0f} s"
    steps, least = (
        _steps(choice, recipe, facts, speed, side),
        _least_steps(choice, recipe, facts, training),
    )
    return (
        f"about {steps:,} steps fit at {choice.side} px in batches of {choice.batch} (training "
        f"needs at least {least:,})"
    )


def _with(recipe: Recipe, resolved: Recipe, choice: _Choice, side: int, why: str) -> Recipe:
    """Return the given recipe with what the budget asks for laid under it."""
    options = TrainOptions(batch_size=choice.batch)
    reasons = {
        "train.batch_size": why
        if choice.side == side
        else "to fit the budget: smaller batches allow more steps in the same time"
    }
    if choice.is_frozen and resolved.train.strategy == "staged":
        options = TrainOptions(batch_size=choice.batch, strategy="frozen")
        reasons["train.strategy"] = why
    laid = recipe.filled(Recipe(train=options, reasons=reasons))
    if choice.side == side:
        return laid
    pipeline = PipelineOptions(image_size=choice.side)
    return laid.filled(Recipe(pipeline=pipeline, reasons={"pipeline.image_size": why}))
