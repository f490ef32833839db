"""Which names are pictures, and which are passed over."""

from __future__ import annotations

PICTURE_ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"
)
_PASSED_OVER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is passed over: hidden ones and what systems leave behind."""
    return name.startswith(".") or name.lower() in _PASSED_OVER


def is_picture_name(name: str) -> bool:
    """Tell whether a file's ending is that of a picture."""
    return name.lower().endswith(PICTURE_ENDINGS) and not is_hidden(name)
