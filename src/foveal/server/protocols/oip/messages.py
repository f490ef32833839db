"""The protocol's gRPC messages, made from the descriptor beside this file when they are needed.

In a pool of their own: tritonclient and kserve register messages of the same names in protobuf's
default pool, where a second of a name is an error. No generated code ties foveal to a version of
protobuf either.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

from foveal.extras import import_extra

Message: TypeAlias = Any
"""A message of protobuf, whose classes are made at run time."""

SERVICE = "inference.GRPCInferenceService"
_NEED = "Serving over gRPC needs protobuf and grpcio"


@cache
def message_types() -> dict[str, type[Message]]:
    """Return the class of each message that a method takes or gives, by its name.

    Raises:
        MissingExtraError: If protobuf is not installed.
    """
    pool = _pool()
    factory = import_extra("google.protobuf.message_factory", "grpc", _NEED)
    messages = {}
    for method in pool.FindServiceByName(SERVICE).methods:
        for descriptor in (method.input_type, method.output_type):
            messages[descriptor.name] = factory.GetMessageClass(descriptor)
    return messages


@cache
def method_types() -> dict[str, tuple[type[Message], type[Message]]]:
    """Return what each method of the service takes and gives, by its name."""
    types = message_types()
    service = _pool().FindServiceByName(SERVICE)
    return {m.name: (types[m.input_type.name], types[m.output_type.name]) for m in service.methods}


@cache
def _pool() -> Any:
    descriptor_pool = import_extra("google.protobuf.descriptor_pool", "grpc", _NEED)
    descriptor_pb2 = import_extra("google.protobuf.descriptor_pb2", "grpc", _NEED)
    data = files("foveal.server.protocols.oip").joinpath("open_inference.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for described in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(described)
    return pool
