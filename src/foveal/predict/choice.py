"""Choose the engine of a network: the requested one, or the fastest one installed.

Any engine other than ONNX Runtime is first verified on the proof pictures of the bundle, and
refused if an answer differs. `auto` verifies every available engine, times those that pass,
alternating with ONNX Runtime, and takes the fastest.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.atomic import locked, write_atomic
from foveal.errors import FovealError, ParityError
from foveal.machine import available_cores
from foveal.predict.engine import ONNX_RUNTIME, Engine, OnnxEngine
from foveal.predict.engines import AUTO, ENGINES, check_engine
from foveal.predict.predictor import Predictor
from foveal.predict.proof_inputs import draw_inputs
from foveal.predict.race import fastest, race, rates
from foveal.predict.tuning import tuned_engine
from foveal.tasks.agreement import Comparison
from foveal.tasks.prediction import Prediction
from foveal.types import Image, JsonObject, Outputs

logger = logging.getLogger(__name__)

# Bundles of old have no inputs, those of large tiles few.
_FEWEST = 8


@final
@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The engine that runs a model, with its proof and speed.

    Attributes:
        name: One of `ENGINES`.
        threads: Number of threads of one run.
        asked: The request: a name, or `auto`.
        proof: Comparison of its answers to the proof pictures with those of ONNX Runtime; empty for
            ONNX Runtime itself.
        rates: Pictures per run → pictures per second; empty if not measured.
        others: Name → rates of the engines that `auto` rejected, or why they cannot be used.
    """

    name: str
    threads: int
    asked: str = ONNX_RUNTIME
    proof: JsonObject = field(default_factory=dict)
    rates: Mapping[int, float] = field(default_factory=dict)
    others: JsonObject = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return the values shown by `Model.info()` and `GET /models`."""
        kind = ENGINES[self.name]
        shown = {
            "name": self.name,
            "asked": self.asked,
            "runtime": kind.runtime,
            "precision": kind.precision,
            "threads": self.threads,
        }
        found = {
            "proof": self.proof,
            "pictures_per_s": _rates_json(self.rates),
            "others": self.others,
        }
        return {**shown, **{name: value for name, value in found.items() if value}}

    def noted(self) -> JsonObject:
        """Return all fields as JSON; see `from_note`."""
        return asdict(self)

    @classmethod
    def from_note(cls, values: JsonObject) -> EngineFacts:
        """Parse the output of `noted`."""
        rates = {int(batch): rate for batch, rate in values["rates"].items()}
        return cls(**{**values, "rates": rates})

    @property
    def words(self) -> str:
        """A message with the engine, its proof and its rate."""
        kind = ENGINES[self.name]
        parts = [f"{self.name} ({kind.runtime}, {kind.precision}, {self.threads} threads)"]
        if self.proof:
            difference = self.proof["max_probability_difference"]
            parts.append(
                f"gives the same answers to {self.proof['samples']} proof pictures as onnxruntime "
                f"(probabilities within {difference:.1g})"
            )
        parts += [
            f"{rate:.0f} pictures per second in batches of {n}" for n, rate in self.rates.items()
        ]
        return "; ".join(parts)


@final
class ChosenEngine:
    """An engine with its facts.

    Args:
        engine: Runs the network.
        facts: Proof and speed of the engine.
    """

    def __init__(self, engine: Engine, facts: EngineFacts) -> None:
        self.engine = engine
        self.facts = facts

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""
        return self.engine.run(inputs, names)


def facts_of(engine: Engine) -> EngineFacts | None:
    """Return the facts of an engine; None for a custom one."""
    if isinstance(engine, OnnxEngine):
        return EngineFacts(ONNX_RUNTIME, engine.threads)
    return engine.facts if isinstance(engine, ChosenEngine) else None


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
        predictor = Predictor(predictor.bundle, limits=predictor.limits)
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
    others = {other: _rates_json(rates(times, other)) for other in passed if other != name}
    facts = replace(
        passed[name].facts, asked=AUTO, rates=rates(times, name), others={**others, **refused}
    )
    return ChosenEngine(passed[name].engine, facts)


def prove(predictor: Predictor, engine: Engine, name: str) -> JsonObject:
    """Compare the answers of an engine and a predictor to the proof pictures of a bundle.

    Returns:
        `samples`, `label_agreement` and `max_probability_difference`, as of an export.

    Raises:
        ParityError: If an answer differs, or a probability by more than 0.01.
    """
    other = Predictor(predictor.bundle, engine=engine, limits=predictor.limits)
    inputs = _inputs(predictor)
    comparison = Comparison(predictor.task)
    for number, pixels in enumerate(inputs, 1):
        expected, said = _answer(predictor, pixels), _answer(other, pixels)
        comparison.add(f"picture {number}", expected, said)
    if comparison.differing:
        raise ParityError(
            f"{name} answers differently from ONNX Runtime on "
            f"{comparison.refusal(f'proof pictures of {predictor.bundle.name}')}",
            hint="use --engine onnxruntime",
        )
    return comparison.to_json()


def _inputs(predictor: Predictor) -> NDArray[np.uint8]:
    """Return the inputs for verifying an engine: those of the bundle, if it has any."""
    proof = predictor.bundle.proof
    if proof is None or len(proof.inputs) < _FEWEST:
        return draw_inputs(predictor.task, predictor.pipeline, _FEWEST)
    return proof.inputs


def _answer(predictor: Predictor, pixels: Image) -> Prediction:
    frame = predictor.pipeline.frame(*pixels.shape[:2])
    return predictor.predict_inputs([pixels], [frame])[0]


def _rates_json(found: Mapping[int, float]) -> JsonObject:
    return {str(batch): round(rate, 1) for batch, rate in found.items()}
