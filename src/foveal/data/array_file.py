"""Arrays in `.npy` and `.npz` files, read row by row without holding them in memory."""

from __future__ import annotations

import math
import struct
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from foveal.errors import DataError

# Of a zip entry: 30 bytes, then the name and the extra field, whose lengths stand at 26.
_LOCAL_HEADER = 30


@final
class ArrayFile:
    """One array of a file. Thread-safe.

    Args:
        name: As people know it.
        dtype: Type of the elements; never an object.
        shape: The first axis counts the rows.
        read_at: Returns `size` bytes from `offset`, counted from the first element.
    """

    def __init__(
        self,
        name: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        read_at: Callable[[int, int], bytes],
    ) -> None:
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self._read_at = read_at
        self._row_bytes = dtype.itemsize * math.prod(shape[1:])

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows [start, stop).

        Raises:
            DataError: If the file ends before them.
        """
        size = (stop - start) * self._row_bytes
        data = self._read_at(start * self._row_bytes, size)
        if len(data) != size:
            raise DataError(f"{self.name} is truncated: row {stop - 1} is missing.")
        return np.frombuffer(data, self.dtype).reshape((stop - start, *self.shape[1:]))

    def read(self) -> NDArray[Any]:
        """Return the whole array."""
        count = self.shape[0] if self.shape else 1
        return self.rows(0, count).reshape(self.shape)


def open_npy(path: Path) -> ArrayFile:
    """Open a `.npy` file.

    Raises:
        DataError: If it is no such file, or holds Python objects.
    """
    try:
        with path.open("rb") as file:
            dtype, shape = _read_header(file, path.name)
            start = file.tell()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error
    return ArrayFile(path.name, dtype, shape, _file_reader(path, start))


def open_npz(path: Path) -> dict[str, ArrayFile]:
    """Open every array of a `.npz` file.

    Arrays that numpy.savez wrote are read in place; those of savez_compressed are unpacked
    into memory when first needed.

    Raises:
        DataError: If it is no such archive, or holds Python objects.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    key = info.filename[:-4]
                    arrays[key] = _open_member(path, archive, info)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is not an archive of arrays: {error}.",
            hint="write it with numpy.savez('data.npz', images=images, labels=labels)",
        ) from error
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error
    return arrays


def _open_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArrayFile:
    name = f"{path.name}:{info.filename[:-4]}"
    with archive.open(info) as member:
        dtype, shape = _read_header(member, name)
        header_bytes = member.tell()
    if info.compress_type != zipfile.ZIP_STORED:
        return ArrayFile(name, dtype, shape, _unpacking_reader(path, info.filename, header_bytes))
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:30])
    start = info.header_offset + _LOCAL_HEADER + name_bytes + extra_bytes + header_bytes
    return ArrayFile(name, dtype, shape, _file_reader(path, start))


def _read_header(file: Any, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    try:
        version = npy_format.read_magic(file)
        read = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }[version]
        shape, is_fortran, dtype = read(file)
    except (ValueError, KeyError, EOFError) as error:
        raise DataError(f"{name} is not a NumPy array: {error}.") from error
    if dtype.hasobject:
        raise DataError(
            f"{name} contains Python objects, which could run code when they are loaded.",
            hint="save it as numbers or text: numpy.asarray(labels, dtype=str)",
        )
    if is_fortran and len(shape) > 1:
        raise DataError(
            f"{name} is stored in Fortran order (column by column).",
            hint="numpy.ascontiguousarray(array)",
        )
    return dtype, shape


def _file_reader(path: Path, start: int) -> Callable[[int, int], bytes]:
    def read_at(offset: int, size: int) -> bytes:
        with path.open("rb", buffering=0) as file:
            file.seek(start + offset)
            return file.read(size)

    return read_at


def _unpacking_reader(path: Path, member: str, start: int) -> Callable[[int, int], bytes]:
    lock = threading.Lock()
    unpacked: list[memoryview] = []

    def read_at(offset: int, size: int) -> bytes:
        with lock:
            if not unpacked:
                with zipfile.ZipFile(path) as archive:
                    unpacked.append(memoryview(archive.read(member)))
        return bytes(unpacked[0][start + offset : start + offset + size])

    return read_at
