"""Read the files of a bundle from a folder or a zip, without unpacking it."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from foveal.data.zips import open_zip
from foveal.errors import BundleError, FovealError
from foveal.special import special_kind

MODEL_NAME = "model.onnx"
WEIGHTS_NAME = "weights.safetensors"
TRAINED_ON_NAME = "trained_on.bin"
PROOF_NAME = "proof.npz"
_NETWORKS = {
    # The most that protobuf can hold.
    MODEL_NAME: 2**31 - 1,
    # Far above any network that makes sense here (ViT-L is 1.2 GB).
    WEIGHTS_NAME: 4_000_000_000,
}
# An alphabet or a list of a million words.
_MAX_TEXT_BYTES = 16_000_000
_MAX_RATIO = 200
# Seven names take 500 bytes.
_MAX_DIRECTORY_BYTES = 100_000


def list_files(path: Path) -> set[str]:
    """Return the names of the files of a bundle.

    Raises:
        BundleError: If it is neither a folder nor a zip, or holds links, pipes, a name twice, or
            more than a bundle may hold.
    """
    if (kind := special_kind(path)) is not None:
        raise BundleError(f"{path} is {kind}. Expected a folder or a .foveal file.")
    with _reading(path, "the list of its files"):
        return _in_folder(path) if path.is_dir() else _in_zip(path)


def read_file(path: Path, name: str) -> bytes:
    """Return the content of a file of a bundle.

    Raises:
        BundleError: If it cannot be read.
    """
    with _reading(path, name), _opened(path, name) as file:
        return file.read()


def sha256_of(path: Path, name: str) -> str:
    """Return the digest of a file of a bundle, without having it in memory as a whole.

    Raises:
        BundleError: If it cannot be read.
    """
    with _reading(path, name), _opened(path, name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def size_of(path: Path, name: str) -> int:
    """Return the size of a file of a bundle, in bytes.

    Raises:
        BundleError: If it is not there.
    """
    with _reading(path, name):
        if path.is_dir():
            return (path / name).stat().st_size
        with open_zip(path, max_directory_bytes=_MAX_DIRECTORY_BYTES) as archive:
            return archive.getinfo(name).file_size


def _in_folder(path: Path) -> set[str]:
    names = set()
    for entry in path.iterdir():
        kind = "a link" if entry.is_symlink() else special_kind(entry)
        if kind is not None:
            raise BundleError(f"{path} contains {kind}: {entry.name}.", code="bundle_unsafe")
        if not entry.name.startswith("."):
            names.add(entry.name)
            _check_size(path, entry.name, entry.stat().st_size)
    return names


def _in_zip(path: Path) -> set[str]:
    try:
        with open_zip(path, max_directory_bytes=_MAX_DIRECTORY_BYTES) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise BundleError(f"{path} is not a bundle: {error}.") from error
    names = {info.filename for info in infos}
    if len(names) != len(infos):
        raise BundleError(f"{path} lists the same file twice.", code="bundle_unsafe")
    for info in infos:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise BundleError(f"{path} contains a link: {info.filename}.", code="bundle_unsafe")
        _check_size(path, info.filename, info.file_size)
        if info.file_size > 1_000_000 and info.file_size > _MAX_RATIO * info.compress_size:
            raise BundleError(f"{info.filename} in {path} is too large.", code="bundle_unsafe")
    return names


def _check_size(path: Path, name: str, size: int) -> None:
    if size > _NETWORKS.get(name, _MAX_TEXT_BYTES):
        raise BundleError(f"{name} in {path} is too large.", code="bundle_unsafe")


@contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    if path.is_dir():
        with (path / name).open("rb") as file:
            yield file
        return
    with (
        open_zip(path, max_directory_bytes=_MAX_DIRECTORY_BYTES) as archive,
        archive.open(name) as member,
    ):
        yield member


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever reading damaged files raises into a BundleError."""
    try:
        yield
    except (FovealError, MemoryError):
        raise
    except Exception as error:  # zlib, lzma, bz2, zipfile and the system have errors of their own.
        raise BundleError(f"Cannot read {what} in {path}: {error}") from error
