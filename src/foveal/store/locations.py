"""Where the store is: an argument, the variable `FOVEAL_STORE`, or `models`."""

from __future__ import annotations

import os
from pathlib import Path

from foveal.errors import MissingExtraError, UsageError
from foveal.store.files import StoreFiles
from foveal.store.local import LocalFiles
from foveal.store.remote import RemoteFiles

DEFAULT_STORE = "models"
STORE_VARIABLE = "FOVEAL_STORE"


def open_files(location: str | Path | None = None) -> StoreFiles:
    """Return the files of a store, which need not be there yet.

    Args:
        location: Path or fsspec URL; None takes `FOVEAL_STORE`, or else `models`.

    Raises:
        MissingExtraError: When the URL's kind needs a package that is not installed.
        UsageError: When the URL is of no known kind.
    """
    text = str(location or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)
    if "://" not in text or text.startswith("file://"):
        return LocalFiles(Path(text.removeprefix("file://")).expanduser())
    try:
        # Here, because only URLs need it and it costs a tenth of the start-up.
        from fsspec.core import url_to_fs

        filesystem, root = url_to_fs(text)
    except ImportError as error:
        raise MissingExtraError(f"{text} needs a package that is not installed: {error}") from error
    except ValueError as error:
        raise UsageError(f"Cannot open the store {text}: {error}") from error
    return RemoteFiles(filesystem, root, text)
