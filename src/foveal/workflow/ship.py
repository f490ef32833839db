"""Export, verify, calibrate and evaluate a trained network, and write its bundle."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import torch

from foveal.bundle.bundle import Bundle
from foveal.bundle.card import model_card, requirement
from foveal.bundle.container import PROOF_NAME, TRAINED_ON_NAME
from foveal.bundle.manifest import Manifest
from foveal.bundle.trained_on import TrainedOn
from foveal.console import Progress
from foveal.evaluate.evaluate import Evaluation
from foveal.export.kept import KeptOutputs
from foveal.export.onnx import export_onnx, shipped_outputs
from foveal.export.prove import ProofBatch, prove
from foveal.machine import keeping_memory
from foveal.models.network import Network
from foveal.models.torch_engine import TorchEngine
from foveal.models.weights import save_weights
from foveal.predict.engine import OnnxEngine
from foveal.predict.proof_inputs import prove_inputs
from foveal.tasks.base import ReportSection
from foveal.tasks.distribution import Distribution
from foveal.types import UNFAMILIARITY, Calibration, JsonObject
from foveal.version import __version__
from foveal.workflow.before import beside_before
from foveal.workflow.held_out import HeldOut
from foveal.workflow.prepare import TRAIN, Prepared
from foveal.workflow.rundir import RunDirectory, write_json
from foveal.workflow.sources import limits_of

logger = logging.getLogger(__name__)


@keeping_memory()
def ship(
    prepared: Prepared, held_out: HeldOut, network: Network, run: RunDirectory, progress: Progress
) -> Manifest:
    """Export the network, prove it, calibrate and measure it on held-out pictures, write it.

    Each held-out picture is seen twice: as it was cached, to be proven and calibrated,
    and from its file, through the predictor of a bundle that lacks nothing but its metrics and
    its `unsure` limit, which is chosen on these answers. What that measures is what the bundle,
    its card and the run's report say.

    Args:
        prepared: The data.
        held_out: The pictures that decide.
        network: Holds the best weights.
        run: Gets the bundle and the report.
        progress: Told how far the evaluation is.

    Returns:
        The manifest of the bundle.

    Raises:
        ParityError: If the export answers differently; nothing is written.
        DataError: If not one validation picture can be read any more.
    """
    # On the device that it was trained on: this looks at more pictures than the proof.
    network.familiarity = held_out.familiarity(network.eval())
    network = network.to(torch.device("cpu"))
    task = prepared.task
    progress.start("export", None)
    model = export_onnx(network, task, prepared.pipeline)
    engine = OnnxEngine(model)
    with closing(KeptOutputs(run.cache)) as kept:
        # How many windows cover a picture is only known once it is read.
        is_tiled = prepared.pipeline.is_tiled
        units = held_out.proven
        progress.start("prove", None if is_tiled else len(units.validation_samples))
        proof = prove(
            task,
            _reported(units.proofs(), progress),
            trained=TorchEngine(network),
            shipped=engine,
            keep=None if is_tiled else kept.append,
            is_judged=network.familiarity is not None,
        )
        progress.finish()
        logger.info("%s", _proven(proof, prepared))
        progress.start("calibrate", None)
        batches, targets = held_out.to_calibrate(engine, kept)
        calibration = task.fit_calibration(batches, targets)
        progress.finish()
    unmeasured = _manifest(prepared, network, run.name, proof, calibration, held_out.counts())
    files = {
        "model.onnx": model,
        "weights.safetensors": save_weights(network),
        "recipe.yaml": prepared.recipe.to_yaml().encode(),
    }
    names = (*task.core_outputs, *([] if network.familiarity is None else [UNFAMILIARITY]))
    files[PROOF_NAME] = prove_inputs(engine, task, prepared.pipeline, names).to_bytes()
    if prepared.recipe.evaluate.remember_pictures:
        trained_on = _trained_on(prepared)
        if trained_on is not None:
            files[TRAINED_ON_NAME] = trained_on.to_bytes()
    draft = Bundle.write(run.draft, unmeasured, files)
    evaluation, sections = held_out.measure(draft)
    metrics = {name: interval.to_json() for name, interval in evaluation.metrics.items()}
    manifest = replace(
        evaluation.manifest,
        files={},
        metrics=metrics,
        baseline=evaluation.baseline.to_json(),
        answers=Distribution.of(evaluation.measured.predictions, task.target_kind),
    )
    card = {"README.md": model_card(manifest).encode()}
    bundle = Bundle.write(run.bundle, manifest, {**files, **card})
    if needed := requirement(bundle.pipeline):
        logger.warning("%s", needed)
    evaluation = replace(evaluation, manifest=bundle.manifest, version=bundle.version)
    more = [*sections, *_before(prepared, evaluation, run, progress)]
    progress.start("write the report", None)
    evaluation.write(run.path, results=run.results, more=more)
    progress.finish()
    return bundle.manifest


def _before(
    prepared: Prepared, evaluation: Evaluation, run: RunDirectory, progress: Progress
) -> list[ReportSection]:
    """Measure the model that the training started from, say what changed, and write it down."""
    if prepared.start is None:
        return []
    beside = beside_before(prepared.start, evaluation, prepared, progress)
    write_json(run.before, beside.to_json())
    for sentence in beside.sentences():
        logger.info("%s", sentence)
    return [beside.section()]


def _reported(batches: Iterable[ProofBatch], progress: Progress) -> Iterator[ProofBatch]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch.samples)
        progress.update(done)


def _proven(proof: JsonObject, prepared: Prepared) -> str:
    """Return what was proven, for people."""
    what = "validation pictures" if prepared.folds is None else "pictures of the first fold"
    what = f"parts of {what}" if prepared.pipeline.is_tiled else what
    return (
        f"the exported model answers like the trained one on all {proof['samples']} {what}: "
        f"probabilities differ by {proof['max_probability_difference']:.0e} at most"
    )


def _manifest(
    prepared: Prepared,
    network: Network,
    name: str,
    proof: JsonObject,
    calibration: Calibration,
    counts: JsonObject,
) -> Manifest:
    """Return the manifest of a bundle that is not measured yet."""
    task, recipe = prepared.task, prepared.recipe
    return Manifest(
        name=name,
        task=recipe.task,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        foveal_version=__version__,
        labels=task.labels.names,
        task_options=dict(recipe.task_options),
        pipeline=prepared.pipeline,
        outputs=shipped_outputs(network, task),
        calibration=calibration,
        metrics={},
        data=_data(prepared, counts),
        recipe_digest=recipe.digest(),
        backbone=network.backbone_name,
        parity=proof,
        licences=tuple(network.licences),
        files={},
        limits=limits_of(recipe),
    )


def _trained_on(prepared: Prepared) -> TrainedOn | None:
    """Return what the weights have learnt; None where the model before does not say what it had."""
    positions = prepared.indices(TRAIN)
    raws = [prepared.source.samples[i].raw for i in positions]
    own = TrainedOn.of(prepared.cache.scan, positions, raws, prepared.task.target_kind)
    if prepared.start is None:
        return own
    before = prepared.start.trained_on
    return None if before is None else own.with_those_of(before)


def _data(prepared: Prepared, counts: JsonObject) -> JsonObject:
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
        **counts,
        "unreadable": len(scan.errors),
    }
