"""The forms in which a model can be handed on: `foveal export MODEL --to FORMAT`. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from foveal.atomic import atomic_path
from foveal.bundle.bundle import Bundle
from foveal.destination import check_file, writing
from foveal.registry import Registry


@final
@dataclass(frozen=True, slots=True)
class Format:
    """A form of a model.

    Attributes:
        summary: What it is, in a few words.
        suffix: Ending of the name, with its dot.
        write: Writes a bundle to a path where nothing is yet; FovealError when this model cannot be
            written so.
        is_folder: Whether it writes a folder rather than a file.
    """

    summary: str
    suffix: str
    write: Callable[[Bundle, Path], None]
    is_folder: bool = False


FORMATS: Registry[Format] = Registry("format", Format, group="foveal.exports")


def write_as(bundle: Bundle, to: str, out: Path) -> Path:
    """Write a bundle in the format called `to`, whole or not at all, and return the path.

    Raises:
        UsageError: When there is no such format, a folder would be replaced, or `out` cannot be
            written.
        PluginError: When it is a plug-in's and does not work.
    """
    written = FORMATS[to]
    check_file(out)
    with writing(out), atomic_path(out) as temporary, FORMATS.blaming(to):
        written.write(bundle, temporary)
        if not temporary.exists():
            raise FileNotFoundError("it wrote nothing")
    return out


def _write_onnx(bundle: Bundle, out: Path) -> None:
    out.write_bytes(bundle.model_bytes())


def _write_zip(bundle: Bundle, out: Path) -> None:
    bundle.pack(out)


FORMATS.add("onnx", Format("the network alone", ".onnx", _write_onnx))
FORMATS.add("foveal", Format("the bundle as one file", ".foveal", _write_zip))
