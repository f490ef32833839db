"""Open a source and resolve a recipe."""

from __future__ import annotations

from functools import partial

import torch

from foveal.data.source import Source
from foveal.errors import DataError, RecipeError, WeightsError
from foveal.models.backbones import resolve_backbone
from foveal.models.lite import wheel_file
from foveal.models.network import build_network, head_options, weight_source
from foveal.pipeline import Pipeline
from foveal.recipe import SETTINGS, Recipe
from foveal.synth import SynthSource
from foveal.tasks import get_task, get_training
from foveal.workflow.choose import resolve
from foveal.workflow.facts import look
from foveal.workflow.network import try_network
from foveal.workflow.sources import limits_of, open_for, target_kind_of, with_task
from foveal.workflow.start import Start
from foveal.workflow.within_budget import fit_to_budget


def pipeline_of(recipe: Recipe) -> Pipeline:
    """Return the pre-processing of a resolved recipe."""
    options = recipe.pipeline
    if (
        options.height is None
        or options.width is None
        or options.pad_color is None
        or options.fit is None
    ):
        raise DataError("The recipe is not resolved: the image size is missing.")
    return Pipeline(
        options.height,
        options.width,
        options.fit,
        options.pad_color,
        options.steps or (),
        scale=options.scale,
        overlap=options.overlap,
        flips=options.flips,
    )


def _check_fit(recipe: Recipe) -> None:
    if recipe.pipeline.fit == "tile" and target_kind_of(recipe) != "mask":
        raise RecipeError(
            f"pipeline.fit=tile predicts every pixel, but {recipe.task} predicts whole pictures.",
            hint="use --task segment, or --set pipeline.fit=pad",
        )


def resolve_recipe(
    location: str, recipe: Recipe, start: Start | None = None, *, source: Source | None = None
) -> tuple[Source, Recipe]:
    """Open a source and choose what the recipe leaves open.

    Args:
        location: Where the source is, as the user gave it.
        recipe: As the user gave it.
        start: The model that the training starts from, whose settings are taken.
        source: The opened source, if it was opened before with the same reading options.

    Raises:
        DataError: If nothing there is labelled, or nothing can be read.
    """
    given = recipe.given
    if start is not None:
        recipe = start.lay_under(recipe)
    recipe = with_task(recipe, location)
    _check_fit(recipe)
    source = open_for(location, recipe) if source is None else source
    if recipe.train.folds is not None and isinstance(source, SynthSource):
        raise RecipeError(
            f"{SETTINGS['train.folds'].where} divides a fixed set of pictures, but {location} "
            "draws new ones.",
            hint="leave out --folds; --set split.val_share=0.3 validates on more pictures",
        )
    raws = [sample.raw for sample in source.samples if sample.raw is not None]
    if not raws:
        raise _no_labels(source, location)
    task_type = get_task(recipe.task)
    options, reasons = task_type.choose_options(raws)
    recipe = recipe.filled(Recipe(task_options=options, reasons=reasons))
    # Wrong options are known before the first picture is decoded.
    labels = task_type.fit_labels(raws)
    task_type.bind(labels, recipe.task_options)
    facts = look(source, limits_of(recipe), raws)
    training = get_training(recipe.task)
    choose = partial(
        resolve, facts=facts, training=training, pretrained_at_hand=_pretrained_at_hand()
    )
    resolved = choose(recipe)
    if recipe.train.budget_s is not None:
        task = task_type.bind(labels, recipe.task_options)
        resolved = fit_to_budget(recipe, resolved, facts, training(task), choose)
    if start is not None:
        resolved = start.settle(resolved, given, len(raws))
    return source, resolved


def _no_labels(source: Source, location: str) -> DataError:
    errors = [finding for finding in source.findings if finding.severity == "error"]
    if errors:
        return DataError(errors[0].message, hint=errors[0].hint, code=errors[0].id)
    message = f"No picture in {location} has a label. Found: {source.layout}."
    unread = next((one for one in source.findings if one.id == "data.table_not_read"), None)
    if unread is not None:
        return DataError(f"{message} {unread.message}", hint=unread.hint)
    return DataError(
        message, hint="put the pictures of each class into a folder of its own, or add labels.csv"
    )


def _pretrained_at_hand() -> bool:
    try:
        wheel_file(0)
    except WeightsError:
        return False
    return True


def check_network(source: Source, recipe: Recipe, *, is_warm: bool) -> None:
    """Stop before any work when size, head or weights do not fit or are not at hand."""
    spec = resolve_backbone(recipe.model.backbone)
    height, width = recipe.pipeline.height, recipe.pipeline.width
    if height is not None and width is not None:
        spec.check_size(height, width)
    task_type = get_task(recipe.task)
    labels = task_type.fit_labels(sample.raw for sample in source.samples if sample.raw)
    task = task_type.bind(labels, recipe.task_options)
    options = head_options(spec, recipe.model)
    training = get_training(recipe.task)(task)
    training.build_head(spec.channels, spec.strides, options)
    if ":" in recipe.model.backbone:
        with torch.random.fork_rng(devices=[]):
            network = build_network(training, recipe.model, pretrained=False)
            try_network(network, task, pipeline_of(recipe))
    if recipe.model.pretrained and spec.pretrained and not is_warm:
        spec.build(weight_source(recipe.model, pretrained=True))
