"""TensorFlow Serving's REST: shapes and sentences of its own documentation and sources."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import orjson
import pytest


def _b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def test_instances_give_predictions_in_order(
    client: httpx.Client, dark_png: bytes, bright_jpeg: bytes
) -> None:
    body = {"instances": [_b64(dark_png), {"image": _b64(bright_jpeg)}, _b64(dark_png)]}
    response = client.post("/v1/models/tiny:predict", json=body)
    assert response.status_code == 200
    labels = [p["label"] for p in response.json()["predictions"]]
    assert labels == ["circle", "square", "circle"]


def test_inputs_give_outputs_by_column(
    client: httpx.Client, dark_png: bytes, bright_jpeg: bytes
) -> None:
    body = {"inputs": {"image": [_b64(dark_png), _b64(bright_jpeg)]}}
    outputs = client.post("/v1/models/tiny:predict", json=body).json()["outputs"]
    assert outputs["label"] == ["circle", "square"]


@pytest.mark.parametrize("path", ["/v1/models/tiny:predict", "/V1/Models/tiny/versions/1:PREDICT"])
def test_routes_ignore_case_and_content_type(
    client: httpx.Client, dark_png: bytes, path: str
) -> None:
    body = orjson.dumps({"instances": [_b64(dark_png)], "signature_name": "serving_default"})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    response = client.post(path, content=body, headers=headers)
    assert response.json()["predictions"][0]["label"] == "circle"


def test_status_has_tf_servings_exact_shape(client: httpx.Client) -> None:
    expected = {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert client.get("/v1/models/tiny").json() == expected
    assert client.get("/v1/models/tiny/versions/1").json() == expected


def test_metadata_names_the_signature(client: httpx.Client) -> None:
    metadata = client.get("/v1/models/tiny/metadata").json()
    assert metadata["model_spec"] == {"name": "tiny", "signature_name": "", "version": "1"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert {name: info["dtype"] for name, info in signature["inputs"].items()} == {
        "image": "DT_STRING"
    }
    assert {name: info["dtype"] for name, info in signature["outputs"].items()} == {
        "label": "DT_STRING",
        "confidence": "DT_FLOAT",
        "unsure": "DT_BOOL",
        "source": "DT_STRING",
        "model": "DT_STRING",
        "version": "DT_STRING",
        "ms": "DT_FLOAT",
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: "),
        (b"[1]", "Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"instances": [1], "inputs": 1}', "expecting only one of 'inputs' or 'instances'"),
        (b'{"instances": {}}', "Expecting 'instances' to be an list/array"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"instances": [[1, 2]]}', "Failed to process element: 0 key: image"),
        (b'{"instances": [{"b64": 5}]}', "b64 must be a string"),
        (b'{"instances": [{"b64": "%%%"}]}', "Unable to base64 decode"),
        (b'{"inputs": {"picture": []}}', "Missing named input: image in 'inputs' object."),
        (b'{"instances": [{}], "signature_name": "x"}', 'Serving signature name: "x" not found'),
    ],
)
def test_bad_requests_are_answered_in_tf_servings_words(
    client: httpx.Client, body: bytes, message: str
) -> None:
    response = client.post("/v1/models/tiny:predict", content=body)
    assert response.status_code == 400
    assert message in response.json()["error"]


def test_a_bad_picture_fails_the_request_and_is_named(
    client: httpx.Client, dark_png: bytes
) -> None:
    body = {"instances": [_b64(dark_png), _b64(b"not a picture")]}
    response = client.post("/v1/models/tiny:predict", json=body)
    assert response.status_code == 415
    assert response.json()["error"].startswith("Failed to process element: 1 key: image")


def test_too_many_instances_are_refused(client: httpx.Client) -> None:
    body: dict[str, Any] = {"instances": [{"b64": ""}] * 65}
    assert client.post("/v1/models/tiny:predict", json=body).status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/half", 404, "Could not find any versions of model half"),
        ("GET", "/v1/models/tiny/versions/5", 404, "Could not find version 5 of model tiny"),
        ("GET", "/v1/models/tiny/versions/x", 400, "Failed to convert version: x to numeric."),
        ("GET", "/v1/models/half/metadata", 404, "Servable not found for request: Latest(half)"),
        ("POST", "/v1/models/half:predict", 404, "Servable not found for request: Latest(half)"),
        (
            "POST",
            "/v1/models/tiny/versions/7:predict",
            404,
            "Servable not found for request: Specific(tiny, 7)",
        ),
        ("POST", "/v1/models/tiny", 400, "Malformed request: POST /v1/models/tiny"),
        ("GET", "/v1/else", 400, "Malformed request: GET /v1/else"),
        ("DELETE", "/v1/models/tiny", 400, "Malformed request: DELETE /v1/models/tiny"),
    ],
)
def test_odd_addresses_are_answered_in_tf_servings_words(
    client: httpx.Client, method: str, path: str, status: int, message: str
) -> None:
    response = client.request(method, path)
    assert (response.status_code, response.json()) == (status, {"error": message})
