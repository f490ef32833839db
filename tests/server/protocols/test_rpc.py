"""The Open Inference Protocol over gRPC; tests/server/clients has what others' clients get."""

from __future__ import annotations

import base64
import re
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from foveal.access import KeyFile
from foveal.errors import UsageError
from foveal.predict import Predictor
from foveal.server import start_in_thread
from foveal.server.protocols.oip.messages import SERVICE, message_types, method_types

json_format = pytest.importorskip("google.protobuf.json_format")
grpc = pytest.importorskip("grpc", reason="grpcio, of the extra grpc, is not installed")

Call = Callable[..., Any]


def _call(port: int, channel: Any = None) -> Call:
    """Return a function that calls a method with the fields of its request."""
    channel = channel or grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(method_name: str, timeout: float = 60, metadata: Any = None, **fields: Any) -> Any:
        request, reply = method_types()[method_name]
        method = channel.unary_unary(
            f"/{SERVICE}/{method_name}",
            request_serializer=request.SerializeToString,
            response_deserializer=reply.FromString,
        )
        # Not by keywords, of which older releases of protobuf take no dict in a map.
        message = json_format.ParseDict(_as_json(fields), request())
        return method(message, timeout=timeout, metadata=metadata)

    return call


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _as_json(inner) for name, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def rpc(predictor: Predictor) -> Iterator[Call]:
    """Return a function that calls a server with the model `tiny`."""
    with start_in_thread({"tiny": predictor}, port=0, grpc_port=0, max_body_bytes=50_000) as handle:
        yield _call(handle.grpc_port)


def _image(*pictures: bytes, **changes: Any) -> dict[str, Any]:
    contents = {"bytes_contents": list(pictures)}
    given = {"name": "image", "datatype": "BYTES", "shape": [len(pictures)], "contents": contents}
    return {**given, **changes}


def test_the_server_and_its_models_are_described(rpc: Call) -> None:
    assert rpc("ServerLive").live
    assert rpc("ServerReady").ready
    assert rpc("ModelReady", name="tiny", version="1").ready
    assert rpc("ServerMetadata").name == "foveal"
    metadata = rpc("ModelMetadata", name="tiny")
    assert (metadata.platform, list(metadata.versions)) == ("onnx_onnxv1", ["1"])
    assert [(o.name, o.datatype, list(o.shape)) for o in metadata.outputs] == [
        ("label", "BYTES", [-1]),
        ("probabilities", "FP32", [-1, 2]),
        ("confidence", "FP32", [-1]),
        ("unsure", "BOOL", [-1]),
        ("answer", "BYTES", [-1]),
    ]
    assert [(m.name, m.state) for m in rpc("RepositoryIndex").models] == [("tiny", "READY")]


@pytest.mark.parametrize("fields", [{"name": "half"}, {"name": "tiny", "version": "7"}])
def test_a_model_that_is_not_there_is_not_ready(rpc: Call, fields: dict[str, str]) -> None:
    # As Triton answers: its clients ask until a model that is still to come is ready.
    assert not rpc("ModelReady", **fields).ready


def test_contents_are_answered_with_contents(
    rpc: Call, dark_png: bytes, bright_jpeg: bytes
) -> None:
    reply = rpc("ModelInfer", model_name="tiny", id="a", inputs=[_image(dark_png, bright_jpeg)])
    assert (reply.model_name, reply.model_version, reply.id) == ("tiny", "1", "a")
    outputs = {output.name: output for output in reply.outputs}
    assert list(outputs["label"].contents.bytes_contents) == [b"circle", b"square"]
    assert list(outputs["unsure"].contents.bool_contents) == [False, False]
    assert len(outputs["probabilities"].contents.fp32_contents) == 4
    assert not reply.raw_output_contents


def test_raw_contents_are_answered_with_raw_contents(rpc: Call, dark_png: bytes) -> None:
    image = {"name": "image", "datatype": "BYTES", "shape": [1]}
    element = struct.pack("<I", len(dark_png)) + dark_png
    asked = [{"name": "label"}, {"name": "unsure"}]
    reply = rpc(
        "ModelInfer",
        model_name="tiny",
        inputs=[image],
        outputs=asked,
        raw_input_contents=[element],
    )
    assert list(reply.raw_output_contents) == [struct.pack("<I", 6) + b"circle", b"\0"]


def test_pixels_may_be_sent_as_numbers(rpc: Call) -> None:
    contents = {"uint_contents": [220] * 12}
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], "contents": contents}
    asked = [{"name": "probabilities", "parameters": {"classification": {"int64_param": 1}}}]
    reply = rpc("ModelInfer", model_name="tiny", inputs=[image], outputs=asked)
    assert reply.outputs[0].contents.bytes_contents[0].endswith(b":1:square")


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"model_name": "half"}, "NOT_FOUND", "Unknown model 'half'"),
        ({"model_name": "tiny", "model_version": "7"}, "NOT_FOUND", "has no version 7"),
        ({"model_name": "tiny"}, "INVALID_ARGUMENT", "Expected 1 input"),
        (
            {"model_name": "tiny", "inputs": [_image(b"no picture")]},
            "INVALID_ARGUMENT",
            "Not a picture",
        ),
        (
            {"model_name": "tiny", "inputs": [_image(b"", shape=[-1])]},
            "INVALID_ARGUMENT",
            "negative dimension",
        ),
        (
            {"model_name": "tiny", "inputs": [_image(b"", shape=[2])]},
            "INVALID_ARGUMENT",
            "has 1 elements. Its shape says 2",
        ),
        (
            {"model_name": "tiny", "inputs": [_image(b"", datatype="FP32")]},
            "INVALID_ARGUMENT",
            "has the datatype FP32",
        ),
        (
            {"model_name": "tiny", "inputs": [_image(*[b""] * 65)]},
            "RESOURCE_EXHAUSTED",
            "At most 64 pictures",
        ),
        (
            {"model_name": "tiny", "inputs": [_image(b"")], "raw_input_contents": [b""]},
            "INVALID_ARGUMENT",
            "both contents and raw_input_contents",
        ),
        (
            {"model_name": "tiny", "inputs": [_image(b"")], "raw_input_contents": [b"", b""]},
            "INVALID_ARGUMENT",
            "There are 2 raw_input_contents for 1 inputs",
        ),
        (
            {"model_name": "tiny", "inputs": [_image(bytes(60_000))]},
            "RESOURCE_EXHAUSTED",
            "larger than max",
        ),
    ],
)
def test_what_is_wrong_has_a_code_and_a_sentence(
    rpc: Call, fields: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        rpc("ModelInfer", **fields)
    assert failed.value.code().name == code
    assert message in failed.value.details()


def test_a_time_that_is_over_is_a_deadline(rpc: Call, dark_png: bytes) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        rpc(
            "ModelInfer",
            model_name="tiny",
            inputs=[_image(dark_png)],
            parameters={"timeout": {"int64_param": 1}},
        )
    assert failed.value.code().name == "DEADLINE_EXCEEDED"
    assert failed.value.details() == "No answer within 1e-06 s."


def test_keys_are_asked_for(predictor: Predictor, dark_png: bytes, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    text, _ = KeyFile(path).create("client")
    fields = {"model_name": "tiny", "inputs": [_image(dark_png)]}
    log = tmp_path / "access.log"
    options: dict[str, Any] = {"keys": path, "access_log": str(log)}
    with start_in_thread({"tiny": predictor}, port=0, grpc_port=0, **options) as handle:
        call = _call(handle.grpc_port)
        assert call("ServerReady").ready
        with pytest.raises(grpc.RpcError) as failed:
            call("ModelInfer", **fields)
        assert failed.value.code().name == "UNAUTHENTICATED"
        for metadata in ([("x-api-key", text)], [("authorization", f"Bearer {text}")]):
            assert call("ModelInfer", metadata=metadata, **fields).outputs[0].name == "label"
    lines = log.read_text().splitlines()
    assert [("ModelInfer" in line, text in line) for line in lines][1:] == [(True, False)] * 3


def _start(port: int, method: str, sent: list[bytes], ending: threading.Event) -> Any:
    """Begin a call whose message comes in parts; nothing is sent after these until the event."""

    def messages() -> Iterator[bytes]:
        yield from sent
        ending.wait()

    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    return channel.stream_unary(f"/{SERVICE}/{method}").future(messages(), timeout=60)


def test_who_has_no_key_is_refused_before_a_message_is_read(
    predictor: Predictor, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    KeyFile(path).create("client")
    ending = threading.Event()
    with start_in_thread({"tiny": predictor}, port=0, grpc_port=0, keys=path) as handle:
        call = _start(handle.grpc_port, "ModelInfer", [], ending)
        # No message ever comes, and it is answered all the same.
        assert call.code().name == "UNAUTHENTICATED"
        ending.set()


def test_a_message_that_does_not_come_in_time_is_given_up(predictor: Predictor) -> None:
    ending = threading.Event()
    options: dict[str, Any] = {"body_timeout_s": 0.2, "min_bytes_per_s": 10**12}
    with start_in_thread({"tiny": predictor}, port=0, grpc_port=0, **options) as handle:
        call = _start(handle.grpc_port, "ModelInfer", [], ending)
        assert call.code().name == "DEADLINE_EXCEEDED"
        assert call.details() == "The message did not arrive in time."
        ending.set()


def test_a_call_needs_one_message_of_its_kind(predictor: Predictor) -> None:
    ending = threading.Event()
    ending.set()
    with start_in_thread({"tiny": predictor}, port=0, grpc_port=0) as handle:
        none = _start(handle.grpc_port, "ModelInfer", [], ending)
        assert (none.code().name, none.details()) == (
            "INVALID_ARGUMENT",
            "There is no message. Expected one.",
        )
        odd = _start(handle.grpc_port, "ModelInfer", [b"\xff\xff\xff"], ending)
        assert (odd.code().name, odd.details()) == (
            "INVALID_ARGUMENT",
            "Not a message of ModelInferRequest.",
        )


def test_a_full_server_reads_no_message(predictor: Predictor) -> None:
    ending = threading.Event()
    # More than one: as many calls may be open, and the first is until the client ends it.
    with start_in_thread({"tiny": predictor}, port=0, grpc_port=0, queue_items=4) as handle:
        budget = handle._state.budget
        for client in "abcd":
            handle._server.call(partial(budget.take, client, 1, 0))
        call = _start(handle.grpc_port, "ModelInfer", [], ending)
        assert (call.code().name, call.details()) == (
            "UNAVAILABLE",
            "The server is busy. Try again.",
        )
        assert _call(handle.grpc_port)("ServerLive").live
        ending.set()


def test_the_servers_certificate_holds_for_grpc_too(predictor: Predictor) -> None:
    folder = Path(__file__).parents[1] / "tls"
    files = {"tls_cert": folder / "first.pem", "tls_key": folder / "first.key"}
    with start_in_thread({"tiny": predictor}, port=0, grpc_port=0, **files) as handle:
        trusted = grpc.ssl_channel_credentials((folder / "first.pem").read_bytes())
        target = f"127.0.0.1:{handle.grpc_port}"
        call = _call(handle.grpc_port, grpc.secure_channel(target, trusted))
        assert call("ServerReady").ready
        with pytest.raises(grpc.RpcError) as failed:
            _call(handle.grpc_port)("ServerReady")
        assert failed.value.code().name == "UNAVAILABLE"


def test_a_port_that_is_taken_is_said(predictor: Predictor) -> None:
    with start_in_thread({"tiny": predictor}, port=0, grpc_port=0) as handle:
        with pytest.raises(UsageError, match=f"Cannot listen on .*:{handle.grpc_port} for gRPC"):
            start_in_thread({"tiny": predictor}, port=0, grpc_port=handle.grpc_port)


def test_several_workers_need_a_named_port(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="cannot share a port for gRPC"):
        start_in_thread({"tiny": predictor}, grpc_port=0, workers=2)


def test_the_descriptor_is_that_of_the_readable_file() -> None:
    text = files("foveal.server.protocols.oip").joinpath("open_inference.proto").read_text("utf-8")
    for name, message in message_types().items():
        own = text[text.index(f"\nmessage {name} {{") :]
        for field in message.DESCRIPTOR.fields:
            assert re.search(rf"\b{field.name} = {field.number};", own), (name, field.name)
