"""OpenCV, imported on first use: an optional package that only pages need."""

from __future__ import annotations

from typing import Any

from foveal.extras import import_extra


def opencv() -> Any:
    """Return the module `cv2`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    return import_extra("cv2", "page", "Pre-processing pages needs OpenCV")
