"""The input of the converting process. Does not need coremltools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, final

from foveal.export.job import Precision
from foveal.types import JsonObject

INPUT = "image"
PROBABILITIES = "probabilities"

Activation: TypeAlias = Literal["softmax", "sigmoid"]


@final
@dataclass(frozen=True, slots=True)
class Order:
    """The specification of a package to write.

    Attributes:
        network: Path of the ONNX network.
        package: Path of the package, where nothing is yet.
        height: Height of the model input, in pixels.
        widths: Widths of model inputs that it takes, ascending.
        outputs: Outputs of the network, in their order; `logits` are given as `probabilities`
            where there is an activation.
        activation: What makes probabilities of the logits; None leaves them as they are.
        temperature: The logits are divided by it first.
        precision: What it computes in; with int8, weights have 8 bits and the rest has 16.
        meanings: What the input and each output are, in words, for Xcode.
        summary: What the model does, in words.
        author: Who made it.
        licence: Licences of the weights.
        version: The bundle's version.
    """

    network: str
    package: str
    height: int
    widths: tuple[int, ...]
    outputs: tuple[str, ...]
    activation: Activation | None
    temperature: float
    precision: Precision
    meanings: Mapping[str, str]
    summary: str
    author: str
    licence: str
    version: str

    def to_json(self) -> JsonObject:
        """Return the order as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Order:
        """Read what `to_json` wrote."""
        lists = {name: tuple(data[name]) for name in ("widths", "outputs")}
        return cls(**{**data, **lists})
