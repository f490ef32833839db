"""Refuse ONNX models with external data or excessive size, without the `onnx` package.

Everything is refused that is not on a list of what networks need, and everything that two readers
of protobuf could understand differently: ONNX Runtime cannot find more in the bytes than was seen
here. The lists follow onnx.proto (https://github.com/onnx/onnx).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

from foveal.errors import BundleError

# Domains whose operators are part of ONNX itself.
_STANDARD_DOMAINS = frozenset({b"", b"ai.onnx", b"ai.onnx.ml"})
# efficientnet_lite0 has 99 operators and 7,200 fields. An empty operator is two bytes in a file and
# 100 in memory, and ONNX Runtime sorts and optimises them all: 20 MB of them took 15 s and 2 GB.
_MAX_NODES, _MAX_FIELDS = 10_000, 500_000
# Types of values nest (sequences of tensors), and nothing else that is allowed.
_MAX_DEPTH = 16

# How a field may be written: as a varint, as 4 or 8 bytes, or with a length in front.
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
_FIXED = {_EIGHT: 8, _FOUR: 4}
_INT, _TEXT = (_VARINT,), (_LENGTH,)
# Repeated numbers come one by one, or packed behind one length.
_INTS, _FLOATS, _DOUBLES = (_VARINT, _LENGTH), (_FOUR, _LENGTH), (_EIGHT, _LENGTH)

# message → field number → how it is written, or the message that it holds.
_ALLOWED: dict[str, dict[int, tuple[int, ...] | str]] = {
    "model": {
        **{1: _INT, 2: _TEXT, 3: _TEXT, 4: _TEXT, 5: _INT, 6: _TEXT},
        **{7: "graph", 8: "opset", 14: "entry"},
    },
    "opset": {1: _TEXT, 2: _INT},
    "graph": {
        **{1: "node", 2: _TEXT, 5: "tensor", 10: _TEXT, 16: "entry"},
        **{11: "input", 12: "output", 13: "value"},
    },
    "node": {
        1: _TEXT,
        2: _TEXT,
        3: _TEXT,
        4: _TEXT,
        5: "attribute",
        6: _TEXT,
        7: _TEXT,
        9: "entry",
    },
    "attribute": {
        **{1: _TEXT, 2: (_FOUR,), 3: _INT, 4: _TEXT, 5: "tensor", 7: _FLOATS, 8: _INTS, 9: _TEXT},
        **{10: "tensor", 13: _TEXT, 20: _INT},
    },
    "tensor": {
        **{1: _INTS, 2: _INT, 4: _FLOATS, 5: _INTS, 6: _TEXT, 7: _INTS, 8: _TEXT, 9: _TEXT},
        **{10: _DOUBLES, 11: _INTS, 12: _TEXT, 14: _INT, 16: "entry"},
    },
    "entry": {1: _TEXT, 2: _TEXT},
    "type": {1: "tensor type", 4: "sequence", 6: _TEXT},
    "sequence": {1: "type"},
    "tensor type": {1: _INT, 2: "shape"},
    "shape": {1: "dimension"},
    "dimension": {1: _INT, 2: _TEXT, 3: _TEXT},
}
for _value in ("input", "output", "value"):
    _ALLOWED[_value] = {1: _TEXT, 2: "type", 3: _TEXT, 4: "entry"}
# What is refused by name, as far as people may have meant it.
_REFUSED = {
    ("model", 20): "contains training information",
    ("model", 25): "contains functions of its own",
    ("graph", 15): "contains sparse weights",
    ("attribute", 6): "contains a graph inside a node, such as a loop",
    ("attribute", 11): "contains a graph inside a node, such as a loop",
    ("attribute", 22): "contains sparse weights",
    ("attribute", 23): "contains sparse weights",
    ("tensor", 13): "stores weights in another file (external data)",
}
# Of a second one, readers would make one message of both.
_ONCE = frozenset(
    {("model", 7), ("type", 1), ("tensor type", 2), *((v, 2) for v in ("input", "output", "value"))}
)
_DOMAINS = frozenset({("opset", 1), ("node", 7)})
_DATA_LOCATION = ("tensor", 14)


@final
@dataclass(frozen=True, slots=True)
class GraphValue:
    """An input or output of the graph, as the model declares it.

    Attributes:
        name: Its name.
        element: Number of the type of its elements in onnx.proto; 0 where it is not declared.
        shape: Sizes, None where free; None as a whole where no shape is declared.
    """

    name: str
    element: int
    shape: tuple[int | None, ...] | None


@final
@dataclass(frozen=True, slots=True)
class Graph:
    """The graph of a checked model.

    Attributes:
        inputs: What the graph takes.
        outputs: What it gives.
    """

    inputs: tuple[GraphValue, ...]
    outputs: tuple[GraphValue, ...]


def check_onnx(model: bytes) -> Graph:
    """Check that a serialised ONNX model is self-contained and of a bearable size.

    Raises:
        BundleError: `bundle_unsafe` for external data, custom operators, graphs inside nodes, and
            more parts than a network has; `bundle_invalid` for bytes that are not a model.
    """
    if model[4:8] == b"ORTM":
        # ONNX Runtime would read it as its own format, in which all of this can be said again.
        raise BundleError(
            "model.onnx is in ONNX Runtime's own format, not in ONNX.", code="bundle_unsafe"
        )
    walk = _Walk()
    walk.message(memoryview(model), "model", 0)
    if not walk.has_graph:
        raise BundleError("model.onnx is not an ONNX model: it has no graph.")
    return Graph(tuple(walk.inputs), tuple(walk.outputs))


@final
@dataclass(slots=True)
class _Walk:
    """One pass over all fields, which counts them."""

    fields: int = 0
    nodes: int = 0
    has_graph: bool = False
    inputs: list[GraphValue] = field(default_factory=list)
    outputs: list[GraphValue] = field(default_factory=list)

    def message(self, view: memoryview, message: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise _unsafe("is nested too deeply")
        allowed = _ALLOWED[message]
        seen = set()
        for number, kind, value in _fields(view):
            self._count(message, number)
            known = allowed.get(number)
            if known is None:
                raise _refused(message, number)
            if kind not in (_TEXT if isinstance(known, str) else known):
                raise _damaged()
            if (message, number) in _ONCE:
                if number in seen:
                    raise _damaged()
                seen.add(number)
            if isinstance(known, str) and isinstance(value, memoryview):
                self.message(value, known, depth + 1)
                self._note(known, value)
            else:
                _check_value(message, number, value)

    def _count(self, message: str, number: int) -> None:
        self.fields += 1
        self.nodes += message == "graph" and number == 1
        if self.fields > _MAX_FIELDS or self.nodes > _MAX_NODES:
            raise _unsafe(
                f"is larger than any network that foveal writes (at most {_MAX_NODES:,} operators "
                f"and {_MAX_FIELDS:,} fields)"
            )

    def _note(self, message: str, view: memoryview) -> None:
        self.has_graph |= message == "graph"
        if message == "input":
            self.inputs.append(_graph_value(view))
        elif message == "output":
            self.outputs.append(_graph_value(view))


def _check_value(message: str, number: int, value: int | memoryview) -> None:
    if (message, number) in _DOMAINS and isinstance(value, memoryview):
        if (domain := bytes(value[:64])) not in _STANDARD_DOMAINS:
            shown = domain.decode("utf-8", "replace")
            raise _unsafe(f"uses operators of the domain {shown!r}, which are not part of ONNX")
    elif (message, number) == _DATA_LOCATION and value != 0:
        raise _refused("tensor", 13)


def _graph_value(view: memoryview) -> GraphValue:
    """Read a message `ValueInfoProto` that was walked already."""
    name, element, shape = "", 0, None
    for number, _, value in _fields(view):
        if isinstance(value, memoryview) and number == 1:
            name = bytes(value).decode("utf-8", "replace")
        elif isinstance(value, memoryview) and number == 2:
            for part in _messages(value, 1):
                element = next((v for n, _, v in _fields(part) if n == 1 and isinstance(v, int)), 0)
                for dimensions in _messages(part, 2):
                    shape = tuple(_size(one) for one in _messages(dimensions, 1))
    return GraphValue(name, element, shape)


def _size(dimension: memoryview) -> int | None:
    size = None
    for number, _, value in _fields(dimension):
        # Of a number and a name, the last one stands.
        if number in (1, 2):
            size = value if isinstance(value, int) else None
    return size


def _messages(view: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, _, value in _fields(view):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(view: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    position, end = 0, len(view)
    while position < end:
        # Most keys and lengths are one byte: half of the time of a walk is saved by looking.
        key = view[position]
        key, position = (key, position + 1) if key < 0x80 else _varint(view, position)
        kind = key & 7
        # Readers keep 32 bits of a key: of a longer one, they would see another field.
        if key >= 1 << 32 or key < 8:
            raise _damaged()
        if kind in _FIXED:
            size = _FIXED[kind]
        elif kind in (_VARINT, _LENGTH) and position < end:
            size = view[position]
            size, position = (size, position + 1) if size < 0x80 else _varint(view, position)
            if kind == _VARINT:
                yield key >> 3, kind, size
                continue
        else:
            raise _damaged()
        if position + size > end:
            raise _damaged()
        yield key >> 3, kind, view[position : position + size]
        position += size


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(view):
            raise _damaged()
        byte = view[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            # Longer than it need be, or than 64 bits, it would not be the same to every reader.
            if (byte == 0 and shift) or result >= 1 << 64:
                raise _damaged()
            return result, position
        shift += 7
        if shift > 63:
            raise _damaged()


def _damaged() -> BundleError:
    return BundleError(
        "model.onnx is damaged, or encoded in a way that no exporter uses.",
        hint="copy the bundle again, or train again",
    )


def _refused(message: str, number: int) -> BundleError:
    return _unsafe(
        _REFUSED.get(
            (message, number),
            f"contains a field that no network needs ({message}, field {number})",
        )
    )


def _unsafe(what: str) -> BundleError:
    return BundleError(
        f"model.onnx {what}.", code="bundle_unsafe", hint="only open bundles that you trust"
    )
