"""The stages of a strategy, with their batches and learning rates."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
from torch import Tensor, nn

from foveal.console import Progress
from foveal.models.network import Network, parameters_of_stages
from foveal.synth import SynthSource
from foveal.train.callbacks import Callback
from foveal.train.data import Loader
from foveal.train.defaults import label_weights
from foveal.train.features import FeatureFile
from foveal.train.records import Stage, Validate, Validated, forward_head, head_only
from foveal.workflow.batches import TrainSetup
from foveal.workflow.endless import EndlessLoader
from foveal.workflow.head_fit import fit_head
from foveal.workflow.prepare import TRAIN, VAL, Prepared
from foveal.workflow.run_features import RunFeatures
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.sources import limits_of
from foveal.workflow.units import Units
from foveal.workflow.watched import WatchedPictures

logger = logging.getLogger(__name__)

# An extension starts from trained weights; a full rate would throw them away.
_EXTENSION_LR = 0.3
# Pictures that the spread of the features is measured on.
_STANDARDISE_ON = 20_000
# Of a time budget, head first: on cached features it converges long before this.
_HEAD_SHARE = 0.15


@final
@dataclass(frozen=True)
class Plan:
    """The stages of a fit.

    Attributes:
        stages: In order.
        validation: Measures the whole network.
        label_weights: (C,) float32, or None.
    """

    stages: tuple[Stage, ...]
    validation: Validate
    label_weights: Tensor | None


@final
class Planner:
    """Makes the stages of a run.

    Args:
        prepared: The data.
        units: The same as batches.
        network: The network to be trained.
        setting: How it is trained.
        run: Holds the cached activations.
        progress: Told of the caching of activations.
    """

    def __init__(
        self,
        prepared: Prepared,
        units: Units,
        network: Network,
        setting: TrainSetup,
        run: RunDirectory,
        progress: Progress,
    ) -> None:
        self._prepared = prepared
        self._units = units
        self._network = network
        self._run = run
        self._progress = progress
        self._setting = setting
        self._options = setting.options
        self._features = RunFeatures(prepared, units, run)
        self._endless: list[EndlessLoader] = []
        self._watched = WatchedPictures(prepared, units.validation_windows, run, setting.group)

    def plan(self, extensions: tuple[int, ...] = (), *, fine_tunes: bool | None = None) -> Plan:
        """Return the stages of the recipe's strategy, and one for each extension.

        Args:
            extensions: Epochs that the run was extended by, in order.
            fine_tunes: Whether a staged training goes on after the head; None decides it by the
                metric.
        """
        options = self._options
        stages: list[Stage] = []
        if options.strategy in ("frozen", "staged"):
            stages.append(self._head_stage("head", options.head_epochs, options.head_lr))
        if options.strategy != "frozen" and fine_tunes is not False:
            stage = self._full_stage("full", options.epochs, options.lr)
            if self._is_staged and fine_tunes is None:
                stage = replace(stage, skip_from=options.head_is_enough)
            stages.append(stage)
        for number, epochs in enumerate(extensions, 1):
            name = "more" if number == 1 else f"more{number}"
            if options.strategy == "frozen":
                rate = (options.head_lr or 0.0) * _EXTENSION_LR
                stage = self._head_stage(name, epochs, rate)
            else:
                rate = (options.lr or 0.0) * _EXTENSION_LR
                stage = self._full_stage(name, epochs, rate)
            # Its epochs were asked for after the budget was spent.
            stages.append(replace(stage, budget_share=None))
        return Plan(tuple(stages), self._validation(), self._label_weights())

    def no_plan(self) -> Plan:
        """Return a plan to train no more: what the checkpoint has is kept."""
        return Plan((), self._validation(), None)

    def keep_features(self) -> None:
        """Compute the features that the stages of all folds read, where they read any."""
        if self._options.strategy in ("frozen", "staged") and self._units.repeats:
            self._features.compute(TRAIN, self._network, self._setting, self._progress)

    def _validation(self, features: FeatureFile | None = None) -> Validate:
        if not self._units.is_validated:
            return _nothing
        return self._units.validation(self._setting, self._watched.heard, features)

    def _sample_weights(self) -> Tensor | None:
        if self._options.balance != "sampling":
            return None
        training = self._setting.training
        targets = self._units.batches.targets(training)
        return training.sample_weights(targets)

    def _label_weights(self) -> Tensor | None:
        if self._options.balance != "weights":
            return None
        training = self._setting.training
        counts = training.class_counts(self._units.batches.targets(training))
        return label_weights(counts)

    def _full_stage(self, name: str, epochs: int | None, rate: float | None) -> Stage:
        loader: Loader = self._units.batches.loader(self._setting, self._sample_weights())
        source, every = self._prepared.source, self._prepared.recipe.data.fresh_every
        if isinstance(source, SynthSource) and every:
            # Epochs are counted over all stages: only of the first is the last one known.
            is_first = name == "full" and not self._is_staged
            endless = EndlessLoader(
                loader,
                source,
                self._units.batches.later_loader(self._setting),
                pipeline=self._prepared.pipeline,
                limits=limits_of(self._prepared.recipe),
                directory=self._run.sets,
                every=every,
                epochs=epochs if is_first else None,
                focus=self._prepared.recipe.data.focus,
                group=self._setting.group,
            )
            self._endless.append(endless)
            loader = endless
        return Stage(
            name,
            loader,
            epochs,
            _required(rate),
            lr_factor=self._full_factor(),
            # Random weights have no statistics that are worth keeping.
            keep_statistics=self._options.keep_statistics and self._options.fine_tunes,
            blended=self._options.blend and self._is_staged,
        )

    def _full_factor(self) -> Callable[[str], float]:
        """Return the factor on the rate of each parameter where the backbone is trained."""
        network, size = self._network, self._prepared.pipeline.example_size
        stages = self._options.frozen_stages if self._options.fine_tunes else 0
        frozen = parameters_of_stages(network, network.features, stages, size)
        if stages and not frozen:
            logger.warning(
                "train.frozen_stages = %d: the first feature maps of %s depend on most of its "
                "weights, so all of them are trained",
                stages,
                network.backbone_name,
            )
        return lambda name: 0.0 if name in frozen else 1.0

    @property
    def listeners(self) -> tuple[Callback, ...]:
        """Return what must hear of the fit: drawn pictures follow what validation finds."""
        return (*self._endless, self._watched)

    def close(self) -> None:
        """Stop what still draws pictures."""
        for loader in self._endless:
            loader.close()

    @property
    def _is_staged(self) -> bool:
        return self._options.strategy == "staged"

    def _head_stage(self, name: str, epochs: int | None, rate: float | None) -> Stage:
        setting, weights = self._setting, self._sample_weights()
        if not self._units.repeats:
            # Crops differ every time: the backbone is run, but not trained.
            loader = self._units.batches.loader(setting, weights)
            return Stage(
                name,
                loader,
                epochs,
                _required(rate),
                lr_factor=head_only,
                budget_share=_HEAD_SHARE,
            )
        compute = partial(
            self._features.compute, network=self._network, setting=setting, progress=self._progress
        )
        train = compute(TRAIN)
        val = compute(VAL) if self._units.is_validated else None
        # The weights that a training starts from are for features as they were scaled then.
        if name == "head" and self._prepared.start is None:
            known = np.arange(min(train.count, _STANDARDISE_ON), dtype=np.int64)
            self._network.head.standardise(tuple(m.float() for m in train.read(known)))
        stage = Stage(
            name,
            self._units.batches.feature_loader(train, setting, weights),
            epochs,
            _required(rate),
            lr_factor=head_only,
            forward=forward_head,
            validate=self._validation(val),
            budget_share=_HEAD_SHARE,
        )
        # An extension is asked for in epochs.
        if name != "head" or self._options.head_solver == "steps":
            return stage
        fit = partial(
            fit_head,
            prepared=self._prepared,
            training=setting.training,
            features=train,
            targets=self._units.batches.targets(setting.training),
            sample_weights=weights,
            label_weights=self._label_weights(),
            progress=self._progress,
            group=self._setting.group,
        )
        return replace(stage, epochs=1, fit=fit)


def _nothing(model: nn.Module) -> Validated:
    return Validated({})


def _required(value: Any) -> Any:
    if value is None:
        raise ValueError("the recipe is not resolved")
    return value
