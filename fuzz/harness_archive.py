"""`.foveal` archives: opening one gives a bundle or a BundleError."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from foveal.bundle import Bundle
from foveal.bundle.manifest import Manifest
from foveal.bundle.onnx_check import check_onnx
from foveal.errors import BundleError

MAX_BYTES = 100_000
_EXAMPLES = Path(__file__).parent.parent / "tests" / "bundle" / "format_1"
_PLACE = Path(tempfile.mkdtemp()) / "fuzzed.foveal"


def test_one(data: bytes) -> None:
    """Read the bytes as each of the files that a stranger may have written.

    The whole archive is opened; an input that is not one is read as its parts, which a damaged
    archive would never let the fuzzer reach, as sha256 is checked before.
    """
    try:
        if data[:2] == b"PK":
            _PLACE.write_bytes(data)
            Bundle.open(_PLACE)
        elif data[:1] == b"{":
            Manifest.from_json(data)
        else:
            check_onnx(data)
    except BundleError:
        pass


def seeds() -> Iterator[bytes]:
    """Give an old bundle of each task, as an archive and in parts."""
    for path in sorted(_EXAMPLES.glob("*.foveal")):
        with zipfile.ZipFile(path) as archive:
            manifest, model = archive.read("bundle.json"), archive.read("model.onnx")
        yield json.dumps(json.loads(manifest)).encode()
        yield model
        # Without the weights, which are most of the bytes.
        small = {k: v for k, v in json.loads(manifest)["files"].items() if k == "model.onnx"}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            text = json.dumps({**json.loads(manifest), "files": small})
            archive.writestr("bundle.json", text)
            archive.writestr("model.onnx", model)
        yield packed.getvalue()
