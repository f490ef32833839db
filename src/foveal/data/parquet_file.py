"""A Parquet file with embedded pictures, read by row groups."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, final

from foveal.errors import DataError
from foveal.extras import import_extra

# Groups that are held together: where one ends and the next begins, threads read from both.
_GROUPS = 2
# Rows are decompressed by groups, so a whole one has to be in memory.
_MAX_GROUP_BYTES = 4_000_000_000
_PICTURES = ("image", "img", "picture", "photo", "jpg", "png", "bytes", "data")
_BINARY = ("binary", "large_binary", "binary_view")


@final
class ParquetFile:
    """A Parquet file. Thread-safe.

    Args:
        path: The file.

    Raises:
        MissingExtraError: If pyarrow is not installed.
        DataError: If it is no Parquet file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        parquet = import_extra("pyarrow.parquet", "parquet", "Reading Parquet needs pyarrow")
        with self._reading():
            self._file = parquet.ParquetFile(path, memory_map=True)
            self._schema = self._file.schema_arrow
        self._groups: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(self._schema.names)

    @cached_property
    def picture_column(self) -> str:
        """Return the column with the bytes of pictures: binary, or a struct with a field `bytes`.

        Raises:
            DataError: If there is none, or several and none is called like pictures.
        """
        found = [str(f.name) for f in self._schema if self._is_struct(f) or _is_bytes(f)]
        named = [name for name in _PICTURES for other in found if other.lower() == name]
        if len(found) == 1 or named:
            return next((name for name in found if name.lower() in named[:1]), found[0])
        shown = ", ".join(f"{field.name} ({field.type})" for field in self._schema)[:300]
        raise DataError(
            f"{self.path} has {'several columns' if found else 'no column'} of picture files. "
            f"Expected one with their bytes, called image. Received: {shown}.",
            hint="datasets.Dataset.to_parquet embeds pictures; put file names into metadata.csv",
        )

    @cached_property
    def class_names(self) -> dict[str, tuple[str, ...]]:
        """Return column → names of its classes, as Hugging Face datasets keep them."""
        kept = (self._schema.metadata or {}).get(b"huggingface", b"{}")
        try:
            features = json.loads(kept)["info"]["features"]
            return {
                name: tuple(map(str, names))
                for name, feature in features.items()
                if (names := _names_of(feature)) is not None
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def values(self, column: str) -> list[Any]:
        """Return all values of a column.

        Raises:
            DataError: If they cannot be read.
        """
        with self._reading():
            values: list[Any] = self._file.read(columns=[column]).column(0).to_pylist()
            if len(values) != self._file.metadata.num_rows:
                raise ValueError(f"its column {column} has {len(values):,} rows")
        return values

    def picture(self, row: int) -> bytes | None:
        """Return the bytes of the picture of a row, or None where it has none.

        Raises:
            DataError: If they cannot be read.
        """
        with self._lock, self._reading():
            group = bisect_right(self._starts, row) - 1
            value = self._group(group)[row - self._starts[group]].as_py()
        if isinstance(value, dict):
            value = value.get("bytes")
        return value if isinstance(value, bytes) else None

    @cached_property
    def _starts(self) -> Sequence[int]:
        meta = self._file.metadata
        sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
        return [0, *accumulate(sizes)][:-1]

    def _group(self, group: int) -> Any:
        """Return the pictures of a group of rows."""
        if group in self._groups:
            self._groups.move_to_end(group)
            return self._groups[group]
        size = self._file.metadata.row_group(group).total_byte_size
        if size > _MAX_GROUP_BYTES:
            raise DataError(
                f"{self.path} has a row group of {size:,} bytes. Expected at most "
                f"{_MAX_GROUP_BYTES:,}.",
                hint="write it again with row_group_size=500",
            )
        while len(self._groups) >= _GROUPS:
            self._groups.popitem(last=False)
        name = self.picture_column
        part = f"{name}.bytes" if self._is_struct(self._schema.field(name)) else name
        self._groups[group] = self._file.read_row_group(group, columns=[part]).column(0)
        return self._groups[group]

    @staticmethod
    def _is_struct(field: Any) -> bool:
        kind = field.type
        if not str(kind).startswith("struct<"):
            return False
        return any(inner.name == "bytes" and _is_bytes(inner) for inner in kind)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the file in errors of pyarrow, whose classes share no base but that of Python."""
        try:
            yield
        except DataError:
            raise
        except (ValueError, TypeError, LookupError, OSError, RuntimeError, MemoryError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(
                f"{self.path} cannot be read as Parquet: {reason.rstrip('.')}.",
                hint="copy or download it again",
            ) from error


def _is_bytes(field: Any) -> bool:
    return str(field.type) in _BINARY


def _names_of(feature: Any) -> list[Any] | None:
    """Return the names of a `ClassLabel`, also of one in a list."""
    while isinstance(feature, dict) and "feature" in feature:
        feature = feature["feature"]
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    names = feature.get("names") if isinstance(feature, dict) else None
    return names if isinstance(names, list) else None
