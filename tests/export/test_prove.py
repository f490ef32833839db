from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from foveal.errors import ParityError
from foveal.export.onnx import export_onnx
from foveal.export.prove import ProofBatch, prove
from foveal.models.network import Network, build_network
from foveal.models.torch_engine import TorchEngine
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.recipe import ModelOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import TRAINING
from foveal.types import Labels, Outputs

TASK = ClassifyTask.bind(Labels(("ant", "bee", "cat")), {})
PIPELINE = Pipeline(16, 16)


@dataclass
class Fixed:
    """An engine that answers with given logits, whatever the pictures are."""

    logits: Sequence[Sequence[float]]

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        return {"logits": np.array(self.logits[: len(inputs)], np.float32)}


def batch(count: int, start: int = 0) -> ProofBatch:
    inputs = np.random.default_rng(start).integers(0, 256, (count, 16, 16, 3), np.uint8)
    samples = [f"{start + i}.png" for i in range(count)]
    return ProofBatch(samples, inputs, [PIPELINE.frame(16, 16)] * count)


def network() -> Network:
    torch.manual_seed(0)
    built = build_network(TRAINING(TASK), ModelOptions(backbone="cnn2"), pretrained=False)
    torch.nn.init.normal_(built.head.evidence.weight)
    return built


def test_an_honest_export_passes_and_says_on_how_many_pictures() -> None:
    trained = network()
    shipped = OnnxEngine(export_onnx(trained, TASK, PIPELINE), threads=1)

    parity = prove(TASK, [batch(5), batch(3, 5)], trained=TorchEngine(trained), shipped=shipped)

    assert parity["samples"] == 8
    assert parity["label_agreement"] == 1.0
    assert 0 <= parity["max_probability_difference"] < 1e-4


def test_a_tampered_export_is_refused() -> None:
    trained = network()
    model = onnx.load_from_string(export_onnx(trained, TASK, PIPELINE))
    (weight,) = [t for t in model.graph.initializer if t.name.endswith("head.evidence.weight")]
    weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), weight.name))
    shipped = OnnxEngine(model.SerializeToString(), threads=1)

    with pytest.raises(ParityError, match=r"differently on \d of 8 validation pictures"):
        prove(TASK, [batch(8)], trained=TorchEngine(trained), shipped=shipped)


def test_the_first_differing_pictures_are_named_with_both_answers() -> None:
    trained, shipped = Fixed([[9, 0, 0], [0, 9, 0]]), Fixed([[9, 0, 0], [0, 0, 9]])

    with pytest.raises(ParityError, match=r"50\.00%.*1\.png \(bee 100\.0 % became cat 100\.0 %\)"):
        prove(TASK, [batch(2)], trained=trained, shipped=shipped)


def test_at_most_five_pictures_are_named() -> None:
    trained, shipped = Fixed([[9, 0, 0]] * 7), Fixed([[0, 9, 0]] * 7)

    with pytest.raises(ParityError, match=r"4\.png .* and 2 more") as caught:
        prove(TASK, [batch(7)], trained=trained, shipped=shipped)

    assert "5.png" not in caught.value.message


def test_a_near_tie_that_falls_the_other_way_is_refused() -> None:
    trained, shipped = Fixed([[1.000001, 1.0, 0]]), Fixed([[1.0, 1.000001, 0]])

    with pytest.raises(ParityError, match=r"0\.png"):
        prove(TASK, [batch(1)], trained=trained, shipped=shipped)


def test_a_drift_that_leaves_every_label_is_recorded() -> None:
    trained, shipped = Fixed([[0.0, 0.0, 0.0]]), Fixed([[0.001, 0.0, 0.0]])

    parity = prove(TASK, [batch(1)], trained=trained, shipped=shipped)

    # d softmax_0 / d logit_0 = p (1 - p) = 2/9 at p = 1/3
    assert parity["max_probability_difference"] == pytest.approx(0.001 * 2 / 9, rel=0.01)


def test_a_drift_too_large_for_rounding_is_refused_though_labels_agree() -> None:
    trained, shipped = Fixed([[1.0, 0.0, 0.0]]), Fixed([[2.0, 0.0, 0.0]])

    with pytest.raises(ParityError, match=r"label agreement 100\.00%"):
        prove(TASK, [batch(1)], trained=trained, shipped=shipped)


def test_answers_that_are_not_numbers_are_refused() -> None:
    nowhere = Fixed([[float("nan")] * 3])

    with pytest.raises(ParityError, match=r"0\.png"):
        prove(TASK, [batch(1)], trained=nowhere, shipped=nowhere)


def test_no_pictures_prove_nothing() -> None:
    with pytest.raises(ParityError, match="no validation pictures"):
        prove(TASK, [], trained=Fixed([]), shipped=Fixed([]))
