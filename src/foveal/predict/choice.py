"""Choose the engine of a network: the requested one, or the fastest one installed.

Any engine other than ONNX Runtime is first verified on the proof pictures of the bundle, and
refused if an answer differs. `auto` verifies every available engine, times those that pass,
alternating with ONNX Runtime, and takes the fastest.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveal.atomic import locked, write_atomic
from foveal.bundle.bundle import Bundle
from foveal.bundle.measured import MeasuredEngine, measured_engine, with_measured
from foveal.errors import FovealError, ParityError
from foveal.machine import available_cores
from foveal.predict.engine import ONNX_RUNTIME, Engine, OnnxEngine
from foveal.predict.engines import AUTO, ENGINES, check_engine
from foveal.predict.facts import ChosenEngine, EngineFacts, facts_of, rates_json
from foveal.predict.predictor import Predictor
from foveal.predict.proof_inputs import draw_inputs
from foveal.predict.race import fastest, race, rates
from foveal.predict.tuning import tuned_engine
from foveal.tasks.agreement import TOLERANCE, Comparison
from foveal.tasks.prediction import Prediction
from foveal.types import Image, JsonObject

logger = logging.getLogger(__name__)

_CALIBRATE = "foveal export RUN --to foveal --bf16 calibrates the model for it on this machine"
# Bundles of old have no inputs, those of large tiles few.
_FEWEST = 8


def bundle_for(bundle: Bundle, engine: Engine) -> Bundle:
    """Return a bundle with the calibration that belongs to an engine.

    Args:
        bundle: The bundle, perhaps with the calibration of another engine.
        engine: An engine from `choose`.
    """
    facts = facts_of(engine)
    return bundle if facts is None else _calibrated(bundle, facts.name)


def _calibrated(bundle: Bundle, name: str) -> Bundle:
    manifest = bundle.manifest
    own = measured_engine(manifest, ONNX_RUNTIME)
    fitted = measured_engine(manifest, name) or own
    if fitted is None:
        return bundle
    if own is None:
        # Kept, for when another engine takes the place of this one.
        own = MeasuredEngine(manifest.calibration, {}, 1.0, 0.0)
        manifest = with_measured(manifest, ONNX_RUNTIME, own)
    return replace(bundle, manifest=replace(manifest, calibration=fitted.calibration))


def choose(predictor: Predictor, asked: str, shared: Path | None = None) -> Engine:
    """Return the requested engine, verified on the network of a predictor.

    Args:
        predictor: Runs its network in ONNX Runtime.
        asked: Name from `ENGINES`, or `auto`.
        shared: Folder shared by processes that serve the same models: the first one measures, and
            the others use the same engine.

    Raises:
        UsageError: If the name is unknown; `engine_unavailable` if it cannot run on this machine.
        MissingExtraError: If it is not installed.
        ParityError: If it answers differently.
    """
    check_engine(asked)
    known = facts_of(predictor.engine)
    if known is not None and known.asked == asked:
        return predictor.engine
    if not isinstance(predictor.engine, OnnxEngine):
        own = _calibrated(predictor.bundle, ONNX_RUNTIME)
        predictor = Predictor(own, limits=predictor.limits)
    if asked == ONNX_RUNTIME:
        return predictor.engine
    if shared is None:
        return _found(predictor, asked)
    note = shared / f"engine-{predictor.bundle.version}.json"
    with locked(note.with_suffix(".lock")):
        if not note.exists():
            chosen = _found(predictor, asked)
            write_atomic(note, json.dumps(chosen.facts.noted()))
            return chosen
    facts = EngineFacts.from_note(json.loads(note.read_text(encoding="utf-8")))
    return ChosenEngine(_proven(predictor, facts.name, facts.threads).engine, facts)


def _found(predictor: Predictor, asked: str) -> ChosenEngine:
    if asked == AUTO:
        chosen = _fastest(predictor)
    else:
        chosen = _proven(predictor, asked, _threads_of(predictor.engine))
    logger.info("%s: %s", predictor.bundle.name, chosen.facts.words)
    return chosen


def _threads_of(engine: Engine) -> int:
    return engine.threads if isinstance(engine, OnnxEngine) else available_cores()


def _proven(predictor: Predictor, name: str, threads: int) -> ChosenEngine:
    """Open an engine, and verify it on the proof pictures."""
    engine = ENGINES[name].open(predictor.bundle, threads)
    if name == ONNX_RUNTIME:
        return ChosenEngine(engine, EngineFacts(name, threads, name))
    return ChosenEngine(engine, EngineFacts(name, threads, name, prove(predictor, engine, name)))


def _fastest(predictor: Predictor) -> ChosenEngine:
    """Return the fastest available engine that answers as ONNX Runtime does."""
    tuned = tuned_engine(predictor)
    threads = _threads_of(tuned)
    first = EngineFacts(ONNX_RUNTIME, threads)
    passed = {ONNX_RUNTIME: ChosenEngine(tuned, first)}
    refused: JsonObject = {}
    for name in ENGINES:
        try:
            if name != ONNX_RUNTIME:
                passed[name] = _proven(predictor, name, threads)
        except FovealError as error:
            logger.debug("%s: %s", predictor.bundle.name, error.message)
            refused[name] = error.message
    times = race(passed, predictor.pipeline.example_size)
    name = fastest(times, ONNX_RUNTIME)
    others = {other: rates_json(rates(times, other)) for other in passed if other != name}
    facts = replace(
        passed[name].facts, asked=AUTO, rates=rates(times, name), others={**others, **refused}
    )
    return ChosenEngine(passed[name].engine, facts)


def prove(predictor: Predictor, engine: Engine, name: str) -> JsonObject:
    """Compare the answers of an engine and a predictor to the proof pictures of a bundle.

    An engine that the bundle was calibrated and measured for answers with that calibration. Its
    answers may be as far from those of ONNX Runtime as they were then, and 0.01 more.

    Returns:
        `samples`, `label_agreement` and `max_probability_difference`, as of an export; of a
        measured engine also `validation`, its proof on the validation pictures.

    Raises:
        ParityError: If an answer differs, or a probability by more than 0.01.
    """
    bundle = predictor.bundle
    measured = measured_engine(bundle.manifest, name)
    own = _calibrated(bundle, name)
    comparison = compare_inputs(predictor, Predictor(own, engine=engine, limits=predictor.limits))
    words = comparison.refusal(f"proof pictures of {bundle.name}")
    if measured is None:
        if comparison.differing:
            lossy = ENGINES[name].precision != "f32"
            raise ParityError(
                f"{name} answers differently from ONNX Runtime on {words}",
                hint=_CALIBRATE if lossy else "use --engine onnxruntime",
            )
        return comparison.to_json()
    if (
        comparison.agreement < measured.label_agreement
        or comparison.largest > measured.max_probability_difference + TOLERANCE
    ):
        raise ParityError(
            f"{name} answers differently here from where the bundle was calibrated for it, where "
            f"label agreement was {measured.label_agreement:.2%} and the largest probability "
            f"difference {measured.max_probability_difference:.3g}. It differs from ONNX Runtime "
            f"on {words}",
            hint=_CALIBRATE,
        )
    return {**comparison.to_json(), "validation": measured.proof}


def compare_inputs(predictor: Predictor, other: Predictor) -> Comparison:
    """Compare the answers of two predictors to the proof pictures of the first one's bundle."""
    comparison = Comparison(predictor.task)
    for number, pixels in enumerate(_inputs(predictor), 1):
        expected, said = _answer(predictor, pixels), _answer(other, pixels)
        comparison.add(f"picture {number}", expected, said)
    return comparison


def _inputs(predictor: Predictor) -> NDArray[np.uint8]:
    """Return the inputs for verifying an engine: those of the bundle, if it has any."""
    proof = predictor.bundle.proof
    if proof is None or len(proof.inputs) < _FEWEST:
        return draw_inputs(predictor.task, predictor.pipeline, _FEWEST)
    return proof.inputs


def _answer(predictor: Predictor, pixels: Image) -> Prediction:
    frame = predictor.pipeline.frame(*pixels.shape[:2])
    return predictor.predict_inputs([pixels], [frame])[0]
