"""Write metadata into ONNX files without the `onnx` package.

A protobuf message may be continued by appending fields to its bytes; `ModelProto.metadata_props`
is its repeated field 14, of messages with a key (1) and a value (2). See onnx.proto,
https://github.com/onnx/onnx.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from foveal.export.protobuf import encode_field
from foveal.types import JsonObject

# Numbers of the fields.
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2


def described_onnx(model: bytes, description: JsonObject) -> bytes:
    """Return a serialised ONNX model that also holds its description.

    Args:
        model: A serialised `ModelProto`.
        description: What `foveal.export.description.describe` returned. It is written as a whole
            under `foveal`; and what people and other programs look for under keys of its own.
    """
    licences = (
        f"{e.get('weights')}: {e.get('licence')}, {e.get('origin')}"
        for e in description["licences"]
    )
    entries = {
        "name": description["name"],
        "version": description["version"],
        "labels": json.dumps(description["labels"], ensure_ascii=False),
        "preprocessing": description["preprocessing"],
        "postprocessing": description["postprocessing"],
        "licences": "\n".join(licences),
        "foveal": json.dumps(description, ensure_ascii=False, allow_nan=False),
    }
    return with_metadata(model, entries)


def with_metadata(model: bytes, entries: Mapping[str, str]) -> bytes:
    """Return a serialised ONNX model that also holds these entries.

    Args:
        model: A serialised `ModelProto`, without entries of these keys.
        entries: Key → value; ONNX Runtime gives them as `custom_metadata_map`.
    """
    added = (
        encode_field(
            _METADATA_PROPS,
            encode_field(_KEY, key.encode()) + encode_field(_VALUE, value.encode()),
        )
        for key, value in entries.items()
    )
    return b"".join((model, *added))
