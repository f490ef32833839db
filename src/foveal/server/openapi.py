"""The API as an OpenAPI 3.1 document: `openapi.yaml` beside this file, for one server's models."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import yaml

from foveal.predict import Predictor
from foveal.types import JsonObject
from foveal.version import __version__

_SCHEMAS = "#/components/schemas"


def build_openapi(models: Mapping[str, Predictor]) -> JsonObject:
    """Return the document for a server of these models; each has the schema of its own answers."""
    text = files("foveal.server").joinpath("openapi.yaml").read_text(encoding="utf-8")
    document: JsonObject = yaml.safe_load(text)
    document["info"]["version"] = __version__
    document["components"]["parameters"]["model"]["schema"]["enum"] = list(models)
    schemas = document["components"]["schemas"]
    common = schemas.pop("Circumstances")
    answers = {f"Prediction.{name}": _answer(model, common) for name, model in models.items()}
    schemas["Prediction"] = {"anyOf": [{"$ref": f"{_SCHEMAS}/{name}"} for name in answers]}
    schemas.update(answers)
    return document


def _answer(predictor: Predictor, common: JsonObject) -> JsonObject:
    own = predictor.answer_schema()
    return {
        "type": "object",
        "required": [*own["required"], *common["required"]],
        "properties": {**own["properties"], **common["properties"]},
        "additionalProperties": False,
    }
