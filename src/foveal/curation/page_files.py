"""Lay pages out again: a picture file after page steps, in its own format."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits, decode
from foveal.errors import DataError, ImageError
from foveal.page import run_steps

# How each format is written; a page is text, whose edges a JPEG of lower quality would smear.
_FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    **dict.fromkeys(
        (".jpg", ".jpeg", ".jpe", ".jfif"), ("JPEG", {"quality": 95, "subsampling": 0})
    ),
    ".png": ("PNG", {"compress_level": 4}),
    ".webp": ("WEBP", {"lossless": True}),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF", {"compression": "tiff_adobe_deflate"})),
    **dict.fromkeys((".bmp", ".dib"), ("BMP", {})),
}


def can_lay_out(name: str) -> bool:
    """Return whether a file of this name can be written in its own format."""
    return PurePosixPath(name).suffix.lower() in _FORMATS


def laid_out(name: str, steps: Sequence[str], limits: DecodeLimits) -> Callable[[bytes], bytes]:
    """Return a function from a picture file to the same after page steps.

    Args:
        name: The file's name; `can_lay_out` says that it can be written.
        steps: As a recipe writes them; see `foveal.page.STEPS`.
        limits: Limits of the picture.

    Raises:
        DataError: If the function is called with a file that cannot be decoded.
    """
    kind, options = _FORMATS[PurePosixPath(name).suffix.lower()]

    def make(before: bytes) -> bytes:
        try:
            picture = decode(before, limits)
        except ImageError as error:
            raise DataError(
                f"{name} cannot be rewritten: {error.message}", hint=error.hint
            ) from error
        pixels, _ = run_steps(picture.pixels, steps)
        is_grey = bool((pixels[..., :1] == pixels).all())
        image = PILImage.fromarray(np.ascontiguousarray(pixels[..., 0]) if is_grey else pixels)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return make
