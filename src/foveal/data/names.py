"""File names: picture extensions, parts of a split, files left by operating systems."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from foveal.types import SplitName
from foveal.urls import MANIFEST_NAME

# .svs is a slide scanner's TIFF.
PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .avif .avifs .heic .heif .hif .gif .bmp .dib "
    ".tif .tiff .svs".split()
)
# Pictures to people, but of formats that are not decoded: worth a finding of their own.
FOREIGN_SUFFIXES = frozenset(
    ".svg .psd .jp2 .jxl .ico .dcm .raw .cr2 .nef .arw .dng .pdf .eps .tga .ppm .pgm".split()
)
# What people call the sides of a split.
SPLIT_ALIASES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
WORKSPACE = ".foveal"
"""The folder in that of the pictures where foveal keeps what must not be lost; it is hidden."""
QUARANTINE = f"{WORKSPACE}/quarantine"
"""Where `foveal clean` moves pictures to, which keep their way below it."""
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz")
_LITTER = frozenset(
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", MANIFEST_NAME)
)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder name is hidden, or left behind by a system or an upload."""
    return name.startswith(".") or name.lower() in _LITTER


def is_picture_name(name: str) -> bool:
    """Return whether a name ends like a picture of a supported format; its content may differ."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def is_foreign_picture_name(name: str) -> bool:
    """Return whether a name ends like a picture of a format that is not supported."""
    return PurePosixPath(name).suffix.lower() in FOREIGN_SUFFIXES


def is_tar_name(name: str) -> bool:
    """Return whether a name ends like a tar archive that is read in place."""
    return name.lower().endswith(_TARS)


def is_archive(path: Path) -> bool:
    """Return whether this is a zip or tar of data, by its name; a folder may be called so too."""
    return path.name.lower().endswith((".zip", *_TARS)) and path.is_file()


def without_archive_suffix(name: str) -> str:
    """Return the name of a folder that was packed into an archive of this name."""
    lowered = name.lower()
    ending = next((end for end in (".zip", *_TARS) if lowered.endswith(end)), "")
    return name[: len(name) - len(ending)]
