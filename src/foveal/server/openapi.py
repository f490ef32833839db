"""The API as an OpenAPI 3.1 document: `openapi.yaml` beside this file, for one server's models."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import yaml

from foveal.types import JsonObject
from foveal.version import __version__


def build_openapi(models: Sequence[str]) -> JsonObject:
    """Return the document for a server of these models."""
    text = files("foveal.server").joinpath("openapi.yaml").read_text(encoding="utf-8")
    document: JsonObject = yaml.safe_load(text)
    document["info"]["version"] = __version__
    document["components"]["parameters"]["model"]["schema"]["enum"] = list(models)
    return document
