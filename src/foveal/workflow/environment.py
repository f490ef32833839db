"""The environment of a run for `environment.json`: versions, processor, memory."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from foveal.machine import available_cores, processor_name
from foveal.types import JsonObject
from foveal.version import __version__

_PACKAGES = ("torch", "timm", "numpy", "pillow", "simplejpeg", "onnxruntime", "onnx")


def describe_environment() -> JsonObject:
    """Return versions of what computes, and the machine, as JSON values."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "foveal": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": available_cores(),
        "memory_bytes": _memory(),
        "command": sys.argv,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
