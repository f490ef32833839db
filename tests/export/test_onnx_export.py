from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import foveal
from foveal.bundle.onnx_check import check_onnx
from foveal.export.onnx import export_onnx
from foveal.models.backbones import resolve_backbone
from foveal.models.cnn import Blocks
from foveal.models.familiarity import Familiarity, Level, pool
from foveal.models.network import Network, build_network
from foveal.models.torch_engine import TorchEngine
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.recipe import ModelOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import TRAINING
from foveal.tasks.read.task import ReadTask
from foveal.tasks.read.training import TRAINING as READ_TRAINING
from foveal.types import Labels

TASK = ClassifyTask.bind(Labels(("ant", "bee", "cat")), {})


def network(backbone: str = "cnn2") -> Network:
    torch.manual_seed(0)
    built = build_network(TRAINING(TASK), ModelOptions(backbone=backbone), pretrained=False)
    torch.nn.init.normal_(built.head.evidence.weight)
    return built


def test_the_model_takes_uint8_pictures_and_any_number_of_them() -> None:
    model = onnx.load_from_string(export_onnx(network(), TASK, Pipeline(24, 40)))

    (given,) = model.graph.input
    batch, *size = given.type.tensor_type.shape.dim
    assert given.name == "image"
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert batch.dim_param and [d.dim_value for d in size] == [24, 40, 3]
    assert [output.name for output in model.graph.output] == ["logits", "evidence"]


def test_the_model_is_one_self_contained_file_of_standard_operators() -> None:
    model = export_onnx(network(), TASK, Pipeline(24, 24))

    check_onnx(model)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)


def test_the_weights_are_in_float32() -> None:
    model = onnx.load_from_string(export_onnx(network().bfloat16(), TASK, Pipeline(24, 24)))

    types = {tensor.data_type for tensor in model.graph.initializer}
    assert onnx.TensorProto.FLOAT in types
    assert types <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


def test_exporting_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    export_onnx(network(), TASK, Pipeline(24, 24))

    assert capfd.readouterr() == ("", "")


def test_exporting_leaves_the_network_as_it_was() -> None:
    trained = network("fovea").train()
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}

    export_onnx(trained, TASK, Pipeline(32, 32))

    assert trained.training
    assert all(torch.equal(tensor, before[n]) for n, tensor in trained.state_dict().items())
    assert all(p.requires_grad for p in trained.parameters())


def test_relu6_is_exported_as_one_operator_and_left_in_the_network() -> None:
    built = network()
    first = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU6(inplace=True))
    built.backbone = Blocks([first, nn.Sequential(nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU6())])
    inputs = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), np.uint8)

    model = export_onnx(built, TASK, Pipeline(24, 24))

    assert [n.op_type for n in onnx.load_from_string(model).graph.node].count("Clip") == 2
    found, expected = OnnxEngine(model, threads=1).run(inputs), TorchEngine(built).run(inputs)
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-4)
    assert isinstance(first[1], nn.ReLU6)


def test_backbones_side_by_side_export() -> None:
    built = network("fovea,lenet5")
    inputs = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)

    found = OnnxEngine(export_onnx(built, TASK, Pipeline(40, 40)), threads=1).run(inputs)

    expected = TorchEngine(built).run(inputs)
    assert resolve_backbone("fovea,lenet5").channels == (128 + 16,)
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-4)


def test_the_torch_engine_restores_the_mode_and_takes_read_only_arrays() -> None:
    built = network().train()
    inputs = np.zeros((1, 16, 16, 3), np.uint8)
    inputs.flags.writeable = False

    outputs = TorchEngine(built).run(inputs, ["logits"])

    assert built.training
    assert list(outputs) == ["logits"] and outputs["logits"].dtype == np.float32


READERS = {
    "ctc": ReadTask.bind(Labels(tuple("abc")), {"head": "ctc"}),
    "gru": ReadTask.bind(Labels(tuple("abc")), {"head": "gru"}),
    "ctc, two steps": ReadTask.bind(Labels(tuple("abc")), {"head": "ctc", "steps_per_column": 2}),
    "gru, two steps": ReadTask.bind(Labels(tuple("abc")), {"head": "gru", "steps_per_column": 2}),
    "positions": ReadTask.bind(Labels(tuple("abc")), {"head": "positions", "length": 3}),
}
LINE = Pipeline(32, 640, "line")


def reader(head: str, backbone: str = "reader") -> Network:
    torch.manual_seed(0)
    options = ModelOptions(backbone=backbone, dropout=0.0)
    built = build_network(READ_TRAINING(READERS[head]), options, pretrained=False)
    # Statistics as after training, so that the answers differ from column to column.
    pictures = torch.rand(8, 3, 32, 96, generator=torch.Generator().manual_seed(1)) * 255
    built.train()
    with torch.no_grad():
        for _ in range(20):
            built(pictures)
    return built.eval()


@pytest.mark.parametrize("head", READERS)
def test_a_reader_takes_any_number_of_lines_of_any_width(head: str) -> None:
    trained, task = reader(head), READERS[head]
    model = export_onnx(trained, task, LINE)
    check_onnx(model)

    (given,) = onnx.load_from_string(model).graph.input
    batch, height, width, channels = given.type.tensor_type.shape.dim
    assert batch.dim_param and width.dim_param
    assert (height.dim_value, channels.dim_value) == (32, 3)

    shipped, network = OnnxEngine(model, threads=1), TorchEngine(trained)

    assert shipped.output_names == task.core_outputs
    rng = np.random.default_rng(0)
    for count, wide in ((1, 32), (3, 64), (2, 256), (1, 640), (5, 96), (2, 1920)):
        inputs = rng.integers(0, 256, (count, 32, wide, 3), np.uint8)
        found, expected = shipped.run(inputs), network.run(inputs)
        for name, value in expected.items():
            assert found[name].shape == value.shape
            np.testing.assert_allclose(found[name], value, atol=1e-4)
        columns = expected["attention" if head == "positions" else "logits"]
        assert columns.shape[0] == count
        steps = READERS[head].options.steps_per_column
        assert wide // 8 * steps == columns.shape[2 if head == "positions" else 1]


@pytest.mark.parametrize("head", ["ctc", "gru"])
def test_lines_of_one_size_are_exported_too(head: str) -> None:
    trained = reader(head, "lenet5")
    inputs = np.random.default_rng(0).integers(0, 256, (3, 32, 90, 3), np.uint8)

    model = export_onnx(trained, READERS[head], Pipeline(32, 90, "stretch"))

    found, expected = OnnxEngine(model, threads=1).run(inputs), TorchEngine(trained).run(inputs)
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-4)


def test_a_widest_line_that_is_no_multiple_of_the_step_is_exported() -> None:
    trained, pipeline = reader("ctc", "lenet5"), Pipeline(32, 170, "line")
    shipped = OnnxEngine(export_onnx(trained, READERS["ctc"], pipeline), threads=1)
    inputs = np.zeros((1, *pipeline.frame(32, 170).input, 3), np.uint8)

    expected = TorchEngine(trained).run(inputs)

    np.testing.assert_allclose(shipped.run(inputs)["logits"], expected["logits"], atol=1e-4)


@pytest.mark.parametrize("head", ["ctc", "gru"])
def test_the_model_says_nothing_about_the_machine_that_exported_it(head: str) -> None:
    model = onnx.load_from_string(export_onnx(reader(head), READERS[head], LINE))

    text = str(model)
    assert "doc_string" not in text and "metadata_props" not in text
    for module in (torch, foveal):
        assert str(Path(module.__file__).parents[1]) not in text


def test_every_constant_is_read() -> None:
    # ONNX Runtime warns of each that is not, whenever the model is opened.
    trained = reader("ctc")
    with torch.no_grad():
        levels = pool(trained.features(torch.rand(3, 3, 32, 96)))
    trained.familiarity = Familiarity([Level(rows) for rows in levels])

    model = onnx.load_from_string(export_onnx(trained, READERS["ctc"], LINE))

    assert any(node.op_type == "GlobalAveragePool" for node in model.graph.node)
    read = {name for node in model.graph.node for name in node.input}
    assert [t.name for t in model.graph.initializer if t.name not in read] == []


def test_exporting_a_recurrent_reader_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    export_onnx(reader("gru"), READERS["gru"], LINE)

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("height", [48, 80])
def test_heights_that_do_not_divide_into_the_rows_are_exported(height: int) -> None:
    trained, task = reader("ctc"), READERS["ctc"]
    shipped = OnnxEngine(export_onnx(trained, task, Pipeline(height, 640, "line")), threads=1)
    inputs = np.random.default_rng(0).integers(0, 256, (2, height, 96, 3), np.uint8)
    expected = TorchEngine(trained).run(inputs)["logits"]
    np.testing.assert_allclose(shipped.run(inputs)["logits"], expected, atol=1e-4)
