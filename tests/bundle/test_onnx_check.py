"""The check that a model is self-contained, against models that `onnx` itself writes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from drawing import brightness_model
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from foveal.bundle.onnx_check import check_onnx
from foveal.errors import BundleError


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


def test_external_data_in_a_subgraph_is_refused() -> None:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["weight"], ["y"])], "inner", [], [], [external_tensor()]
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    with pytest.raises(BundleError, match="another file"):
        check_onnx(model_with(node, []))


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
