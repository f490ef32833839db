"""The location of the store: an argument, the variable `FOVEAL_STORE`, or `models`."""

from __future__ import annotations

import os
from pathlib import Path

from foveal.remote import open_url
from foveal.store.files import StoreFiles
from foveal.store.local import LocalFiles
from foveal.store.remote import RemoteFiles
from foveal.urls import is_url, local_path

DEFAULT_STORE = "models"
STORE_VARIABLE = "FOVEAL_STORE"


def open_files(location: str | Path | None = None) -> StoreFiles:
    """Return the files of a store, which need not be there yet.

    Args:
        location: Path or fsspec URL; None takes `FOVEAL_STORE`, or else `models`.

    Raises:
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        UsageError: If the protocol of the URL is unknown.
    """
    text = str(location or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)
    if is_url(text):
        return RemoteFiles(open_url(text))
    return LocalFiles(local_path(text))
