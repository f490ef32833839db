"""`.foveal` archives: opening one gives a bundle or a FovealError."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from foveal.bundle import Bundle
from foveal.errors import FovealError

MAX_BYTES = 100_000
_EXAMPLES = Path(__file__).parent.parent / "tests" / "bundle" / "format_1"
_PLACE = Path(tempfile.mkdtemp()) / "fuzzed.foveal"


def test_one(data: bytes) -> None:
    """Read the bytes as each of the files that a stranger may have written.

    An archive is opened as it is. Anything else stands for `bundle.json` or `model.onnx` in a good
    bundle, with digests made anew: else nothing but them would ever be looked at.
    """
    if data[:2] == b"PK":
        _PLACE.write_bytes(data)
    elif data[:1] == b"{":
        _PLACE.write_bytes(packed(data, _MODEL))
    else:
        _PLACE.write_bytes(packed(with_digest(_MANIFEST, data), data))
    try:
        Bundle.open(_PLACE)
    except FovealError:
        # Of a task or an option that is not known, the error is not the bundle's own.
        pass


def packed(manifest: bytes, model: bytes) -> bytes:
    """Return a bundle without weights, as an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("bundle.json", manifest)
        archive.writestr("model.onnx", model)
    return buffer.getvalue()


def with_digest(manifest: bytes, model: bytes) -> bytes:
    """Return `bundle.json` for the model alone."""
    files = {"model.onnx": hashlib.sha256(model).hexdigest()}
    return json.dumps({**json.loads(manifest), "files": files}).encode()


def parts(path: Path) -> tuple[bytes, bytes]:
    """Return the `bundle.json` of an example, for its model alone, and the model."""
    with zipfile.ZipFile(path) as archive:
        model = archive.read("model.onnx")
        return with_digest(archive.read("bundle.json"), model), model


def seeds() -> Iterator[bytes]:
    """Give an old bundle of each task, as an archive and in parts."""
    for path in sorted(_EXAMPLES.glob("*.foveal")):
        manifest, model = parts(path)
        yield manifest
        yield model
        yield packed(manifest, model)


_MANIFEST, _MODEL = parts(_EXAMPLES / "classify.foveal")
