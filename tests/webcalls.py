"""How tests hand arrays to the functions of the web app; see tests/export/web/calls.mjs."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Call: TypeAlias = Callable[[Sequence[dict[str, Any]]], list[Any]]
"""Calls functions, each named by `call`, and returns what they give."""


def packed(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def tensor(values: NDArray[np.float32]) -> dict[str, Any]:
    return {"dims": list(values.shape), "data": packed(values.astype("<f4"))}


def raster(values: NDArray[np.uint8]) -> dict[str, Any]:
    return {"height": values.shape[0], "width": values.shape[1], "data": packed(values)}
