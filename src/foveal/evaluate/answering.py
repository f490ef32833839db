"""Answer each sample by a predictor of its own, such as the one of its fold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np

from foveal.console import Progress
from foveal.data.source import Sample, Source
from foveal.evaluate.measure import MeasuredSamples, measure
from foveal.predict.predictor import Predictor

Answering: TypeAlias = Callable[[Sample], Predictor]
"""Returns the predictor that answers a sample."""


def measure_each_by(
    answering: Answering,
    source: Source,
    samples: Sequence[Sample],
    *,
    batch_size: int,
    progress: Progress,
) -> MeasuredSamples:
    """Answer every sample; see `foveal.evaluate.measure.measure`.

    Args:
        answering: Gives the predictor of each sample.
        source: The labelled pictures.
        samples: Those of the source to answer.
        batch_size: Number of pictures in one run of a network.
        progress: Receives the progress.

    Raises:
        DataError: If not one sample of a predictor could be measured.
    """
    groups: defaultdict[int, list[Sample]] = defaultdict(list)
    predictors = {}
    for sample in samples:
        predictor = answering(sample)
        predictors[id(predictor)] = predictor
        groups[id(predictor)].append(sample)
    parts = [
        measure(
            predictors[key],
            source,
            own,
            batch_size=batch_size,
            progress=progress,
            with_looks=False,
        )
        for key, own in groups.items()
    ]
    position = {sample.id: i for i, sample in enumerate(samples)}
    measured = list(chain.from_iterable(part.samples for part in parts))
    order = np.argsort([position[sample.id] for sample in measured])
    predictions = list(chain.from_iterable(part.predictions for part in parts))
    digests = list(chain.from_iterable(part.digests for part in parts))
    return MeasuredSamples(
        tuple(measured[i] for i in order),
        tuple(predictions[i] for i in order),
        np.concatenate([part.rows for part in parts])[order],
        tuple(digests[i] for i in order),
        np.concatenate([part.looks for part in parts])[order],
        tuple(chain.from_iterable(part.failures for part in parts)),
    )
