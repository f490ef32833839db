"""Interleave the runs of one network, such as tiles of several large pictures."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.predict.engine import Engine
from foveal.types import Outputs


@final
class TurnEngine:
    """A network that runs once at a time, first come, first served.

    Several pictures that are answered tile by tile at once would each hold a run's memory, and a
    plain lock may go to the same thread again and again.

    Args:
        engine: Runs the network.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """Number of waiting runs."""
        return len(self._waiting)

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""
        self._wait()
        try:
            return self._engine.run(inputs, names)
        finally:
            self._pass_on()

    def _wait(self) -> None:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False
