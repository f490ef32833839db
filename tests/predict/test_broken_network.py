"""A network whose numbers are no answer: an error for that picture, and only for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from colored import color_model, draw_blocks, reader_manifest
from drawing import brightness_model, tiny_manifest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tinted import draw_tints, tint_manifest, tint_model

from foveal.bundle import Bundle, Manifest
from foveal.errors import NetworkError
from foveal.predict import OnnxEngine, Predictor
from foveal.predict.files import answer_pictures
from foveal.predict.inputs import Given
from foveal.types import Calibration, Image, Outputs, Picture

TASKS = {
    "classify": (tiny_manifest(), brightness_model(), np.zeros((16, 16, 3), np.uint8)),
    "read": (reader_manifest(), color_model(), draw_blocks("AB")),
    "segment": (tint_manifest(), tint_model(), draw_tints("0120")),
}


def with_bias(model: bytes, value: float) -> bytes:
    """Return the network with one number of its bias changed."""
    changed = onnx.ModelProto.FromString(model)
    bias = next(tensor for tensor in changed.graph.initializer if tensor.name == "bias")
    numbers = numpy_helper.to_array(bias).copy()
    numbers[0] = value
    bias.CopyFrom(numpy_helper.from_array(numbers, "bias"))
    return changed.SerializeToString()


def predictor_of(path: Path, manifest: Manifest, model: bytes) -> Predictor:
    return Predictor(Bundle.write(path, manifest, {"model.onnx": model}), threads=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("task", TASKS)
def test_what_is_no_number_is_no_answer(task: str, value: float, tmp_path: Path) -> None:
    manifest, model, pixels = TASKS[task]
    predictor = predictor_of(tmp_path / "bundle", manifest, with_bias(model, value))
    with pytest.raises(NetworkError, match="NaN or infinity"):
        predictor.predict([Picture.from_array(pixels)])


@pytest.mark.parametrize("task", TASKS)
def test_a_vote_with_what_is_no_number_is_no_answer(task: str, tmp_path: Path) -> None:
    manifest, model, pixels = TASKS[task]
    good = Bundle.write(tmp_path / "good", manifest, {"model.onnx": model})
    broken = predictor_of(tmp_path / "broken", manifest, with_bias(model, float("nan")))
    predictor = Predictor(good, threads=1, others=[broken])
    with pytest.raises(NetworkError, match="NaN or infinity"):
        predictor.predict([Picture.from_array(pixels)])


@pytest.mark.parametrize("temperature", [1e-6, 1e6])
@pytest.mark.parametrize("task", TASKS)
def test_answers_are_numbers_at_both_ends_of_the_temperatures(
    task: str, temperature: float, tmp_path: Path
) -> None:
    manifest, model, pixels = TASKS[task]
    manifest = replace(manifest, calibration=Calibration(temperature=temperature))
    predictor = predictor_of(tmp_path / "bundle", manifest, with_bias(model, 1e29))
    (answer,) = predictor.predict([Picture.from_array(pixels)])
    assert 0 <= answer.confidence <= 1


class BrokenForBright:
    """An engine that gives NaN for pictures that are all white."""

    def __init__(self, model: bytes) -> None:
        self._engine = OnnxEngine(model, threads=1)

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        outputs = {name: array.copy() for name, array in self._engine.run(inputs, names).items()}
        outputs["logits"][inputs.min(axis=(1, 2, 3)) == 255] = np.nan
        return outputs


def plain(value: int) -> Image:
    return np.full((16, 16, 3), value, np.uint8)


def test_the_others_of_a_batch_are_answered(tiny_bundle: Bundle) -> None:
    predictor = Predictor(tiny_bundle, engine=BrokenForBright(tiny_bundle.model_bytes()))
    pictures = [Picture.from_array(plain(value)) for value in (10, 255, 200)]
    given = [Given(f"{i}", picture) for i, picture in enumerate(pictures)]

    answers = list(answer_pictures(predictor, given))

    assert [answer.source for answer in answers] == ["0", "1", "2"]
    assert [answer.record.get("label") for answer in answers] == ["circle", None, "square"]
    assert answers[1].record["error"]["code"] == "network_failed"


def test_a_network_that_gives_other_sizes_than_it_declares_gives_no_answer(
    tmp_path: Path,
) -> None:
    # Four numbers a picture, from a graph that leaves open how many there will be.
    model = onnx.ModelProto.FromString(brightness_model())
    model.graph.node[-1].output[0] = "two"
    model.graph.node.append(helper.make_node("Concat", ["two", "two"], ["logits"], axis=1))
    del model.graph.output[0]
    free = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "c"])
    model.graph.output.append(free)
    predictor = predictor_of(tmp_path / "bundle", tiny_manifest(), model.SerializeToString())
    with pytest.raises(NetworkError, match=r"with the shape 1 x 4\. Expected: 1 x 2"):
        predictor.predict([Picture.from_array(plain(10))])


def test_a_network_that_fails_says_so(tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(brightness_model())
    model.graph.node.append(helper.make_node("Reshape", ["image", "shape"], ["five"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([5, -1], np.int64), "shape"))
    model.graph.output.append(helper.make_tensor_value_info("five", TensorProto.UINT8, None))
    predictor = predictor_of(tmp_path / "bundle", tiny_manifest(), model.SerializeToString())
    with pytest.raises(NetworkError, match="The network failed"):
        predictor.outputs(plain(10)[None], explain=True)
