"""Judge the texts of a source by readers of the other folds."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from foveal.checks.base import CheckInput
from foveal.checks.folds import deal_folds
from foveal.checks.text_fit import TEMPERATURES, TextFit, doubt_texts
from foveal.console import Progress
from foveal.data.cache import Cache
from foveal.data.source import Source
from foveal.machine import available_cores
from foveal.metrics import log_softmax
from foveal.models.network import Network
from foveal.recipe import PipelineOptions, Recipe
from foveal.tasks import get_task, get_training
from foveal.tasks.base import Task
from foveal.tasks.read.ctc import decode_greedy
from foveal.tasks.read.training import LENGTH, TEXT
from foveal.train.data import plain_inputs
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord, Validated
from foveal.train.trainer import Trainer
from foveal.words import percent
from foveal.workflow.batches import TrainSetup
from foveal.workflow.choose import resolve
from foveal.workflow.facts import look
from foveal.workflow.network import new_network
from foveal.workflow.prepare import TRAIN, VAL, Prepared
from foveal.workflow.resolve import pipeline_of
from foveal.workflow.sources import limits_of
from foveal.workflow.units import Units

logger = logging.getLogger(__name__)

# From fewer pictures no reader learns.
_FEWEST = 60
_FOLDS = 3
# Low, since a reader's time goes with the square of it. Steps of few pictures, since it is the
# number of steps after which a reader begins to read.
_HEIGHT, _BATCH, _STEPS = 32, 16, 800
# Of one reader, whatever the width of the lines.
_MOST_S = 300.0
# Readers that read less than this say nothing.
_READS = 0.05


def judge_texts(
    given: CheckInput, source: Source, recipe: Recipe, units: NDArray[np.int64], progress: Progress
) -> TextFit | None:
    """Return what readers of the other folds make of each text; None where they do not read.

    Args:
        given: The samples.
        source: Where the same samples are read from.
        recipe: Recipe with the settings for reading them.
        units: (N,) pictures of one number are never on both sides of a fit.
        progress: Hears of the training.
    """
    usable = given.usable()
    texts = {i: (source.samples[i].raw or ("",))[0] for i in usable.tolist()}
    chosen = np.array([i for i in usable.tolist() if texts[i]], np.int64)
    if len(chosen) < _FEWEST or len(set(texts.values())) < 2:
        logger.warning(
            "texts are not checked for errors: %d are too few to train a reader on", len(chosen)
        )
        return None
    recipe, task = _resolved(source, recipe, [(texts[i],) for i in chosen.tolist()])
    fold = np.full(len(source.samples), -1, np.int64)
    fold[chosen] = deal_folds(np.zeros(len(chosen), np.int64), units[chosen], folds=_FOLDS)
    readers = _Readers(source, recipe, task, fold, progress)
    with tempfile.TemporaryDirectory(prefix="foveal-check-") as folder:
        readings, likelihoods = readers.read(Path(folder) / "cache")
    judged = np.array(sorted(readings), np.int64)
    given_texts, read = [texts[i] for i in judged.tolist()], [readings[i] for i in judged.tolist()]
    share = float(np.mean([a == b for a, b in zip(given_texts, read, strict=True)]))
    if share < _READS:
        logger.warning(
            "texts are not checked for errors: readers trained on the other folds agree with only "
            "%s of them; more pictures may help",
            percent(share, 0),
        )
        return None
    rows = np.stack([likelihoods[i] for i in judged.tolist()])
    wrong = np.full(len(source.samples), np.nan, np.float32)
    wrong[judged] = doubt_texts(given_texts, read, rows[:, 0], rows[:, 1], len(task.labels))
    names = tuple(readings.get(i, "") for i in range(len(source.samples)))
    return TextFit(names, wrong, share)


def _resolved(
    source: Source, recipe: Recipe, raws: Sequence[tuple[str, ...]]
) -> tuple[Recipe, Task]:
    """Return a recipe of a small reader that leaves nothing open, and the task."""
    task_type = get_task(recipe.task)
    options, _ = task_type.choose_options(raws)
    recipe = recipe.filled(Recipe(task_options=options, pipeline=PipelineOptions(height=_HEIGHT)))
    facts = look(source, limits_of(recipe), raws)
    training = get_training(recipe.task)
    recipe = resolve(recipe, facts=facts, training=training, pretrained_at_hand=False)
    train = replace(recipe.train, batch_size=_BATCH, budget_s=_MOST_S)
    task = task_type.bind(task_type.fit_labels(raws), recipe.task_options)
    return replace(recipe, train=train), task


@final
class _Readers:
    """Trains a reader for each fold and reads the fold with it."""

    def __init__(
        self,
        source: Source,
        recipe: Recipe,
        task: Task,
        fold: NDArray[np.int64],
        progress: Progress,
    ) -> None:
        self._source = source
        self._recipe = recipe
        self._task = task
        self._fold = fold
        self._progress = progress
        self._setting = TrainSetup.of(recipe, task)
        self._readings: dict[int, str] = {}
        self._likelihoods: dict[int, NDArray[np.float64]] = {}

    def read(self, directory: Path) -> tuple[dict[int, str], dict[int, NDArray[np.float64]]]:
        """Return position → reading, and → (2, T) log probabilities of text and reading.

        Args:
            directory: Where decoded pictures may lie meanwhile.
        """
        pipeline = pipeline_of(self._recipe)
        cache = Cache.build(
            self._source,
            pipeline,
            directory,
            limits_of(self._recipe),
            workers=available_cores(),
            progress=self._progress,
        )
        readable = cache.scan.ok & (self._fold >= 0)
        for number in range(_FOLDS):
            split = np.where(self._fold == number, VAL, TRAIN).astype(np.int8)
            split[~readable] = -1
            units = Units(
                Prepared(self._recipe, self._source, self._task, pipeline, cache, split, ())
            )
            self._read_fold(self._trained(units, number), units)
        cache.close()
        return self._readings, self._likelihoods

    def _trained(self, units: Units, number: int) -> Network:
        loader = units.batches.loader(self._setting, None)
        epochs = max(1, round(_STEPS / len(loader)))
        network = new_network(self._setting.training, self._recipe)
        steps = epochs * len(loader)
        trainer = Trainer(
            self._recipe.train,
            device=self._setting.device,
            seed=self._recipe.seed,
            callbacks=[_Steps(self._progress, number, steps)],
        )
        rate = self._recipe.train.lr
        if rate is None:
            raise ValueError("the recipe is not resolved")
        stage = Stage("full", loader, epochs, rate)
        # Nothing is compared: the last weights are kept.
        result = trainer.fit(network, self._setting.training, [stage], _nothing, metric="none")
        if result.stopped == "interrupted":
            raise KeyboardInterrupt
        return network.eval()

    def _read_fold(self, network: Network, units: Units) -> None:
        with torch.inference_mode():
            for batch in units.windows():
                inputs = plain_inputs(batch.inputs, self._setting.device)
                logits = network(inputs)["logits"].float().cpu()
                plain = log_softmax(logits.numpy())
                names = self._task.labels.names
                readings = [decode_greedy(row, names).text for row in plain]
                both = [self._likelihood(logits, batch.truths.targets)]
                both.append(self._likelihood(logits, readings))
                for row, i in enumerate(batch.truths.samples.tolist()):
                    self._readings[i] = readings[row]
                    self._likelihoods[i] = np.stack([each[row] for each in both])

    def _likelihood(self, logits: Tensor, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return (n, T) log probabilities of texts, at each of `TEMPERATURES`."""
        targets = self._setting.training.collate(texts)
        count, columns = logits.shape[:2]
        lengths = torch.full((count,), columns, dtype=torch.int64)
        found = [
            -functional.ctc_loss(
                (logits / temperature).log_softmax(dim=2).transpose(0, 1),
                targets[TEXT],
                lengths,
                targets[LENGTH],
                reduction="none",
            )
            for temperature in TEMPERATURES
        ]
        return torch.stack(found, dim=1).double().numpy()


def _nothing(model: nn.Module) -> Validated:
    return Validated({"none": 0.0})


@final
class _Steps:
    """Shows how far the training of a fold's reader is."""

    def __init__(self, progress: Progress, number: int, steps: int) -> None:
        self._progress = progress
        self._number = number
        self._steps = steps

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        self._progress.start(f"reader {self._number + 1} of {_FOLDS}", self._steps)

    def step_done(self, step: StepRecord) -> None:
        self._progress.update(step.step)

    def epoch_done(self, record: EpochRecord) -> None:
        pass

    def fit_ended(self, result: FitResult) -> None:
        self._progress.finish()
