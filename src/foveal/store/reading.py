"""Open and verify versions of a store."""

from __future__ import annotations

import hashlib

from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.errors import BundleError, FovealError, StoreError
from foveal.store.files import StoreFiles
from foveal.store.missing import no_version
from foveal.store.record import RECORD_NAME, Record
from foveal.store.reference import Reference
from foveal.store.state import look


def open_bundle(files: StoreFiles, name: str, version: int) -> Bundle:
    """Open and verify a version; see `Store.bundle`."""
    manifest = files.read(name, f"{version}/{MANIFEST_NAME}")
    if manifest is None:
        raise no_version(Reference(name, version), version, look(files, name))
    try:
        bundle = Bundle.open(files.fetch(name, version, hashlib.sha256(manifest).hexdigest()))
        record = read_record(files, name, version)
    except (BundleError, StoreError) as error:
        raise BundleError(
            f"{name}:{version} is damaged: {error.message}",
            code=error.error_code,
            hint=f"foveal models list {name}",
        ) from error
    if record is not None and record.bundle != bundle.version:
        raise BundleError(
            f"{name}:{version} is damaged: its bundle.json is not the one that was published.",
            hint=f"foveal models list {name}",
        )
    return bundle


def problem_of(files: StoreFiles, name: str, version: int) -> str | None:
    """Return what is wrong with a version, or None; every file is read."""
    try:
        open_bundle(files, name, version)
    except FovealError as error:
        return error.message
    return None


def read_record(files: StoreFiles, name: str, version: int) -> Record | None:
    """Return how a version came to be; see `Store.record`."""
    content = files.read(name, f"{version}/{RECORD_NAME}")
    if content is None:
        return None
    return Record.from_bytes(content, f"{files.location}/{name}/{version}/{RECORD_NAME}")
