"""The engine that runs a model, with its proof and its speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.data.findings import plural
from foveal.predict.engine import ONNX_RUNTIME, Engine, OnnxEngine
from foveal.predict.engines import ENGINES
from foveal.types import JsonObject, Outputs
from foveal.words import percent


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
            "pictures_per_s": rates_json(self.rates),
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
        threads = plural(self.threads, "thread")
        parts = [f"{self.name} ({kind.runtime}, {kind.precision}, {threads})"]
        if measured := self.proof.get("validation"):
            parts.append(
                f"has its own calibration; {percent(measured['label_agreement'])} of "
                f"{measured['samples']} validation pictures were answered as by onnxruntime when "
                f"it was fitted ({measured['metric']} {percent(measured['bundle'])} became "
                f"{percent(measured['export'])})"
            )
        elif self.proof:
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


def rates_json(found: Mapping[int, float]) -> JsonObject:
    """Return pictures per run → pictures per second as JSON values."""
    return {str(batch): round(rate, 1) for batch, rate in found.items()}
