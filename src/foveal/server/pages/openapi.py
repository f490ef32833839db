"""The API as an OpenAPI 3.1 document: `openapi.yaml` beside this file, for one server's models."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import yaml

from foveal.predict import Predictor
from foveal.server.access.auth import scopes_for
from foveal.types import JsonObject
from foveal.version import __version__

_SCHEMAS = "#/components/schemas"
_METHODS = ("get", "post", "put", "delete")
_REFUSED = {
    "401": "Without a key, or with one that is unknown, expired or revoked",
    "403": "A key without the scope; a foreign Host or Origin",
    "429": "Over the rate of the key, or too many at once; `Retry-After` says when to come back",
}
_CLASSIFY = "/v1/models/{model}:classify"


def build_openapi(
    models: Mapping[str, Predictor], *, asks_for_keys: bool = False, keeps_feedback: bool = False
) -> JsonObject:
    """Return the document for a server of these models; each has the schema of its own answers.

    Args:
        models: Name → predictor.
        asks_for_keys: Whether the server does.
        keeps_feedback: Whether it does.
    """
    text = files("foveal.server.pages").joinpath("openapi.yaml").read_text(encoding="utf-8")
    document: JsonObject = yaml.safe_load(text)
    document["info"]["version"] = __version__
    if not keeps_feedback:
        del document["paths"]["/feedback"], document["components"]["schemas"]["Feedback"]
    parameters = document["components"]["parameters"]
    parameters["model"]["schema"]["enum"] = list(models)
    _name_classifiers(document, [n for n, m in models.items() if m.task.target_kind == "labels"])
    schemas = document["components"]["schemas"]
    common = schemas.pop("Circumstances")
    answers = {f"Prediction.{name}": _answer(model, common) for name, model in models.items()}
    schemas["Prediction"] = {"anyOf": [{"$ref": f"{_SCHEMAS}/{name}"} for name in answers]}
    schemas.update(answers)
    if asks_for_keys:
        _ask_for_keys(document)
    return document


def _name_classifiers(document: JsonObject, names: list[str]) -> None:
    if names:
        document["components"]["parameters"]["classifier"]["schema"]["enum"] = names
    else:
        del document["paths"][_CLASSIFY], document["components"]["parameters"]["classifier"]


def _ask_for_keys(document: JsonObject) -> None:
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    error = {"application/json": {"schema": {"$ref": f"{_SCHEMAS}/Error"}}}
    for path, item in document["paths"].items():
        scopes = scopes_for(path)
        for method in set(_METHODS) & set(item):
            item[method]["security"] = [] if scopes is None else [{"bearer": []}, {"header": []}]
            if scopes is not None:
                for status, why in _REFUSED.items():
                    item[method]["responses"][status] = {"description": why, "content": error}


def _answer(predictor: Predictor, common: JsonObject) -> JsonObject:
    own = predictor.answer_schema()
    return {
        "type": "object",
        "required": [*own["required"], *common["required"]],
        "properties": {**own["properties"], **common["properties"]},
        "additionalProperties": False,
    }
