"""The check that a model is self-contained, against models that `onnx` itself writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from drawing import brightness_model
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from foveal.bundle.onnx_check import GraphValue, check_onnx
from foveal.errors import BundleError
from foveal.predict.engine import OnnxEngine


def external_tensor() -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "weight")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return tensor


def model_with(node: onnx.NodeProto, tensors: list[onnx.TensorProto]) -> bytes:
    graph = helper.make_graph([node], "g", [], [], tensors)
    return helper.make_model(graph).SerializeToString()


def test_a_plain_model_passes() -> None:
    check_onnx(brightness_model())


def test_external_data_is_refused() -> None:
    model = model_with(helper.make_node("Identity", ["weight"], ["y"]), [external_tensor()])
    with pytest.raises(BundleError, match="another file") as caught:
        check_onnx(model)
    assert caught.value.error_code == "bundle_unsafe"


def test_external_data_in_an_attribute_is_refused() -> None:
    node = helper.make_node("Constant", [], ["y"], value=external_tensor())
    with pytest.raises(BundleError, match="another file"):
        check_onnx(model_with(node, []))


def varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def written(number: int, value: bytes | int, *, beyond: int = 0) -> bytes:
    """Return a field; `beyond` is added to its key, above the 32 bits that readers keep."""
    kind = 0 if isinstance(value, int) else 2
    key = varint((number << 3 | kind) + (beyond << 32))
    return key + (varint(value) if isinstance(value, int) else varint(len(value)) + value)


LOCATION = written(1, b"location") + written(2, b"secret.bin")
ENUM_EXTERNAL = 1
# Of fewer, the optimiser of ONNX Runtime wants to know them, and says that it has no path.
NUMBERS = 64
# Ways to say that numbers are in secret.bin, after the name and shape of the tensor.
EXTERNAL = {
    "as exporters write it": written(13, LOCATION) + written(14, ENUM_EXTERNAL),
    "keys above 32 bits": written(13, LOCATION, beyond=1) + written(14, ENUM_EXTERNAL, beyond=1),
    "keys above 34 bits": written(13, LOCATION, beyond=4) + written(14, ENUM_EXTERNAL, beyond=4),
    "keys longer than they need be": (
        b"\xea\x80\x00" + written(1, LOCATION)[1:] + b"\xf0\x80\x00\x01"
    ),
    "a place above 32 bits": written(13, LOCATION) + written(14, ENUM_EXTERNAL + (1 << 32)),
    "a place that is said twice": (
        written(13, LOCATION) + written(14, 0) + written(14, ENUM_EXTERNAL)
    ),
}


def reading_model(external: str, *, beyond: int = 0) -> bytes:
    """Return a model that gives the numbers in secret.bin; `beyond` is for key 7, its graph."""
    tensor = (
        written(1, NUMBERS) + written(2, TensorProto.FLOAT) + written(8, b"w") + EXTERNAL[external]
    )
    node = helper.make_node("Max", ["w", "x"], ["y"]).SerializeToString()
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [NUMBERS]).SerializeToString()
        for name in ("x", "y")
    )
    graph = written(1, node) + written(2, b"g") + written(5, tensor) + written(11, x)
    graph += written(12, y)
    opset = written(8, written(2, 18))
    return written(1, 9) + written(7, graph, beyond=beyond) + opset


def answer_of_runtime(model: bytes) -> list[float] | None:
    """Return what ONNX Runtime reads, or None where it refuses the model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception:
        return None
    (values,) = session.run(None, {"x": np.zeros(NUMBERS, np.float32)})
    return list(values)


@pytest.mark.parametrize("beyond", [0, 1])
@pytest.mark.parametrize("external", EXTERNAL)
def test_what_passes_reads_no_file_in_the_runtime(
    external: str, beyond: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.bin").write_bytes(np.arange(NUMBERS, dtype=np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    model = reading_model(external, beyond=beyond)
    with pytest.raises(BundleError, match=r"another file|damaged"):
        check_onnx(model)


def test_the_runtime_reads_files_behind_keys_that_are_no_number_of_a_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the test before this one is for: without the check, these files are read.
    (tmp_path / "secret.bin").write_bytes(np.arange(NUMBERS, dtype=np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    read = [external for external in EXTERNAL if answer_of_runtime(reading_model(external))]
    assert "as exporters write it" in read
    assert "keys above 32 bits" in read


def test_a_model_that_is_also_one_in_the_format_of_the_runtime_is_refused() -> None:
    # A producer's name that puts the mark of that format where ONNX Runtime looks for it.
    model = written(2, b"xxORTM") + brightness_model()
    assert model[4:8] == b"ORTM"
    with pytest.raises(BundleError, match="ONNX Runtime's own format") as caught:
        check_onnx(model)
    assert caught.value.error_code == "bundle_unsafe"
    # Refused there, it would be looked at as that format and not as ONNX.
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with pytest.raises(Exception, match="ORT"):
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    OnnxEngine(model)


def looping_model() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    return model_with(helper.make_node("Loop", ["", "always"], [], body=body), [])


def branching_model() -> bytes:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["weight"], ["y"])], "inner", [], [], [external_tensor()]
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    return model_with(node, [])


def sparse_weights() -> bytes:
    """Return a model whose 3 numbers become an array of 4 TB in ONNX Runtime."""
    values = numpy_helper.from_array(np.ones(3, np.float32), "weight")
    indices = numpy_helper.from_array(np.arange(3, dtype=np.int64), "indices")
    sparse = helper.make_sparse_tensor(values, indices, [1_000_000, 1_000_000])
    model = onnx.ModelProto.FromString(brightness_model())
    model.graph.sparse_initializer.append(sparse)
    return model.SerializeToString()


def functions_that_double() -> bytes:
    """Return a model of 30 functions, each of which runs the next one twice: 2^30 operators."""
    model = onnx.ModelProto.FromString(brightness_model())
    for i in range(30):
        calls = [helper.make_node(f"f{i + 1}", ["x"], ["y"], domain="ai.onnx") for _ in range(2)]
        opsets = [helper.make_opsetid("", 18)]
        function = helper.make_function("ai.onnx", f"f{i}", ["x"], ["y"], calls, opsets)
        model.functions.append(function)
    return model.SerializeToString()


def a_training() -> bytes:
    model = onnx.ModelProto.FromString(brightness_model())
    model.training_info.add().algorithm.initializer.append(external_tensor())
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (looping_model(), "graph inside a node"),
        (branching_model(), "graph inside a node"),
        (sparse_weights(), "sparse weights"),
        (functions_that_double(), "functions"),
        (a_training(), "training"),
    ],
)
def test_what_no_network_of_ours_needs_is_refused(model: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        check_onnx(model)
    assert caught.value.error_code == "bundle_unsafe"


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(written(1, b""), id="operators"),
        pytest.param(written(5, b""), id="weights"),
        pytest.param(written(13, b""), id="values"),
        pytest.param(written(1, written(5, b"") * 1000), id="attributes"),
        pytest.param(written(5, written(1, 1) * 1000), id="dimensions"),
    ],
)
def test_more_parts_than_a_network_has_are_refused_before_they_are_loaded(parts: bytes) -> None:
    model = written(7, parts * (2_000_000 // len(parts)))
    with pytest.raises(BundleError, match="larger than any network"):
        check_onnx(model)


def test_a_graph_that_is_written_twice_is_refused() -> None:
    # Readers of protobuf make one graph of both.
    model = brightness_model()
    with pytest.raises(BundleError, match="damaged"):
        check_onnx(model + written(7, written(2, b"again")))


def test_the_check_says_what_the_graph_takes_and_gives() -> None:
    graph = check_onnx(brightness_model())
    assert graph.inputs == (GraphValue("image", TensorProto.UINT8, (None, 16, 16, 3)),)
    assert graph.outputs == (
        GraphValue("logits", TensorProto.FLOAT, (None, 2)),
        GraphValue("evidence", TensorProto.FLOAT, (None, 2, 4, 4)),
    )


def test_a_custom_operator_is_refused() -> None:
    node = helper.make_node("Shell", ["x"], ["y"], domain="com.example")
    with pytest.raises(BundleError, match=r"com\.example"):
        check_onnx(model_with(node, []))


@given(st.binary(max_size=200))
def test_any_bytes_either_pass_or_raise_a_bundle_error(data: bytes) -> None:
    try:
        check_onnx(data)
    except BundleError:
        return
    assert any(byte == 0x3A for byte in data)  # Field 7, a graph, was there.


@given(st.data())
def test_any_truncation_either_passes_or_raises_a_bundle_error(data: st.DataObject) -> None:
    model = brightness_model()
    cut = data.draw(st.integers(0, len(model) - 1))
    try:
        check_onnx(model[:cut])
    except BundleError:
        return
    assert 0x3A in model[:cut]
