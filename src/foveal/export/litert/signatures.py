"""The signatures of a LiteRT file: what can be asked of it, and by which names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from foveal.bundle.manifest import Manifest
from foveal.tasks.base import Task

_ANSWER = "serving_default"


@final
@dataclass(frozen=True, slots=True)
class Signature:
    """A function of the file: one picture in, some outputs out.

    Attributes:
        name: Its name.
        width: Width of its input, in pixels.
        outputs: Names of the outputs that it gives.
    """

    name: str
    width: int
    outputs: tuple[str, ...]


def signatures_of(manifest: Manifest, task: Task) -> tuple[Signature, ...]:
    """Return the signatures of a bundle's file.

    Where widths differ there is one for each, `width_64` and so on, which share their weights:
    runtimes on phones plan their memory for inputs of one size, and recurrent layers are unrolled.
    Otherwise there is `serving_default`, and what only explains an answer has a signature of its
    own name.
    """
    pipeline = manifest.pipeline
    answer, more = _split([spec.name for spec in manifest.outputs], task)
    if not pipeline.is_ragged:
        explaining = (Signature(name, pipeline.width, (name,)) for name in more)
        return (Signature(_ANSWER, pipeline.width, answer), *explaining)
    widths = range(pipeline.width_step, pipeline.width + 1, pipeline.width_step)
    return tuple(Signature(f"width_{width}", width, (*answer, *more)) for width in widths)


def _split(names: Sequence[str], task: Task) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the outputs that answers are made of, and those that only explain."""
    specs = {spec.name for spec in task.output_specs()}
    more = tuple(n for n in names if n in specs and n not in task.core_outputs)
    return tuple(n for n in names if n not in more), more
