"""Find the storage of a location."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from foveal.data.archive import ArchiveStorage
from foveal.data.names import is_archive
from foveal.data.remote import RemoteStorage
from foveal.data.storage import LocalStorage, Storage
from foveal.errors import DataError, UsageError
from foveal.remote import open_url
from foveal.special import special_kind
from foveal.urls import is_url, local_path


def open_storage(location: str | Path) -> Storage:
    """Return the storage that a path, an archive or an fsspec URL names.

    Raises:
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        UsageError: If it is neither a path nor a URL, or the protocol of the URL is unknown.
        DataError: If the path is empty or a pipe or a device, or the archive is damaged.
    """
    location = location_of(location)
    if location == "":
        # For a path that would be the current folder.
        raise DataError("The path of the data is empty.", hint="foveal train FOLDER")
    if is_url(location):
        return RemoteStorage(open_url(location))
    path = local_path(location)
    if (kind := special_kind(path)) is not None:
        raise DataError(
            f"{path} is {kind}. Expected a folder, a zip or tar, a table or an .npz file."
        )
    return ArchiveStorage(path) if is_archive(path) else LocalStorage(path)


def location_of(data: str | PathLike[str]) -> str:
    """Return the path or URL of data as text.

    Raises:
        UsageError: If it is anything else, such as a list of pictures.
    """
    if not isinstance(data, (str, PathLike)):
        raise UsageError(
            "Invalid data. Expected the path or URL of a folder, an archive, a table or an .npz "
            f"file. Received: {type(data).__name__}.",
            hint="foveal.sklearn.FovealClassifier().fit(pictures, labels) trains on lists",
        )
    return str(data)
