"""Inputs of predictions: paths, URLs, archives, globs, bytes, arrays, lists."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import TextIOBase
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits
from foveal.data.names import is_archive, is_hidden, is_picture_name
from foveal.data.picture_file import read_file
from foveal.errors import DataError, ImageError, UsageError
from foveal.predict.in_memory import array_pixels, image_pixels
from foveal.types import Picture
from foveal.urls import is_url, local_path, shown

if TYPE_CHECKING:
    from foveal.data.storage import Storage

logger = logging.getLogger(__name__)

PictureLike: TypeAlias = (
    str | PathLike[str] | bytes | bytearray | memoryview | NDArray[Any] | PILImage.Image | BinaryIO
)
"""One picture: a path, the bytes of a file, an open file, an array, or a Pillow image."""

_BUFFERS = (bytes, bytearray, memoryview)
_EXPECTED = (
    "Expected a path, the bytes of a picture file, an array (H, W), (H, W, 3) or (H, W, 4), "
    "a Pillow image, a folder, a glob, or a list of these."
)


@final
@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive or at a URL, read lazily."""

    storage: Storage
    name: str


@final
@dataclass(frozen=True, slots=True)
class Given:
    """One given picture.

    Attributes:
        source: Name in the record of its answer.
        content: The path of a file or its place in an archive or at a URL, the bytes of one, a
            picture in memory, or why one of several in memory cannot be decoded.
    """

    source: str
    content: str | bytes | Member | Picture | ImageError


def file_bytes(content: str | bytes | Member | ImageError, limits: DecodeLimits) -> bytes:
    """Return the bytes of a picture file.

    Raises:
        ImageError: If it cannot be read, or is over the limit.
    """
    if isinstance(content, ImageError):
        raise content
    if isinstance(content, Member):
        return content.storage.read(content.name, limits)
    refuse_empty(content)
    return content if isinstance(content, bytes) else read_file(Path(content), limits)


def refuse_empty(content: str | bytes) -> None:
    """Raise for an empty path, which for the system is the current folder.

    Raises:
        ImageError: If it is one.
    """
    if content == "":
        raise ImageError("The path of the picture is empty.")


def is_one(pictures: Any) -> bool:
    """Return whether this is one picture, rather than a folder, zip, glob or list."""
    pictures = _plain(pictures)
    if isinstance(pictures, (str, PathLike)):
        if is_url(str(pictures)):
            return _names_one(str(pictures))
        if pictures == "":
            # For a path that would be the current folder.
            return True
        path = Path(pictures)
        return not path.is_dir() and not has_wildcard(path) and not is_archive(path)
    if isinstance(pictures, np.ndarray):
        return pictures.ndim in (2, 3) and pictures.dtype.kind in "bifu"
    return isinstance(pictures, (*_BUFFERS, Given, PILImage.Image)) or _reads(pictures)


def read_one(picture: Any) -> Given:
    """Return one given picture, with arrays converted to pictures.

    Raises:
        UsageError: If it is not a picture.
    """
    picture = _plain(picture)
    if isinstance(picture, Given):
        return picture
    if isinstance(picture, (str, PathLike)):
        name = str(picture)
        return _one_behind(name) if is_url(name) else Given(name, name)
    if isinstance(picture, _BUFFERS):
        return Given("picture", bytes(picture))
    if isinstance(picture, PILImage.Image):
        name = str(getattr(picture, "filename", "")) or "picture"
        return Given(name, Picture.from_array(image_pixels(picture)))
    if isinstance(picture, TextIOBase):
        raise UsageError(
            "Invalid picture. Expected a file opened in binary mode.", hint='open(path, "rb")'
        )
    if _reads(picture):
        return Given(str(getattr(picture, "name", "picture")), bytes(picture.read()))
    if isinstance(picture, np.ndarray):
        return Given("picture", Picture.from_array(array_pixels(picture)))
    raise UsageError(f"Invalid picture. {_EXPECTED} Received: {type(picture).__name__}.")


def read_each(pictures: Any) -> Iterator[Given]:
    """Yield every picture, in order; folders, globs and lists may be nested in lists.

    A picture in memory is named by its number.

    Raises:
        UsageError: If an element is neither a picture nor a collection of pictures.
        DataError: If a folder has no pictures, or a glob matches nothing.
    """
    for number, given in enumerate(_flat(pictures)):
        named = given.source != "picture"
        yield given if named else Given(f"picture {number}", given.content)


def expand(pictures: Iterable[str | PathLike[str]]) -> Iterator[str]:
    """Yield the files that paths, folders and globs stand for, in sorted order within each.

    A file is taken whatever its extension; in folders, only files with picture extensions are
    taken, and hidden files are skipped. A path that is empty or does not exist is yielded too, so
    that the caller can report the error of reading it.

    Raises:
        DataError: If a folder has no pictures, or a glob matches nothing.
    """
    for picture in pictures:
        path = Path(picture)
        if picture == "":
            yield ""
        elif path.is_dir():
            try:
                found = sorted(
                    str(p)
                    for p in path.rglob("*")
                    if is_picture_name(p.name)
                    and not any(is_hidden(x) for x in p.relative_to(path).parts)
                )
            except OSError as error:
                raise DataError(
                    f"Cannot list the folder {path}: {error.strerror}: {error.filename}."
                ) from error
            if not found:
                raise DataError(f"There are no pictures in the folder {path}.")
            _warn_of_masks(path, found)
            yield from found
        elif has_wildcard(path):
            # Not Path.glob: the pattern may start at the root or with "..".
            matches = sorted(glob.glob(str(picture), recursive=True))  # noqa: PTH207
            if not matches:
                raise DataError(f"No file matches {picture}.")
            yield from matches
        else:
            yield str(picture)


def _warn_of_masks(folder: Path, pictures: Iterable[str]) -> None:
    # Imported late: most calls are about files.
    from foveal.data.masks.pairs import are_pairs

    tops = sorted({Path(name).relative_to(folder).parts[0] for name in pictures})
    if are_pairs(tops):
        logger.warning(
            "%s contains pictures and masks (%s), and all of them are answered; give the folder of "
            "the pictures to leave out the masks",
            folder,
            ", ".join(tops),
        )


def has_wildcard(path: Path) -> bool:
    """Return whether a path is a glob rather than an existing file or folder."""
    return any(c in str(path) for c in "*?[") and not path.exists()


def _flat(pictures: Any) -> Iterator[Given]:
    pictures = _plain(pictures)
    if isinstance(pictures, (str, PathLike)):
        if is_url(str(pictures)):
            yield from _behind(str(pictures))
            return
        for name in expand([pictures]):
            yield from _members(Path(name)) if is_archive(Path(name)) else [Given(name, name)]
    elif is_one(pictures):
        try:
            yield read_one(pictures)
        except ImageError as error:
            yield Given(str(getattr(pictures, "filename", "")) or "picture", error)
    elif isinstance(pictures, Mapping) or not isinstance(pictures, Iterable):
        yield read_one(pictures)
    elif isinstance(pictures, np.ndarray) and pictures.ndim == 0:
        yield from _flat(pictures.item())
    else:
        for picture in pictures:
            yield from _flat(picture)


def _members(path: Path) -> Iterator[Given]:
    # Imported late: it brings what reads data from anywhere.
    from foveal.data.archive import ArchiveStorage

    archive = ArchiveStorage(path)
    names = [name for name in archive.listing().files if is_picture_name(name)]
    if not names:
        raise DataError(f"There are no pictures in the archive {path}.")
    for name in names:
        yield Given(archive.locate(name), Member(archive, name))


def _behind(url: str) -> Iterator[Given]:
    """Yield the pictures of a folder at a URL, or the file that is there."""
    if _names_one(url):
        # Like a path: if nothing is there, that is the error of this picture alone.
        yield _one_behind(url)
        return
    # Imported late, as above.
    from foveal.data.locate import open_storage

    storage = open_storage(url)
    kind = storage.kind()
    if kind != "folder":
        if kind == "missing":
            raise storage.missing()
        yield _one_behind(url)
        return
    names = [name for name in storage.listing().files if is_picture_name(name)]
    if not names:
        raise DataError(f"There are no pictures at {storage.location}.")
    for name in names:
        yield Given(storage.locate(name), Member(storage, name))


def _names_one(url: str) -> bool:
    """Return whether a URL names a picture, rather than a folder, without asking its server."""
    # The web has no folders, and often no extensions. A query, such as a signature, is no name.
    return url.startswith(("http://", "https://")) or is_picture_name(shown(url))


def _one_behind(url: str) -> Given:
    from foveal.data.locate import open_storage

    folder, name = open_storage(url).parent()
    return Given(shown(url), Member(folder, name))


def _plain(pictures: Any) -> Any:
    """Convert tensors and columns of tables to arrays and `~` and `file://` to paths.

    Others are returned unchanged.

    Raises:
        UsageError: If it is a table of several columns.
    """
    if isinstance(pictures, str) and pictures.startswith(("~", "file://")):
        return str(local_path(pictures))
    if hasattr(pictures, "__array__") and not isinstance(
        pictures, (np.ndarray, np.generic, PILImage.Image)
    ):
        return _as_array(pictures)
    return pictures


def _as_array(values: Any) -> NDArray[Any]:
    """Convert a tensor or a column of a table to an array.

    Raises:
        UsageError: If it is a table of several columns.
    """
    columns = getattr(values, "columns", None)
    if columns is not None and len(columns) != 1:
        raise UsageError(
            "Invalid pictures. Expected one column of a table. Received a table with the columns: "
            f"{', '.join(map(str, columns))}.",
            hint=f"table[{columns[0]!r}]" if len(columns) else None,
        )
    if callable(getattr(values, "detach", None)):
        # A tensor of torch with a gradient, on a GPU or in bfloat16 does not convert by itself.
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values
    return np.asarray(values)


def _reads(pictures: Any) -> bool:
    return callable(getattr(pictures, "read", None))
