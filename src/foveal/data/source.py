"""A sample, and the abstract source of samples."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, TypeAlias, final

from foveal.data.decode import DEFAULT_LIMITS, DecodeLimits
from foveal.data.file_facts import FileFacts
from foveal.errors import DataError
from foveal.render import encode_png
from foveal.types import Finding, Mask, Picture, Raster, RawTarget, SplitName

DIGEST_BYTES = 16

TargetKind: TypeAlias = Literal["labels", "text", "mask"]
"""What a sample's raw target is: class names, one text that is neither split nor trimmed, or the
names of the classes that occur in its mask."""


class SourceOptions(Protocol):
    """Options of readers: part of the recipe's data section, and requirements of the task."""

    @property
    def layout(self) -> str:
        """Name of a reader, or `auto`."""

    @property
    def group_regex(self) -> str | None:
        """Its first group in a sample's id names the sample's group."""

    @property
    def label_regex(self) -> str | None:
        """Its group `text`, or else its first, in a file's name is the label of the picture."""

    @property
    def label_column(self) -> str | None:
        """Name of the column of a table that holds the labels; None finds it."""

    @property
    def target(self) -> TargetKind:
        """Kind of label."""

    @property
    def limits(self) -> DecodeLimits:
        """Limits on mask files that are decoded as a whole."""

    @property
    def objects(self) -> bool:
        """Whether each value of a mask, and each outline, is an object to be kept apart."""


@final
@dataclass(frozen=True, slots=True)
class ReadAnything:
    """Default options, with which everything is detected."""

    layout: str = "auto"
    group_regex: str | None = None
    label_regex: str | None = None
    label_column: str | None = None
    target: TargetKind = "labels"
    limits: DecodeLimits = DEFAULT_LIMITS
    objects: bool = False


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """A picture and its annotations.

    Attributes:
        id: Unique in its source; for files the name relative to the source, with /.
        raw: The target as found, or None when the sample has no label.
        split: The side that the source states, or None.
        group: Samples of one group stay on one side; None for no group.
        weight: Weight of the sample in training; >= 0.
    """

    id: str
    raw: RawTarget | None
    split: SplitName | None = None
    group: str | None = None
    weight: float = 1.0


@final
@dataclass(frozen=True, slots=True)
class Loaded:
    """A decoded sample.

    Attributes:
        picture: Upright RGB.
        content: The file's bytes, or those of the array.
        facts: Properties of the file other than the picture; None if there is no file.
    """

    picture: Picture
    content: bytes | memoryview = field(repr=False)
    facts: FileFacts | None = None

    @property
    def digest(self) -> bytes:
        """Return 16 bytes by which equal contents are found."""
        return digest_of(self.content)


@final
@dataclass(frozen=True, slots=True)
class Opened:
    """A sample that is read in parts.

    Attributes:
        raster: Upright RGB, at full scale.
        digest: 16 bytes, of the file's bytes or of the array.
    """

    raster: Raster
    digest: bytes


@dataclass(frozen=True)
class Source(ABC):
    """Samples, and how to load them. Thread-safe.

    Attributes:
        location: As the user gave it.
        layout: Layout of the data, in words.
        samples: In a fixed order.
        findings: Findings of the reader about skipped or faulty files.
    """

    holds_lock: ClassVar[bool] = False
    """Whether `load` works in Python: then threads gain nothing, and processes are used."""

    location: str
    layout: str
    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...]

    @abstractmethod
    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Read and decode a sample; see `foveal.data.decode.decode`.

        Raises:
            ImageError: If it cannot be read or decoded.
        """

    def expecting(
        self, samples: Iterable[Sample], limits: DecodeLimits
    ) -> AbstractContextManager[None]:
        """Prefetch samples within the block, in the order in which they will be requested."""
        return nullcontext()

    def open(self, sample: Sample, limits: DecodeLimits) -> Opened:
        """Open a sample for reading in parts; what cannot be read in parts is decoded whole.

        Raises:
            ImageError: If it cannot be read or decoded.
        """
        loaded = self.load(sample, limits)
        return Opened(loaded.picture, loaded.digest)

    def encoded(self, sample: Sample, limits: DecodeLimits) -> bytes:
        """Return the file of a sample; of a source that has none, a PNG of the picture.

        Raises:
            ImageError: If it cannot be read.
        """
        return encode_png(self.load(sample, limits).picture.pixels)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names that the masks' values are positions in; empty without masks."""
        return ()

    def mask(self, sample: Sample) -> Mask:
        """Read the mask of a sample, upright, of the size of its picture.

        Values are positions in `classes`, or `IGNORED`.

        Raises:
            ImageError: If it is missing, cannot be decoded or holds an unknown value.
            DataError: If the source has no masks.
        """
        raise self.no_masks()

    def no_masks(self) -> DataError:
        """Return the error for a source without masks."""
        return DataError(
            f"There are no masks in {self.location}. Found: {self.layout}.",
            hint="put masks of the same names into masks/ next to images/",
        )


def digest_of(data: bytes | memoryview) -> bytes:
    """Return a 16-byte digest of a file's content."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
