"""Records of answers in numbered files, each written atomically.

A folder of shards belongs to one model and one list of pictures, which its manifest names. A shard
that is there is finished: whoever is asked for it again finds it, and nothing is answered twice.
"""

from __future__ import annotations

import io
import json
import os
import socket
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, final

from foveal.atomic import TEMPORARY
from foveal.curation.lines import line_of
from foveal.destination import writing
from foveal.errors import DataError, UsageError, unknown_name
from foveal.extras import import_extra
from foveal.remote import Remote, open_url
from foveal.types import JsonObject
from foveal.urls import is_url, local_path, shown

MANIFEST = "manifest.json"
# Hidden, as what is not whole is.
_ATTEMPTS = f"{TEMPORARY}attempts-"


@final
@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a folder of shards.

    Attributes:
        model: Name of the model.
        version: Its version.
        pictures: How many are answered.
        listing: SHA-256 of their names, in order.
        together: Pictures of one shard; the last may have fewer.
        format: A key of `FORMATS`.
        settings: What else the answers depend on: the engine, and the limits of decoding.
    """

    model: str
    version: str
    pictures: int
    listing: str
    together: int
    format: str
    settings: JsonObject

    @property
    def shards(self) -> int:
        """Return how many shards there are."""
        return -(-self.pictures // self.together)

    def size(self, number: int) -> int:
        """Return the number of pictures of a shard."""
        return min(self.together, self.pictures - number * self.together)


class Format(ABC):
    """The file format of records."""

    suffix: ClassVar[str]

    @abstractmethod
    def write(self, records: Sequence[JsonObject], texts: Sequence[str | None]) -> bytes:
        """Return the content of a file.

        Args:
            records: The answers as JSON.
            texts: What the answers say, in words; None for errors.
        """

    @abstractmethod
    def read(self, content: bytes) -> list[JsonObject]:
        """Return what `write` was given."""


@final
class JsonLines(Format):
    """A line of JSON for each record."""

    suffix: ClassVar[str] = "jsonl"

    def write(self, records: Sequence[JsonObject], texts: Sequence[str | None]) -> bytes:
        """Return the lines."""
        return b"".join(map(line_of, records))

    def read(self, content: bytes) -> list[JsonObject]:
        """Return the records."""
        return [json.loads(line) for line in content.splitlines()]


@final
class Parquet(Format):
    """A row for each record: what all tasks have in columns, and all of it as JSON."""

    suffix: ClassVar[str] = "parquet"

    def write(self, records: Sequence[JsonObject], texts: Sequence[str | None]) -> bytes:
        """Return a file of the same columns for every task."""
        arrow = import_extra("pyarrow", "parquet", "Writing Parquet needs pyarrow")
        parquet = import_extra("pyarrow.parquet", "parquet", "Writing Parquet needs pyarrow")
        columns = {
            "source": arrow.string(),
            "answer": arrow.string(),
            "confidence": arrow.float64(),
            "unsure": arrow.bool_(),
            "model": arrow.string(),
            "version": arrow.string(),
        }
        values = {name: [record.get(name) for record in records] for name in columns}
        # Parquet holds Unicode alone; the record has the name as it is, escaped.
        sources = [str(record["source"]) for record in records]
        values["answer"] = list(texts)
        values["source"] = [source.encode(errors="replace").decode() for source in sources]
        errors = [record.get("error") for record in records]
        values["error"] = [None if error is None else error["message"] for error in errors]
        values["record"] = [json.dumps(record, allow_nan=False) for record in records]
        text = {"error": arrow.string(), "record": arrow.string()}
        table = arrow.table(values, schema=arrow.schema({**columns, **text}))
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression="zstd")
        return buffer.getvalue()

    def read(self, content: bytes) -> list[JsonObject]:
        """Return the records."""
        parquet = import_extra("pyarrow.parquet", "parquet", "Reading Parquet needs pyarrow")
        table = parquet.read_table(io.BytesIO(content), columns=["record"])
        return [json.loads(record) for record in table.column(0).to_pylist()]


FORMATS: dict[str, Format] = {form.suffix: form for form in (JsonLines(), Parquet())}


def format_of(name: str | None, out: str) -> str:
    """Return the form of the files: that which is named, or else by the ending of the folder.

    Raises:
        UsageError: If there is no such form.
    """
    if name is None:
        ending = out.rstrip("/").rpartition(".")[2]
        return ending if ending in FORMATS else JsonLines.suffix
    if name not in FORMATS:
        raise UsageError(unknown_name("format", name, FORMATS), hint="use --format jsonl")
    return name


@final
class ShardFolder:
    """A folder of shards, local or at a URL. Several processes may write to it.

    Args:
        location: Path or URL, which need not be there yet.

    Raises:
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        UsageError: If the protocol of the URL is unknown.
    """

    def __init__(self, location: str) -> None:
        # What is behind no URL is named in full, for processes that are elsewhere.
        self.location = location if is_url(location) else str(local_path(location).absolute())
        self._remote: Remote | None = open_url(location) if is_url(location) else None
        self._folder = Path(self.location)

    @property
    def shown(self) -> str:
        """Return the location as it may be printed."""
        return shown(self.location)

    def begin(self, manifest: Manifest) -> None:
        """Write the manifest, or find that the folder was begun with the same one.

        Raises:
            UsageError: If the folder has shards of something else, or cannot be written to.
            DataError: If its manifest cannot be read.
        """
        there = self._read(MANIFEST)
        if there is None:
            self._write(MANIFEST, json.dumps(asdict(manifest), indent=1).encode() + b"\n")
            return
        found = self._parsed(there)
        if found != manifest:
            raise UsageError(
                f"{self.shown} already contains answers of {_difference(found, manifest)}.",
                hint="choose another --out, or remove the folder",
            )

    def manifest(self) -> Manifest:
        """Return what the folder was begun with.

        Raises:
            DataError: If there is nothing, or it cannot be read.
        """
        there = self._read(MANIFEST)
        if there is None:
            raise DataError(f"There are no answers in {self.shown}: {MANIFEST} is missing.")
        return self._parsed(there)

    def check_seen(self, manifest: Manifest) -> None:
        """Find that this machine sees the folder that was begun on another.

        Raises:
            UsageError: If it does not.
        """
        there = self._read(MANIFEST)
        if there is None or json.loads(there) != asdict(manifest):
            raise UsageError(
                f"The folder {self.shown} does not exist on {socket.gethostname()}, or is another "
                "one there.",
                hint="choose an --out that all machines of the cluster share, such as a URL",
            )

    def name(self, number: int, manifest: Manifest) -> str:
        """Return the name of a shard."""
        return f"part-{number:06}.{FORMATS[manifest.format].suffix}"

    def read(self, number: int, manifest: Manifest) -> list[JsonObject] | None:
        """Return the records of a shard, or None where it is not finished.

        Raises:
            DataError: If the file is not what this wrote.
        """
        name = self.name(number, manifest)
        content = self._read(name)
        if content is None:
            return None
        try:
            records = FORMATS[manifest.format].read(content)
        # Errors of pyarrow derive from these.
        except (ValueError, OSError, LookupError) as error:
            raise DataError(f"{self.shown}/{name} is damaged: {error}.") from error
        if len(records) != manifest.size(number):
            raise DataError(
                f"{self.shown}/{name} has {len(records)} answers. "
                f"Expected {manifest.size(number)}.",
                hint=f"remove {self.shown}/{name} and start again",
            )
        return records

    def attempt(self, number: int) -> int:
        """Note that a shard is begun, and return how often it was begun before and not finished."""
        name = f"{_ATTEMPTS}{number:06}"
        before = int(self._read(name) or 0)
        self._write(name, str(before + 1).encode())
        return before

    def write(
        self,
        number: int,
        manifest: Manifest,
        records: Sequence[JsonObject],
        texts: Sequence[str | None],
    ) -> None:
        """Write a shard, whole or not at all; see `Format.write`.

        Raises:
            UsageError: If the folder cannot be written to.
        """
        self._write(self.name(number, manifest), FORMATS[manifest.format].write(records, texts))
        self._remove(f"{_ATTEMPTS}{number:06}")

    def records(self, manifest: Manifest) -> Iterator[JsonObject]:
        """Yield the records of all shards, in the order of the pictures.

        Raises:
            DataError: If one is missing or damaged.
        """
        for number in range(manifest.shards):
            found = self.read(number, manifest)
            if found is None:
                raise DataError(f"{self.shown}/{self.name(number, manifest)} is missing.")
            yield from found

    def counts(self, manifest: Manifest) -> tuple[int, int] | None:
        """Return (answered or unreadable pictures, unreadable ones), or None if a shard is missing.

        Raises:
            DataError: If a shard is damaged.
        """
        unread = 0
        # The last first: of a job that was interrupted it is missing, and no other need be read.
        for number in reversed(range(manifest.shards)):
            found = self.read(number, manifest)
            if found is None:
                return None
            unread += unread_in(found)
        return manifest.pictures, unread

    def clear(self) -> None:
        """Remove what killed processes left half-written."""
        if self._remote is None:
            for left in self._folder.glob(f"{TEMPORARY}*"):
                left.unlink(missing_ok=True)

    def _parsed(self, content: bytes) -> Manifest:
        try:
            return Manifest(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise DataError(f"{self.shown}/{MANIFEST} is not a manifest of answers.") from error

    def _read(self, name: str) -> bytes | None:
        try:
            if self._remote is None:
                return (self._folder / name).read_bytes()
            return self._remote.read(name)
        except FileNotFoundError:
            return None

    def _remove(self, name: str) -> None:
        if self._remote is None:
            (self._folder / name).unlink(missing_ok=True)
        else:
            self._remote.delete(name)

    def _write(self, name: str, content: bytes) -> None:
        if self._remote is not None:
            # Object stores show an object once it is whole.
            self._remote.write(content, name)
            return
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            # A name of its own: one who is thought dead may still be writing the same shard.
            with tempfile.NamedTemporaryFile(
                dir=self._folder, prefix=TEMPORARY, delete=False
            ) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(self._folder / name)


def unread_in(records: Sequence[JsonObject]) -> int:
    """Return how many records are of pictures that could not be read."""
    return sum("error" in record for record in records)


def _difference(found: Manifest, wanted: Manifest) -> str:
    """Return in words what is in a folder, where that differs from what is wanted."""
    if (found.model, found.version) != (wanted.model, wanted.version):
        return f"another model: {found.model} {found.version}"
    if (found.pictures, found.listing) != (wanted.pictures, wanted.listing):
        return f"other pictures ({found.pictures} then, {wanted.pictures} now)"
    if found.settings != wanted.settings:
        return f"other settings: {found.settings}"
    return f"another format: {found.format}, {found.together} per file"
