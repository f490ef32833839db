"""The API as an OpenAPI 3.1 document."""

from __future__ import annotations

from collections.abc import Sequence

import foveal
from foveal.server.masks import FORMS
from foveal.types import JsonObject

_ERRORS = {
    400: "Empty or malformed body, damaged or too wide picture, impossible parameter",
    403: "Foreign Host or Origin",
    404: "Unknown model",
    408: "The body did not arrive in time",
    413: "Too many bytes or pixels",
    415: "Not a picture of a supported format",
    503: "Busy, loading or draining; see Retry-After",
    504: "No answer before the deadline",
}


def build_openapi(models: Sequence[str]) -> JsonObject:
    """Return the document for a server of these models."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "foveal", "version": foveal.__version__},
        "paths": {
            "/predict/{model}": {"post": _predict(models)},
            "/v1/models/{model}:predict": {"post": _tf_predict(models)},
            "/v1/models/{model}": {"get": _get("TensorFlow Serving's model status", models)},
            "/v1/models/{model}/metadata": {
                "get": _get("TensorFlow Serving's model metadata", models)
            },
            "/models": {"get": _get("The models and the server's limits")},
            "/healthz": {"get": _get("Whether the process can answer")},
            "/readyz": {"get": _get("Whether traffic may come", errors=(503,))},
            "/metrics": {"get": _get("Counters for Prometheus", media="text/plain")},
        },
        "components": {"schemas": _schemas()},
    }


def _schemas() -> JsonObject:
    number, text = {"type": "number"}, {"type": "string"}
    character = {
        "type": "object",
        "required": ["char", "confidence", "x0", "x1"],
        "properties": {"char": text, "confidence": number, "x0": number, "x1": number},
    }
    found = {
        "type": "object",
        "required": ["name", "share", "pixels"],
        "properties": {"name": text, "share": number, "pixels": {"type": "integer"}},
    }
    return {
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": text},
        },
        "Prediction": {
            "type": "object",
            "required": ["confidence", "unsure", "source", "model", "version", "ms"],
            "properties": {
                "label": text,
                "labels": {"type": "array", "items": text},
                "confidence": number,
                "unsure": {"type": "boolean"},
                "scores": {"type": "object", "additionalProperties": number},
                "text": text,
                "characters": {"type": "array", "items": character},
                "value": {"type": ["string", "null"]},
                "value_error": text,
                "classes": {"type": "array", "items": found},
                "size": {
                    "description": "Height and width of the mask: those of the upright picture",
                    "type": "array",
                    "items": {"type": "integer"},
                },
                "mask": _mask(),
                "source": text,
                "model": text,
                "version": text,
                "ms": number,
                "expected": text,
                "matches": {"type": "boolean"},
                "explanation": {"type": "object", "properties": {"png_b64": text}},
            },
        },
    }


def _mask() -> JsonObject:
    integers = {"type": "array", "items": {"type": "integer"}}
    runs = {
        "description": "COCO's uncompressed run lengths, column by column",
        "type": "object",
        "required": ["size", "counts"],
        "properties": {"size": integers, "counts": integers},
    }
    png = {
        "description": "A palette PNG, base64; its values are positions in the model's labels",
        "type": "string",
        "contentEncoding": "base64",
    }
    return {
        "type": "object",
        "properties": {
            "png_b64": png,
            "rle": {"type": "object", "additionalProperties": runs},
        },
    }


def _json(schema: JsonObject) -> JsonObject:
    return {"application/json": {"schema": schema}}


def _responses(
    schema: JsonObject, errors: Sequence[int], media: str = "application/json"
) -> JsonObject:
    error = _json({"$ref": "#/components/schemas/Error"})
    return {
        "200": {"description": "OK", "content": {media: {"schema": schema}}},
        **{str(code): {"description": _ERRORS[code], "content": error} for code in errors},
    }


def _model_parameter(models: Sequence[str]) -> JsonObject:
    schema = {"type": "string", "enum": list(models)}
    return {"name": "model", "in": "path", "required": True, "schema": schema}


def _predict(models: Sequence[str]) -> JsonObject:
    binary = {"type": "string", "format": "binary"}
    explain = {"name": "explain", "in": "query", "schema": {"type": "boolean"}}
    expected = {
        "name": "expected",
        "in": "query",
        "description": "A label, or for a model that reads the whole text: adds `matches`. "
        "Refused by a model that answers with masks",
        "schema": {"type": "string"},
    }
    mask = {
        "name": "mask",
        "in": "query",
        "description": "How a model that answers with masks gives them; refused by others",
        "schema": {"type": "string", "enum": list(FORMS), "default": FORMS[0]},
    }
    form = {"type": "object", "properties": {"file": binary, "image": binary}}
    content = {
        "application/octet-stream": {"schema": binary},
        "multipart/form-data": {"schema": form},
        **_json({"type": "object", "properties": {"image": {"type": "string"}}}),
    }
    return {
        "summary": "Ask about one picture",
        "parameters": [_model_parameter(models), explain, expected, mask],
        "requestBody": {"required": True, "content": content},
        "responses": _responses({"$ref": "#/components/schemas/Prediction"}, tuple(_ERRORS)),
    }


def _tf_predict(models: Sequence[str]) -> JsonObject:
    picture = {
        "type": "object",
        "required": ["b64"],
        "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
    }
    body = {
        "type": "object",
        "required": ["instances"],
        "properties": {"instances": {"type": "array", "minItems": 1, "items": picture}},
    }
    prediction = {"$ref": "#/components/schemas/Prediction"}
    answer = {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": prediction}},
    }
    return {
        "summary": "Ask about pictures, as TensorFlow Serving's clients do",
        "parameters": [_model_parameter(models)],
        "requestBody": {"required": True, "content": _json(body)},
        "responses": _responses(answer, tuple(_ERRORS)),
    }


def _get(
    summary: str,
    models: Sequence[str] = (),
    *,
    errors: Sequence[int] = (),
    media: str = "application/json",
) -> JsonObject:
    codes = (*errors, 404) if models else tuple(errors)
    schema = {"type": "string" if media == "text/plain" else "object"}
    return {
        "summary": summary,
        **({"parameters": [_model_parameter(models)]} if models else {}),
        "responses": _responses(schema, codes, media),
    }
