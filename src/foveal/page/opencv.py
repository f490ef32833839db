"""OpenCV, imported on first use: an optional package that only pages need."""

from __future__ import annotations

from typing import Any

from foveal.errors import MissingExtraError


def opencv() -> Any:
    """Return the module `cv2`.

    Raises:
        MissingExtraError: When it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            "Pre-processing pages needs OpenCV, which is not installed.",
            hint="pip install 'foveal[page]'",
        ) from error
    return cv2
