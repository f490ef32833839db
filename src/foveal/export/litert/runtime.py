"""LiteRT in a process of its own: what it cannot run, it ends the process for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple
from functools import partial
from importlib.metadata import version
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.export.litert.engine import LitertEngine
from foveal.export.litert.signatures import Signature
from foveal.export.lossy import Ratio, times_as_fast
from foveal.export.process import Arrays, Worker, answer_calls, working
from foveal.types import Outputs


def runtime() -> str:
    """Return the name and the version of the runtime."""
    return f"LiteRT {version('ai-edge-litert')}"


@final
class LitertProcess:
    """A LiteRT file that runs in a worker: an engine.

    Args:
        worker: A process that runs this module.
        model: The file.
        signatures: The file's signatures.
    """

    def __init__(self, worker: Worker, model: bytes, signatures: Sequence[Signature]) -> None:
        self._worker = worker
        words = json.dumps([asdict(one) for one in signatures]).encode()
        worker.call("open", model=_bytes(model), signatures=_bytes(words))

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""
        wanted = _bytes(json.dumps(names).encode())
        return self._worker.call("run", image=inputs, names=wanted)

    def faster_than(self, model: bytes, pixels: NDArray[np.uint8], names: Sequence[str]) -> Ratio:
        """Return how much faster it is than another file of the same signatures.

        Args:
            model: The other file.
            pixels: (1, H, W, 3) uint8, what both answer.
            names: Outputs that are computed.
        """
        wanted = _bytes(json.dumps(names).encode())
        found = self._worker.call("time", model=_bytes(model), image=pixels, names=wanted)
        return Ratio(*found["ratio"].tolist())


@contextmanager
def opened(model: bytes, signatures: Sequence[Signature]) -> Iterator[LitertProcess]:
    """Give the engine of a LiteRT file, which ends with the block."""
    with working("foveal.export.litert.runtime") as worker:
        yield LitertProcess(worker, model, signatures)


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _answer() -> None:
    """Answer what `LitertProcess` asks for."""
    signatures: list[Signature] = []
    engines: list[LitertEngine] = []

    def open_file(given: Arrays) -> Arrays:
        words = json.loads(given["signatures"].tobytes())
        signatures[:] = [Signature(w["name"], w["width"], tuple(w["outputs"])) for w in words]
        engines[:] = [LitertEngine(given["model"].tobytes(), signatures)]
        return {}

    def run(given: Arrays) -> Arrays:
        return dict(engines[0].run(given["image"], json.loads(given["names"].tobytes())))

    def measure(given: Arrays) -> Arrays:
        names = json.loads(given["names"].tobytes())
        ways = (LitertEngine(given["model"].tobytes(), signatures), engines[0])
        ratio = times_as_fast(*(partial(way.run, given["image"], names) for way in ways))
        return {"ratio": np.array(astuple(ratio))}

    answer_calls({"open": open_file, "run": run, "time": measure})


if __name__ == "__main__":
    _answer()
