"""The signature of a model: its input and output tensors."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import orjson

from foveal.server.models.served import Served
from foveal.server.protocols.oip.tensors import Datatype, Tensor
from foveal.server.request.limits import RequestError
from foveal.server.scheduling.jobs import Reply
from foveal.types import UNFAMILIARITY, JsonObject

PLATFORM = "onnx_onnxv1"


@final
@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor of a model.

    Attributes:
        name: Its name.
        datatype: Its type.
        shape: -1 for how many pictures there are.
        has_scores: Whether it has a score for each label.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = (-1,)
    has_scores: bool = False

    def to_json(self) -> JsonObject:
        """Return it as the protocol's metadata has it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@final
@dataclass(frozen=True, slots=True)
class Signature:
    """The input and output tensors of a model.

    Attributes:
        model: Its name.
        input: Picture files; arrays of pixels, UINT8 [N, H, W, 3], are taken under the same name.
        outputs: What it gives.
        labels: Its labels.
    """

    model: str
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    labels: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Output:
    """A requested output.

    Attributes:
        name: Its name.
        binary: Whether as bytes; None for what the request says of all.
        classes: As that many classes with their scores, see Triton's classification extension;
            0 for the tensor.
    """

    name: str
    binary: bool | None = None
    classes: int = 0

    @classmethod
    def checked(cls, name: str, parameters: Mapping[str, Any]) -> Self:
        """Return the output that a request's parameters describe.

        Raises:
            RequestError: 400 for a parameter of another type.
        """
        binary, classes = parameters.get("binary_data"), parameters.get("classification", 0)
        if binary is not None and not isinstance(binary, bool):
            raise RequestError(400, f"Output {name!r}: expected 'binary_data' as true or false.")
        if not is_count(classes):
            raise RequestError(
                400, f"Output {name!r}: expected 'classification' as an integer from 0 on."
            )
        if "shared_memory_region" in parameters:
            raise RequestError(400, f"Output {name!r}: shared memory is not supported here.")
        return cls(name, binary, classes)


def is_count(value: Any) -> bool:
    """Return whether a parameter is an integer from 0 on, of 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def signature_of(served: Served) -> Signature:
    """Return the signature of a model; which outputs there are depends on what its labels are."""
    task = served.predictor.task
    labels = tuple(task.labels.names)
    outputs = []
    match task.target_kind:
        case "labels":
            outputs.append(TensorInfo("label", "BYTES"))
            outputs.append(TensorInfo("probabilities", "FP32", (-1, len(labels)), True))
        case "text":
            outputs.append(TensorInfo("text", "BYTES"))
        case "mask":
            outputs.append(TensorInfo("mask", "BYTES"))
            if "instances" in task.json_schema()["properties"]:
                outputs.append(TensorInfo("instances", "BYTES"))
            outputs.append(TensorInfo("shares", "FP32", (-1, len(labels)), True))
    outputs += [TensorInfo("confidence", "FP32"), TensorInfo("unsure", "BOOL")]
    specs = [spec for bundle in served.predictor.bundles for spec in bundle.manifest.outputs]
    if any(spec.name == UNFAMILIARITY for spec in specs):
        outputs.append(TensorInfo("unfamiliarity", "FP32"))
    outputs.append(TensorInfo("answer", "BYTES"))
    return Signature(served.name, TensorInfo("image", "BYTES"), tuple(outputs), labels)


def output_tensor(output: Output, signature: Signature, replies: Sequence[Reply]) -> Tensor:
    """Return one output for the answers to several pictures."""
    name, count = output.name, len(replies)
    predictions = [reply.prediction for reply in replies]
    match name:
        case "label" | "text":
            return Tensor(name, "BYTES", (count,), [p.text.encode() for p in predictions])
        case "mask" | "instances":
            key = "png_b64" if name == "mask" else "instances_png_b64"
            masks = [base64.b64decode(reply.record["mask"][key]) for reply in replies]
            return Tensor(name, "BYTES", (count,), masks, is_text=False)
        case "answer":
            answers = [orjson.dumps(_without_mask(reply.record)) for reply in replies]
            return Tensor(name, "BYTES", (count,), answers)
        case "unsure":
            unsure = np.array([p.unsure for p in predictions], np.bool_)
            return Tensor(name, "BOOL", (count,), unsure)
        case "confidence":
            confidence = np.array([p.confidence for p in predictions], np.float32)
            return Tensor(name, "FP32", (count,), confidence)
        case "unfamiliarity":
            values = np.array([p.unfamiliarity for p in predictions], np.float32)
            return Tensor(name, "FP32", (count,), values)
    scores = np.array([[p.support(n) for n in signature.labels] for p in predictions], np.float32)
    if output.classes:
        return _classes(name, scores, signature.labels, output.classes)
    return Tensor(name, "FP32", scores.shape, scores.ravel())


def _without_mask(record: JsonObject) -> JsonObject:
    return {key: value for key, value in record.items() if key != "mask"}


def _classes(name: str, scores: np.ndarray, labels: Sequence[str], most: int) -> Tensor:
    """Return the best classes as Triton's classification extension writes them."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    texts = [
        f"{row[i]:f}:{i}:{labels[i]}".encode()
        for row, own in zip(scores.tolist(), best.tolist(), strict=True)
        for i in own
    ]
    return Tensor(name, "BYTES", best.shape, texts)
