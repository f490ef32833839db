"""From a trained network to a bundle: export, proof, calibration. Refused rather than wrong."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import foveal
from foveal.bundle.bundle import Bundle
from foveal.bundle.manifest import Manifest
from foveal.export.onnx import export_onnx
from foveal.export.prove import ProofBatch, prove
from foveal.metrics import summarise_with_intervals
from foveal.models.network import Network
from foveal.models.torch_engine import TorchEngine
from foveal.models.weights import save_weights
from foveal.predict.engine import Engine, OnnxEngine
from foveal.tasks.base import Task
from foveal.types import Calibration, Frame, JsonObject, Outputs
from foveal.workflow.card import model_card
from foveal.workflow.prepare import TRAIN, VAL, Prepared
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.stages import sample_ids

logger = logging.getLogger(__name__)

_BATCH = 64


def ship(prepared: Prepared, network: Network, run: RunDirectory) -> Bundle:
    """Export the network, prove it on the whole validation split, calibrate, write the bundle.

    Args:
        prepared: The data; its validation split decides.
        network: Holds the best weights.
        run: Gets the bundle.

    Raises:
        ParityError: When the export answers differently; nothing is written.
    """
    network = network.to(torch.device("cpu")).eval()
    task = prepared.task
    model = export_onnx(network, task, prepared.pipeline)
    engine = OnnxEngine(model)
    val = prepared.indices(VAL)
    proof = prove(task, _batches(prepared, val), trained=TorchEngine(network), shipped=engine)
    logger.info("parity on %d pictures: %s", len(val), proof)
    outputs, frames = _outputs(prepared, val, engine, task)
    targets = prepared.targets(val)
    recipe = prepared.recipe
    calibration = task.fit_calibration(outputs, frames, targets, recipe.evaluate.unsure_accuracy)
    metrics = _metrics(task, outputs, frames, targets, calibration, recipe.evaluate.bootstrap)
    manifest = Manifest(
        name=run.name,
        task=recipe.task,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        foveal_version=foveal.__version__,
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


def _batches(prepared: Prepared, indices: NDArray[np.int64]) -> Iterator[ProofBatch]:
    for start in range(0, len(indices), _BATCH):
        part = indices[start : start + _BATCH]
        yield ProofBatch(
            sample_ids(prepared, part), prepared.cache.read(part), prepared.cache.frames(part)
        )


def _outputs(
    prepared: Prepared, indices: NDArray[np.int64], engine: Engine, task: Task[Any, Any]
) -> tuple[Outputs, list[Frame]]:
    parts: list[Outputs] = []
    frames: list[Frame] = []
    for batch in _batches(prepared, indices):
        parts.append(engine.run(batch.inputs, task.core_outputs))
        frames += batch.frames
    joined = {name: np.concatenate([part[name] for part in parts]) for name in task.core_outputs}
    return joined, frames


def _metrics(
    task: Task[Any, Any],
    outputs: Outputs,
    frames: list[Frame],
    targets: list[Any],
    calibration: Calibration,
    resamples: int,
) -> dict[str, dict[str, float | None]]:
    answers = task.decode(outputs, frames, calibration)
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
