"""Every route's answers, held to the document that the server publishes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from colored import blocks_png
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from tinted import tints_png

from foveal.predict import Predictor
from foveal.server import app, start_in_thread
from foveal.types import JsonObject

TINTS = tints_png("0011", "0012", "0022")
BLOCKS = blocks_png("BAC")
SUM = blocks_png("1/0", "/01")
V2 = "/v2/models/{model}"
V2_VERSION = f"{V2}/versions/{{version}}"
RAW = {"inference-header-content-length": "0"}
MODEL, TF = "/v1/models/{model}", "/v1/models/{model}:predict"


@pytest.fixture(scope="module")
def everything(predictors: dict[str, Predictor]) -> Iterator[httpx.Client]:
    """Return a client of a server with a model of each task."""
    with (
        start_in_thread(predictors, port=0, max_body_bytes=100_000) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def document(everything: httpx.Client) -> JsonObject:
    """Return what the server publishes."""
    found: JsonObject = everything.get("/openapi.json").json()
    return found


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def rows(*pictures: bytes) -> JsonObject:
    return {"instances": [b64(picture) for picture in pictures]}


def columns(*pictures: bytes) -> JsonObject:
    return {"inputs": {"image": [b64(picture) for picture in pictures]}}


def examples(*pictures: bytes) -> JsonObject:
    return {"examples": [{"image": b64(picture)} for picture in pictures]}


def tensors(*pictures: bytes) -> JsonObject:
    data = [b64(picture)["b64"] for picture in pictures]
    image = {"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": data}
    return {"id": "a", "inputs": [image]}


def resolved(node: Any, document: JsonObject) -> Any:
    """Return what a reference points to, or the node itself."""
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def closed(node: Any) -> Any:
    """Return a schema that also refuses keys which it does not name."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    strict = {key: closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        strict.setdefault("unevaluatedProperties", False)
    return strict


# Path in the document, address, what is sent, the status that follows.
REQUESTS: list[tuple[str, str, dict[str, Any] | None, int]] = [
    ("/predict/{model}", "/predict/reader", {"content": BLOCKS}, 200),
    ("/predict/{model}", "/predict/reader?explain=true", {"content": BLOCKS}, 200),
    ("/predict/{model}", "/predict/reader?expected=BAC", {"content": BLOCKS}, 200),
    ("/predict/{model}", "/predict/sums", {"content": SUM}, 200),
    ("/predict/{model}", "/predict/tiny?expected=circle&explain=1", {"content": TINTS}, 200),
    ("/predict/{model}", "/predict/tints", {"content": TINTS}, 200),
    ("/predict/{model}", "/predict/tints?mask=rle&explain=1", {"content": TINTS}, 200),
    ("/predict/{model}", "/predict/tints?mask=none", {"content": TINTS}, 200),
    ("/predict/{model}", "/predict/tiny?mask=rle", {"content": TINTS}, 400),
    ("/predict/{model}", "/predict/tiny", {"content": b""}, 400),
    ("/predict/{model}", "/predict/none", {"content": TINTS}, 404),
    ("/predict/{model}", "/predict/tiny", {"content": bytes(200_000)}, 413),
    ("/predict/{model}", "/predict/tiny", {"content": b"not a picture"}, 415),
    ("/predict/{model}", "/predict/tiny", {"content": b"", "headers": {"host": "evil.com"}}, 403),
    (TF, "/v1/models/tiny:predict", {"json": rows(TINTS, BLOCKS)}, 200),
    (TF, "/v1/models/reader:predict", {"json": rows(BLOCKS)}, 200),
    (TF, "/v1/models/sums:predict", {"json": columns(SUM, BLOCKS)}, 200),
    (TF, "/v1/models/tints:predict", {"json": rows(TINTS)}, 200),
    (TF, "/v1/models/tiny:predict", {"json": {}}, 400),
    (TF, "/v1/models/none:predict", {"json": rows(TINTS)}, 404),
    (TF, "/v1/models/tiny:predict", {"json": rows(bytes(200_000))}, 413),
    (TF, "/v1/models/tiny:predict", {"json": rows(b"not a picture")}, 415),
    (f"{MODEL}:classify", "/v1/models/tiny:classify", {"json": examples(TINTS)}, 200),
    (f"{MODEL}:classify", "/v1/models/reader:classify", {"json": examples(TINTS)}, 400),
    (f"{MODEL}:explain", "/v1/models/reader:explain", {"json": rows(BLOCKS)}, 200),
    (f"{MODEL}:explain", "/v1/models/none:explain", {"json": rows(BLOCKS)}, 404),
    ("/predictions/{model}", "/predictions/tints", {"content": TINTS}, 200),
    ("/predictions/{model}", "/predictions/tints", {"content": b""}, 400),
    ("/predictions/{model}", "/predictions/none", {"content": TINTS}, 404),
    ("/predictions/{model}", "/predictions/tiny", {"content": bytes(200_000)}, 413),
    ("/predictions/{model}", "/predictions/tiny", {"content": b"not a picture"}, 415),
    ("/predictions/{model}/{version}", "/predictions/tints/1", {"content": TINTS}, 200),
    ("/predictions/{model}/{version}", "/predictions/tints/2", {"content": TINTS}, 404),
    ("/ping", "/ping", None, 200),
    ("/v2", "/v2", None, 200),
    ("/v2/health/live", "/v2/health/live", None, 200),
    ("/v2/health/ready", "/v2/health/ready", None, 200),
    ("/v2/models", "/v2/models", None, 200),
    (f"{V2}/ready", "/v2/models/tints/ready", None, 200),
    (f"{V2}/ready", "/v2/models/none/ready", None, 404),
    (f"{V2_VERSION}/ready", "/v2/models/tints/versions/1/ready", None, 200),
    (V2, "/v2/models/tiny", None, 200),
    (V2, "/v2/models/none", None, 404),
    (V2_VERSION, "/v2/models/sums/versions/1", None, 200),
    ("/v2/repository/index", "/v2/repository/index", {"json": {}}, 200),
    ("/v2/repository/index", "/v2/repository/index", {"json": {"ready": 5}}, 400),
    (f"{V2}/infer", "/v2/models/tiny/infer", {"json": tensors(TINTS, BLOCKS)}, 200),
    (f"{V2}/infer", "/v2/models/reader/infer", {"json": tensors(BLOCKS)}, 200),
    (f"{V2}/infer", "/v2/models/tints/infer", {"json": tensors(TINTS)}, 200),
    (f"{V2}/infer", "/v2/models/tiny/infer", {"content": TINTS, "headers": RAW}, 200),
    (f"{V2}/infer", "/v2/models/tiny/infer", {"json": {}}, 400),
    (f"{V2}/infer", "/v2/models/tiny/infer", {"content": b"x", "headers": RAW}, 415),
    (f"{V2_VERSION}/infer", "/v2/models/tiny/versions/1/infer", {"json": tensors(TINTS)}, 200),
    (MODEL, "/v1/models/tints", None, 200),
    (MODEL, "/v1/models/none", None, 404),
    (MODEL, "/v1/models/tiny/versions/x", None, 400),
    (f"{MODEL}/metadata", "/v1/models/sums/metadata", None, 200),
    (f"{MODEL}/metadata", "/v1/models/none/metadata", None, 404),
    ("/models", "/models", None, 200),
    ("/models", "/models", {"headers": {"host": "evil.com"}}, 403),
    ("/healthz", "/healthz", None, 200),
    ("/readyz", "/readyz", None, 200),
    ("/metrics", "/metrics", None, 200),
    ("/metrics.json", "/metrics.json", None, 200),
    ("/models/{model}", "/models/tiny", None, 200),
    ("/models/{model}", "/models/none", None, 404),
]


def test_the_document_is_valid_openapi(document: JsonObject) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_route_for_programs_is_described_and_tried(document: JsonObject) -> None:
    for_people = {"docs", "page", "openapi", "static", "live", "versions"}
    described = set(document["paths"])
    served = {r.path for r in app._ROUTES if r.name not in for_people | {"tf_serving"}}
    verbs = {f"{MODEL}:{verb}" for verb in ("predict", "classify", "explain")}
    assert described == served | verbs | {MODEL, f"{MODEL}/metadata"}
    # Without keys nobody is an administrator; tests/server/test_admin.py tries those.
    tried = {template for template, _, _, status in REQUESTS if status == 200}
    assert tried == {path for path in described if not path.startswith("/admin/")}


@pytest.mark.parametrize(("template", "address", "sent", "status"), REQUESTS)
def test_an_answer_is_what_the_document_says(
    everything: httpx.Client,
    document: JsonObject,
    template: str,
    address: str,
    sent: dict[str, Any] | None,
    status: int,
) -> None:
    method = next(method for method in ("get", "post") if method in document["paths"][template])
    response = everything.request(method, address, **(sent or {}))

    assert response.status_code == status, response.text
    described = resolved(document["paths"][template][method]["responses"][str(status)], document)
    media = response.headers["content-type"].partition(";")[0]
    assert media in described["content"]
    if media == "application/json":
        schema = described["content"][media]["schema"]
        if template == "/predict/{model}" and status == 200:
            # Not only one of the answers that the server's models give: the model's own.
            schema = {"$ref": f"#/components/schemas/Prediction.{response.json()['model']}"}
        validator = Draft202012Validator(closed({**schema, "components": document["components"]}))
        validator.validate(response.json())


@pytest.mark.parametrize("broken", ["a key that no schema names", "a word for a number"])
def test_the_schema_refuses_other_answers(
    everything: httpx.Client, document: JsonObject, broken: str
) -> None:
    answer = everything.post("/predict/tiny", content=TINTS).json()
    schema = {"$ref": "#/components/schemas/Prediction", "components": document["components"]}
    validator = Draft202012Validator(closed(schema))
    assert validator.is_valid(answer)
    change = {"confidence": "high"} if "word" in broken else {"other": 1}
    assert not validator.is_valid(answer | change)
