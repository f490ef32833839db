"""Refuse ONNX models that reach outside themselves, without the `onnx` package.

A model may name files to read ("external data") or operators from a library that is not ONNX
Runtime's own. A bundle needs neither, so both are refused before the model is loaded. Only the
few protobuf fields that matter are walked (onnx.proto3, https://github.com/onnx/onnx).
"""

from __future__ import annotations

from collections.abc import Iterator

from foveal.errors import BundleError

# Domains whose operators are part of ONNX itself.
_STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
# Subgraphs (If, Loop, Scan) nest; ours never do, and a deeper model is an attack on the stack.
_MAX_DEPTH = 16

# (message, field number) → message to descend into.
_CHILDREN = {
    ("model", 7): "graph",
    ("model", 8): "opset",
    ("model", 25): "function",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("graph", 15): "sparse",
    ("sparse", 1): "tensor",
    ("sparse", 2): "tensor",
    ("function", 7): "node",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 10): "tensor",
    ("attribute", 11): "graph",
    ("attribute", 22): "sparse",
    ("attribute", 23): "sparse",
}
_DOMAIN_FIELDS = {("opset", 1), ("node", 7)}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1


def check_onnx(model: bytes) -> None:
    """Check that a serialised ONNX model is self-contained.

    Raises:
        BundleError: `bundle_unsafe` for external data or custom operators, `bundle_invalid` for
            bytes that are not a model.
    """
    view = memoryview(model)
    if not any(number == 7 and kind == 2 for number, kind, _ in _fields(view)):
        raise BundleError("model.onnx is not an ONNX model: it has no graph.")
    _walk(view, "model", 0)


def _walk(view: memoryview, message: str, depth: int) -> None:
    if depth > 4 * _MAX_DEPTH:
        raise BundleError("model.onnx nests too many subgraphs.", code="bundle_unsafe")
    for number, kind, value in _fields(view):
        if message == "tensor":
            _refuse_external(number, kind, value)
        elif (message, number) in _DOMAIN_FIELDS and isinstance(value, memoryview):
            domain = bytes(value).decode("utf-8", "replace")
            if domain not in _STANDARD_DOMAINS:
                raise BundleError(
                    f"model.onnx uses operators of the domain {domain[:64]!r}, "
                    "which are not part of ONNX.",
                    code="bundle_unsafe",
                )
        child = _CHILDREN.get((message, number))
        if child is not None and isinstance(value, memoryview):
            _walk(value, child, depth + 1)


def _refuse_external(number: int, kind: int, value: int | memoryview) -> None:
    if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == _EXTERNAL):
        raise BundleError(
            "model.onnx keeps weights in another file (external data).",
            code="bundle_unsafe",
            hint="save the model with its weights inside",
        )


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(view) or shift > 63:
            raise BundleError("model.onnx is damaged.")
        byte = view[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def _fields(view: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    position = 0
    while position < len(view):
        key, position = _varint(view, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(view, position)
            yield number, kind, value
            continue
        if kind == 2:
            size, position = _varint(view, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise BundleError("model.onnx is damaged.")
        if position + size > len(view):
            raise BundleError("model.onnx is damaged.")
        yield number, kind, view[position : position + size]
        position += size
