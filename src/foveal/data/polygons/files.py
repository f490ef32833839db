"""Match shape files to pictures: by file stem, or from one COCO file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias, final

from foveal.data.names import is_picture_name
from foveal.data.polygons.coco import CocoPicture, is_coco, read_coco
from foveal.data.storage import Listing
from foveal.errors import DataError
from foveal.types import SplitName

JsonKind: TypeAlias = Literal["labelme", "coco"]
Read: TypeAlias = Callable[[str], bytes]
"""Name of a file → its bytes."""

_PICTURE_FOLDERS = frozenset(("images", "image", "imgs", "img"))
_SHAPE_FOLDERS = frozenset(("annotations", "annotation", "polygons", "shapes", "masks", "labels"))
_Key: TypeAlias = tuple[tuple[str, ...], str]


@final
@dataclass(frozen=True, slots=True)
class ShapeFiles:
    """Pictures, and the files with their shapes.

    Attributes:
        files: Name of the picture → name of the file with its shapes, or None.
        alone: Files with shapes but without a picture.
        coco: Files in COCO's JSON.
    """

    files: Mapping[str, str | None]
    alone: tuple[str, ...]
    coco: tuple[str, ...]


def find_shape_files(read: Read, listing: Listing) -> ShapeFiles:
    """Return what lies in a folder.

    A picture and its shapes have one stem and lie side by side, or in folders whose ways differ
    only by words such as `images` and `annotations`.

    Raises:
        DataError: If two files have an equal claim to a picture.
    """
    kinds = {
        name: kind
        for name in listing.files
        if PurePosixPath(name).suffix.lower() == ".json" and (kind := _json_kind(read(name)))
    }
    shapes: dict[_Key, str] = {}
    for name in listing.files:
        if PurePosixPath(name).suffix.lower() != ".svg" and kinds.get(name) != "labelme":
            continue
        first = shapes.setdefault(_key(name), name)
        if first != name:
            raise DataError(
                f"{first} and {name} contain shapes of the same picture. Expected one file.",
                hint="keep only one kind of files, in one folder",
            )
    files = {name: shapes.get(_key(name)) for name in _pictures(listing)}
    used = set(files.values())
    alone = tuple(name for name in shapes.values() if name not in used)
    return ShapeFiles(files, alone, tuple(n for n, kind in kinds.items() if kind == "coco"))


def _pictures(listing: Listing) -> list[str]:
    names = [name for name in listing.files if is_picture_name(name)]
    outside = [name for name in names if not _SHAPE_FOLDERS & set(_folders(name))]
    # Masks and previews lie among the shapes; where nothing lies elsewhere, so do the pictures.
    return outside or names


def _json_kind(data: bytes) -> JsonKind | None:
    if b'"shapes"' in data:
        return "labelme"
    return "coco" if is_coco(data) else None


def _folders(name: str) -> tuple[str, ...]:
    return tuple(part.lower() for part in PurePosixPath(name).parts[:-1])


def _key(name: str) -> _Key:
    folders = (part for part in _folders(name) if part not in _PICTURE_FOLDERS | _SHAPE_FOLDERS)
    return tuple(folders), PurePosixPath(name).stem


def find_sides(ways: Mapping[str, str], sides: Mapping[str, SplitName]) -> dict[str, SplitName]:
    """Return the side of each picture that names state, where one of the sides is for training.

    Args:
        ways: Name of the picture → the folders or the name of the file that may name a side.
        sides: Word for a side, in lower case → name of the side.
    """
    found: dict[str, SplitName] = {}
    for picture, way in ways.items():
        # `instances_val2017.json` is of the side val.
        words = re.split(r"[^a-z]+", way.lower())
        named = next((sides[word] for word in words if word in sides), None)
        if named is not None:
            found[picture] = named
    stated = set(found.values())
    return found if "train" in stated and len(stated) > 1 else {}


def read_coco_files(read: Read, names: Sequence[str]) -> list[tuple[str, CocoPicture]]:
    """Return (name of the file, picture) of all pictures that COCO files describe.

    Where some are called `instances`, the others are captions and poses of the same pictures.

    Raises:
        DataError: If one of them is damaged.
    """
    instances = [name for name in names if "instances" in PurePosixPath(name).stem.lower()]
    found = []
    for name in instances or names:
        pictures = read_coco(name, read(name))
        found += [(name, picture) for picture in pictures or ()]
    return found


def coco_resolver(names: Iterable[str]) -> Callable[[str, str], str | None]:
    """Return a function from (COCO file, `file_name` in it) to the picture's name, or None.

    Args:
        names: Names of all pictures.
    """
    known = frozenset(names)
    by_stem: dict[str, list[str]] = {}
    for name in known:
        by_stem.setdefault(PurePosixPath(name).name, []).append(name)

    def resolve(file: str, picture: str) -> str | None:
        wanted = picture.replace("\\", "/")
        folder = PurePosixPath(file).parent
        for base in (folder, *folder.parents):
            for inside in ("", "images"):
                name = posixpath.normpath(f"{base}/{inside}/{wanted}").lstrip("/")
                if name in known:
                    return name
        # Anywhere else, but never a guess between two.
        alike = by_stem.get(PurePosixPath(wanted).name, [])
        return alike[0] if len(alike) == 1 else None

    return resolve
