"""What goes into a store, and a place that is used as an object store is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from drawing import brightness_model, tiny_manifest
from fsspec.implementations.local import LocalFileSystem

from foveal.bundle import Bundle
from foveal.bundle.container import TRAINED_ON_NAME
from foveal.bundle.trained_on import TrainedOn
from foveal.data.source import digest_of
from foveal.store.answers import Answered, AnswerTable


class WithoutRename(LocalFileSystem):
    """A folder that is used as an object store is: nothing in it can be renamed."""

    protocol = "without-rename"

    def mv(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("object stores cannot rename")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        # As object stores do: an object is there whole, and "create" is a condition of the request.
        with NamedTemporaryFile(dir=Path(path).parent, prefix=".upload-", delete=False) as file:
            file.write(value)
        uploaded = Path(file.name)
        try:
            if mode == "create":
                Path(path).hardlink_to(uploaded)
            else:
                uploaded.replace(path)
        finally:
            uploaded.unlink(missing_ok=True)


def write_bundle(
    path: Path,
    accuracy: float = 0.9,
    *,
    is_swapped: bool = False,
    trained_on: Sequence[Path] = (),
) -> Bundle:
    """Write a bundle that tells circles from squares, or calls each by the other's name."""
    metric = {"value": accuracy, "low": accuracy - 0.1, "high": accuracy + 0.05}
    labels = ("square", "circle") if is_swapped else ("circle", "square")
    manifest = replace(tiny_manifest(), labels=labels, metrics={"accuracy": metric})
    files = {"model.onnx": brightness_model()}
    if trained_on:
        digests = [digest_of(picture.read_bytes())[:8] for picture in trained_on]
        content = np.sort(np.array([int.from_bytes(d, "little") for d in digests], np.uint64))
        files[TRAINED_ON_NAME] = TrainedOn(content, np.zeros_like(content)).to_bytes()
    return Bundle.write(path, manifest, files)


def answers(right: str) -> AnswerTable:
    """Return answers to pictures a, b, c...: `1` where one was right, `0` where it was not."""
    return AnswerTable(
        {
            name: Answered("circle", said, float(value), value == "1")
            for name, value in zip("abcdefghijklmnopqrstuvwxyz", right, strict=False)
            for said in ["circle" if value == "1" else "square"]
        }
    )
