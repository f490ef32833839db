"""Which storage a location names."""

from __future__ import annotations

from pathlib import Path

from foveal.data.archive import ZipStorage, is_archive
from foveal.data.storage import LocalStorage, RemoteStorage, Storage
from foveal.errors import DataError, MissingExtraError
from foveal.special import special_kind


def open_storage(location: str | Path) -> Storage:
    """Return the storage that a path, a zip archive or an fsspec URL names.

    Raises:
        MissingExtraError: When the URL's kind needs a package that is not installed.
        DataError: When the URL is of no known kind, the archive is damaged, or the
            path is a pipe or a device.
    """
    text = str(location)
    if "://" not in text or text.startswith("file://"):
        path = Path(text.removeprefix("file://")).expanduser()
        if (kind := special_kind(path)) is not None:
            raise DataError(f"{path} is {kind}. Expected a folder, a zip, a table or an .npz file.")
        return ZipStorage(path) if is_archive(path) else LocalStorage(path)
    try:
        # Here, because only URLs need it and it costs a tenth of the start-up.
        from fsspec.core import url_to_fs

        filesystem, root = url_to_fs(text)
    except ImportError as error:
        raise MissingExtraError(f"{text} needs a package that is not installed: {error}") from error
    except ValueError as error:
        raise DataError(f"Cannot open {text}: {error}") from error
    return RemoteStorage(filesystem, root, text)
