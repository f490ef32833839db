"""Optional packages, imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from foveal.errors import MissingExtraError


def import_extra(module: str, extra: str, need: str) -> Any:
    """Return an optional module.

    Args:
        module: Its name.
        extra: The extra of foveal that installs it.
        need: What needs which package, such as `Pre-processing pages needs OpenCV`.

    Raises:
        MissingExtraError: When it, or a package that it imports, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{need}, which is not installed.", hint=f"pip install 'foveal[{extra}]'"
        ) from error
