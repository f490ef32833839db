"""Stored outputs of a network: in memory, and in a temporary file beyond a size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import final

from numpy.lib import format as npy_format

from foveal.tasks.base import OutputBatch
from foveal.types import Frame, Outputs

# A validation split of labels takes some megabytes; one of long texts may take gigabytes.
_IN_MEMORY = 256 << 20


@final
class KeptOutputs:
    """Batches of outputs, given back bit by bit as they came.

    Args:
        folder: Where the file lies that they go to when they are large.
        in_memory: Bytes that may stay in memory.
    """

    def __init__(self, folder: Path, *, in_memory: int = _IN_MEMORY) -> None:
        self._file = SpooledTemporaryFile(max_size=in_memory, dir=str(folder))
        self._batches: list[tuple[tuple[str, ...], Sequence[Frame]]] = []

    def close(self) -> None:
        """Let go of everything."""
        self._file.close()

    def append(self, outputs: Outputs, frames: Sequence[Frame]) -> None:
        """Keep the outputs of one batch and the frames of its samples."""
        for array in outputs.values():
            npy_format.write_array(self._file, array, allow_pickle=False)
        self._batches.append((tuple(outputs), frames))

    def __iter__(self) -> Iterator[OutputBatch]:
        """Read the batches in the order in which they came; nothing is appended meanwhile."""
        position = 0
        for names, frames in self._batches:
            self._file.seek(position)
            outputs = {
                name: npy_format.read_array(self._file, allow_pickle=False) for name in names
            }
            position = self._file.tell()
            yield outputs, frames
