"""The JSON of a text that was read, as a schema."""

from __future__ import annotations

from foveal.types import JsonObject, Labels


def reading_schema(labels: Labels, *, has_value: bool) -> JsonObject:
    """Return the schema of a text with its characters, and of the value of an expression.

    Args:
        labels: The alphabet.
        has_value: Whether texts are expressions.
    """
    text, number = {"type": "string"}, {"type": "number"}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    character = {
        "char": {"enum": list(labels.names)},
        "confidence": share,
        "x0": {"description": "Left edge, in pixels of the upright picture", **number},
        "x1": {"description": "Right edge, end open", **number},
    }
    characters = {
        "type": "object",
        "required": list(character),
        "properties": character,
        "additionalProperties": False,
    }
    properties: JsonObject = {
        "text": text,
        "confidence": share,
        "unsure": {"type": "boolean"},
        "characters": {"type": "array", "items": characters},
    }
    required = list(properties)
    if has_value:
        required.append("value")
        why = "The exact value, an integer or a fraction; null where there is none"
        properties["value"] = {"description": why, "type": ["string", "null"]}
        properties["value_error"] = {"description": "Why there is no value", **text}
    return {"type": "object", "required": required, "properties": properties}
