"""What it costs to judge how familiar pictures are: a network with and without it, in turns.

One picture at a time on one thread, as a busy server runs it. The networks have random weights,
which changes nothing in the time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch

from foveal.export.onnx import export_onnx
from foveal.models.familiarity import fit_familiarity, pool
from foveal.models.network import Network, build_network
from foveal.models.torch_engine import to_images
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.recipe import ModelOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import TRAINING
from foveal.types import Labels
from outcome import Outcome, add_out, report

_TASK = ClassifyTask.bind(Labels(("cat", "dog")), {})
_CASES = (("fovea", 64), ("cnn3", 64), ("efficientnet_lite0", 160))


def main() -> None:
    """Measure each network and report the worst."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_out(parser)
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()
    measured = {name: ratios(name, size, arguments.rounds) for name, size in _CASES}
    report(
        Outcome(
            claim="familiarity_cost",
            what="time of one picture with the judgement against without, median of the rounds",
            unit="ratio",
            values=tuple(statistics.median(found) for found in measured.values()),
            target=1.05,
            better="low",
            detail={name: statistics.median(found) for name, found in measured.items()},
        ),
        arguments.out,
    )


def ratios(backbone: str, side: int, rounds: int) -> Sequence[float]:
    """Return the ratio of each round."""
    network = build_network(TRAINING(_TASK), ModelOptions(backbone=backbone), pretrained=False)
    pipeline = Pipeline(side, side)
    plain = OnnxEngine(export_onnx(network.eval(), _TASK, pipeline), threads=1)
    judging = OnnxEngine(export_onnx(with_judgement(network, side), _TASK, pipeline), threads=1)
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    found = []
    for number in range(rounds + 10):
        first, second = timed(plain, picture), timed(judging, picture)
        # The first runs of a session are slower than all later ones.
        if number >= 10:
            found.append(second / first)
    return found


def with_judgement(network: Network, side: int) -> Network:
    """Fit the judgement to noise."""
    pictures = np.random.default_rng(1).integers(0, 256, (200, side, side, 3), np.uint8)
    with torch.inference_mode():
        images = to_images(pictures, torch.device("cpu"))
        pooled = pool(network.features(images))
    network.familiarity = fit_familiarity(
        pooled, np.arange(200), [rows[:20] for rows in pooled], refused=0.01
    )
    return network


def timed(engine: OnnxEngine, picture: np.ndarray) -> float:
    """Return the seconds of one run, all outputs."""
    start = time.perf_counter()
    engine.run(picture)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
