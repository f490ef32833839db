"""foveal turns a folder of pictures into a model that you can ship.

The public surface is `__all__`. Importing the package costs nothing: a name is fetched from
one of the modules in `_HOMES` when it is first used.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from foveal.version import __version__

if TYPE_CHECKING:
    from foveal.api.curation import clean, cleanings, corrections, review
    from foveal.api.data import check, collect, preprocess, split, synth
    from foveal.api.jobs import deploy, jobs, submit
    from foveal.api.models import compare, evaluate, explain, export, load, open_store, predict
    from foveal.api.serving import serve, watch
    from foveal.api.training import extend, find_lr, resume, train
    from foveal.api.tuning import tune
    from foveal.errors import FovealError
    from foveal.model import Answer, Answers, Model

# From 1.29 on ONNX Runtime reports what it does, with the names of models, to its makers unless
# this is set before it is imported. Whoever sets it to something else keeps that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "Answer",
    "Answers",
    "FovealError",
    "Model",
    "__version__",
    "check",
    "clean",
    "cleanings",
    "collect",
    "compare",
    "corrections",
    "deploy",
    "evaluate",
    "explain",
    "export",
    "extend",
    "find_lr",
    "jobs",
    "load",
    "open_store",
    "predict",
    "preprocess",
    "resume",
    "review",
    "serve",
    "split",
    "submit",
    "synth",
    "train",
    "tune",
    "watch",
]


_HOMES = {
    "foveal.api.curation": ("clean", "cleanings", "corrections", "review"),
    "foveal.api.data": ("check", "collect", "preprocess", "split", "synth"),
    "foveal.api.jobs": ("deploy", "jobs", "submit"),
    "foveal.api.models": (
        "compare",
        "evaluate",
        "explain",
        "export",
        "load",
        "open_store",
        "predict",
    ),
    "foveal.api.serving": ("serve", "watch"),
    "foveal.api.training": ("extend", "find_lr", "resume", "train"),
    "foveal.api.tuning": ("tune",),
    "foveal.errors": ("FovealError",),
    "foveal.model": ("Answer", "Answers", "Model"),
}


class _Package(ModuleType):
    """Keeps `foveal.train` the function although a subpackage has the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Drop the attribute that the import system sets when it loads such a subpackage."""
        if name in __all__ and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Fetch a public name on first use (PEP 562)."""
    if name not in __all__:
        raise _missing(name)
    home = next(module for module, names in _HOMES.items() if name in names)
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def _missing(name: str) -> Exception:
    """Return the error for a name that is not there, with what to type instead."""
    from foveal.foreign import ADVICE, advise

    sentence = advise("module", "module", name, __all__)
    # `from foveal import YOLO` would replace the words of an AttributeError by its own.
    return (ImportError if name in ADVICE["module"] else AttributeError)(sentence)


def __dir__() -> list[str]:
    """List the public names for `dir` and completion."""
    return sorted(__all__)
