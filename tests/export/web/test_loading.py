"""The order in which the app loads what it needs."""

from __future__ import annotations

import base64

import onnx
from webcalls import Call


def test_the_runtime_starts_while_the_network_is_on_its_way(call: Call) -> None:
    (said,) = call([{"call": "load_order"}])
    first, *rest = said["order"]
    model = onnx.load_from_string(base64.b64decode(first))
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Identity"]
    assert rest == ["released", "network"]
    assert (said["threads"], said["program"]) == (1, 9)


def test_a_file_that_is_missing_is_said_while_the_runtime_starts(call: Call) -> None:
    (said,) = call([{"call": "load_without_network"}])
    assert said == "model/model.onnx: 404"
