"""What goes into a store, and a place that is used as an object store is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from drawing import brightness_model, tiny_manifest
from fsspec.implementations.local import LocalFileSystem

from foveal.bundle import Bundle
from foveal.store.answers import Answered, AnswerTable


class WithoutRename(LocalFileSystem):
    """A folder that is used as an object store is: nothing in it can be renamed."""

    protocol = "without-rename"

    def mv(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("object stores cannot rename")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        # What s3fs and gcsfs do with a condition in the request.
        with Path(path).open("xb" if mode == "create" else "wb") as file:
            file.write(value)


def write_bundle(path: Path, accuracy: float = 0.9, *, is_swapped: bool = False) -> Bundle:
    """Write a bundle that tells circles from squares, or calls each by the other's name."""
    metric = {"value": accuracy, "low": accuracy - 0.1, "high": accuracy + 0.05}
    labels = ("square", "circle") if is_swapped else ("circle", "square")
    manifest = replace(tiny_manifest(), labels=labels, metrics={"accuracy": metric})
    return Bundle.write(path, manifest, {"model.onnx": brightness_model()})


def answers(right: str) -> AnswerTable:
    """Return answers to pictures a, b, c...: `1` where one was right, `0` where it was not."""
    return AnswerTable(
        {
            name: Answered("circle", said, float(value), value == "1")
            for name, value in zip("abcdefghijklmnopqrstuvwxyz", right, strict=False)
            for said in ["circle" if value == "1" else "square"]
        }
    )
