"""Tar archives of data: opening one and reading its files, or a FovealError."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from foveal.data.archive import ArchiveStorage
from foveal.data.decode import DecodeLimits
from foveal.errors import DataError, ImageError

MAX_BYTES = 20_000
_PLACE = Path(tempfile.mkdtemp()) / "fuzzed.tar"
_LIMITS = DecodeLimits(max_bytes=MAX_BYTES, max_pixels=100_000)


def test_one(data: bytes) -> None:
    """Open the bytes as an archive, however it is compressed."""
    _PLACE.write_bytes(data)
    try:
        storage = ArchiveStorage(_PLACE)
    except DataError:
        return
    for name in storage.listing().files:
        if name.startswith("/") or ".." in name.split("/"):
            raise AssertionError(name)
        try:
            storage.read(name, _LIMITS)
        except ImageError:
            continue


def seeds() -> Iterator[bytes]:
    """Give archives of each format, plain and compressed."""
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        yield _packed("w", form, "cat/1.png", f"dog/{'x' * 90}.png")
    for mode in ("w:gz", "w:bz2", "w:xz"):
        yield _packed(mode, tarfile.GNU_FORMAT, "cat/1.png", f"dog/{'x' * 120}.png")


def _packed(mode: str, form: int, *names: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    return file.getvalue()
