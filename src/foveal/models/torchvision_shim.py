"""Import timm and packages built on it, even with a torchvision that does not match torch.

torchvision has no CPU wheel on some indexes: its extension (built for CUDA) then fails to load with
a CPU build of torch, and `import torchvision` raises because it registers fake kernels for
undeclared operators. Declaring their schemas is enough, because timm's networks never call them.
Tried with torch 2.13.0, torchvision 0.28.0, timm 1.0.29. (`torch.library` carries no annotations,
hence the ignores.)
"""

from __future__ import annotations

import contextlib
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from foveal.extras import import_extra

_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def extension_loads() -> bool:
    """Return whether torchvision's compiled operators load; True if it is not installed."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    for path in sorted(Path(spec.origin).parent.glob("_C*")):
        if path.suffix not in {".so", ".pyd", ".dylib"}:
            continue
        try:
            torch.ops.load_library(str(path))  # type: ignore[no-untyped-call]
        except (ImportError, OSError):
            return False
        return True
    return False


@cache
def _declare_operators() -> torch.library.Library | None:
    """Declare the missing operators; the library object must outlive its schemas."""
    if extension_loads():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        # `hasattr` on the namespace is torch's own way to ask whether an operator is declared.
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + _SCHEMA)  # type: ignore[no-untyped-call]
    return library


@cache
def import_timm() -> Any:
    """Return the module `timm`. Imported on demand: it takes seconds, and small CNNs need none.

    Raises:
        MissingExtraError: If timm is not installed.
    """
    return _import("timm", "This backbone needs timm and torchvision")


@cache
def import_smp() -> Any:
    """Return the module `segmentation_models_pytorch`, which imports timm.

    Raises:
        MissingExtraError: If it is not installed.
    """
    return _import("segmentation_models_pytorch", "This decoder needs segmentation-models-pytorch")


def _import(name: str, need: str) -> Any:
    _declare_operators()
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        # What timm needs warns in every notebook that lacks widgets, which foveal does not use.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import_module("tqdm.auto")
    return import_extra(name, "train", need)
