"""From a trained network to a bundle: export, proof, calibration. Refused rather than wrong."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from foveal.bundle.bundle import Bundle
from foveal.bundle.manifest import Manifest
from foveal.export.onnx import export_onnx
from foveal.export.prove import prove
from foveal.metrics import summarise_with_intervals
from foveal.models.network import Network
from foveal.models.torch_engine import TorchEngine
from foveal.models.weights import save_weights
from foveal.predict.engine import OnnxEngine
from foveal.tasks.base import OutputBatch, Task
from foveal.types import Calibration, JsonObject
from foveal.version import __version__
from foveal.workflow.card import model_card
from foveal.workflow.prepare import TRAIN, VAL, Prepared
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.sources import limits_of
from foveal.workflow.units import Units

logger = logging.getLogger(__name__)


def ship(prepared: Prepared, units: Units, network: Network, run: RunDirectory) -> Bundle:
    """Export the network, prove it on the whole validation split, calibrate, write the bundle.

    Args:
        prepared: The data; its validation split decides.
        units: The same as batches.
        network: Holds the best weights.
        run: Gets the bundle.

    Raises:
        ParityError: When the export answers differently; nothing is written.
    """
    network = network.to(torch.device("cpu")).eval()
    task = prepared.task
    model = export_onnx(network, task, prepared.pipeline)
    engine = OnnxEngine(model)
    proof = prove(task, units.proofs(), trained=TorchEngine(network), shipped=engine)
    logger.info("parity on %d pictures: %s", proof["samples"], proof)
    batches, targets = units.answered(engine)
    recipe = prepared.recipe
    calibration = task.fit_calibration(batches, targets, recipe.evaluate.unsure_accuracy)
    metrics = _metrics(task, batches, targets, calibration, recipe.evaluate.bootstrap)
    manifest = Manifest(
        name=run.name,
        task=recipe.task,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        foveal_version=__version__,
        labels=task.labels.names,
        task_options=dict(recipe.task_options),
        pipeline=prepared.pipeline,
        outputs=task.output_specs(),
        calibration=calibration,
        metrics=metrics,
        data=_data(prepared),
        recipe_digest=recipe.digest(),
        backbone=network.backbone_name,
        parity=proof,
        licences=tuple(network.licences),
        files={},
        limits=limits_of(recipe),
    )
    return Bundle.write(
        run.bundle,
        manifest,
        {
            "model.onnx": model,
            "weights.safetensors": save_weights(network),
            "recipe.yaml": recipe.to_yaml().encode(),
            "README.md": model_card(manifest).encode(),
        },
    )


def _metrics(
    task: Task,
    batches: Sequence[OutputBatch],
    targets: Sequence[Any],
    calibration: Calibration,
    resamples: int,
) -> dict[str, dict[str, float | None]]:
    # One answer at a time: masks are large.
    answers = (a for outputs, frames in batches for a in task.decode(outputs, frames, calibration))
    rows = np.stack([task.measure(a, t) for a, t in zip(answers, targets, strict=True)])
    intervals = summarise_with_intervals(
        rows, task.summarise, task.is_correct(rows), resamples=resamples
    )
    return {name: interval.to_json() for name, interval in intervals.items()}


def _data(prepared: Prepared) -> JsonObject:
    scan = prepared.cache.scan
    used = np.flatnonzero(prepared.split >= 0)
    # Of the content and the labels, not of the names or the order.
    parts = sorted(
        scan.digest[i].tobytes() + "|".join(prepared.source.samples[i].raw or ()).encode()
        for i in used
    )
    return {
        "fingerprint": hashlib.sha256(b"\0".join(parts)).hexdigest(),
        "layout": prepared.source.layout,
        "samples": len(used),
        "train": len(prepared.indices(TRAIN)),
        "val": len(prepared.indices(VAL)),
        "unreadable": len(scan.errors),
    }
