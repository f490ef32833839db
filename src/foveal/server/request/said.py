"""Parse feedback requests: a form or a JSON object with the picture."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, final

from foveal.errors import nearest
from foveal.server.request.json_body import parse_json, shown
from foveal.server.request.limits import RequestError
from foveal.server.request.payload import FIELD_NAMES, from_json_value, multipart_fields

_FIELDS = ("model", "version", "label", "text", "right", "note")
_LONGEST_NOTE, _LONGEST_TEXT, _LONGEST_NAME = 1000, 1000, 100
_MOST_LABELS = 64
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@final
@dataclass(frozen=True, slots=True)
class Sent:
    """A request, not checked against a model yet.

    Attributes:
        picture: The file.
        model: Name; None where it was not given.
        version: The version whose answer the client has seen; None where it was not given.
        label: Class names; None where none were given.
        text: What the picture says; None where that was not given.
        right: Whether the answer is right; None where that was not given.
        note: Words; "" for none.
    """

    picture: bytes
    model: str | None
    version: str | None
    label: tuple[str, ...] | None
    text: str | None
    right: bool | None
    note: str


def read_sent(body: bytes, content_type: str) -> Sent:
    """Return what a form or a JSON object holds.

    Raises:
        RequestError: 400 for anything else.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        fields = _of_form(body, content_type)
    elif kind == "application/json" or kind.endswith("+json"):
        fields = _of_json(body)
    else:
        raise RequestError(
            400,
            "Expected a form with the fields file, label (or text or right) and model, or the "
            "same as JSON with the picture in base64.",
        )
    if not fields["picture"]:
        raise RequestError(400, "The picture is missing. Expected a field 'file' or 'image'.")
    return Sent(
        picture=fields["picture"],
        model=_text(fields, "model", _LONGEST_NAME),
        version=_text(fields, "version", _LONGEST_NAME),
        label=_labels(fields.get("label")),
        text=_text(fields, "text", _LONGEST_TEXT),
        right=_truth_value(fields.get("right")),
        note=(_text(fields, "note", _LONGEST_NOTE, lines=True) or "").strip(),
    )


def _of_form(body: bytes, content_type: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"picture": b""}
    for name, content in multipart_fields(body, content_type):
        if name in FIELD_NAMES:
            if fields["picture"]:
                raise RequestError(400, "There is more than one picture.")
            fields["picture"] = content
            continue
        _check_field(name)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise RequestError(400, f"The field '{name}' is not UTF-8.") from error
        if name == "label":
            # An empty field says that none of the classes applies.
            fields.setdefault(name, []).extend([text] if text else [])
        elif name in fields:
            raise RequestError(400, f"The field '{name}' occurs more than once.")
        else:
            fields[name] = text
    return fields


def _of_json(body: bytes) -> dict[str, Any]:
    value = parse_json(body)
    if not isinstance(value, dict):
        raise RequestError(
            400, 'Expected a JSON object such as {"image": "<base64>", "label": "cat"}.'
        )
    for name in value:
        if name not in FIELD_NAMES:
            _check_field(name)
    pictures = {name: value[name] for name in value if name in FIELD_NAMES}
    fields = {name: value[name] for name in _FIELDS if value.get(name) is not None}
    return {"picture": from_json_value(pictures), **fields}


def _check_field(name: str) -> None:
    if name not in _FIELDS:
        near = nearest(name[:_LONGEST_NAME], _FIELDS)
        guess = f" Did you mean {near!r}?" if near else ""
        raise RequestError(
            400, f"Unknown field {shown(name)}.{guess} Expected {', '.join(_FIELDS)}."
        )


def _text(fields: dict[str, Any], name: str, longest: int, *, lines: bool = False) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise RequestError(400, f"Invalid '{name}'. Expected a text.")
    if len(value) > longest:
        raise RequestError(400, f"'{name}' is longer than {longest} characters.")
    if any(_is_control(c) and not (lines and c in "\r\n\t") for c in value):
        raise RequestError(400, f"'{name}' contains control characters.")
    return unicodedata.normalize("NFC", value)


def _is_control(character: str) -> bool:
    # Also what turns the direction of writing round: a list would show another text than is there.
    return (
        unicodedata.category(character) in ("Cc", "Cs")
        or character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def _labels(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = value if isinstance(value, list) else [value]
    if len(names) > _MOST_LABELS:
        raise RequestError(400, f"There are more than {_MOST_LABELS} labels.")
    texts = [_text({"label": name}, "label", _LONGEST_TEXT) for name in names]
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def _truth_value(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    word = _WORDS.get(value.strip().lower()) if isinstance(value, str) else None
    if word is None:
        raise RequestError(400, "Invalid value for 'right'. Expected true or false.")
    return word
