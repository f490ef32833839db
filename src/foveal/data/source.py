"""A source: samples with their labels, wherever they come from, and how to load one."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, final

from foveal.data.decode import DecodeLimits
from foveal.errors import DataError, nearest
from foveal.types import Finding, Picture, RawTarget, SplitName

DIGEST_BYTES = 16


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a source.

    Attributes:
        id: Path relative to the source's location, or `array:<position>`.
        raw: The target as the reader found it, or None when unlabelled.
        split: The side that the source itself names, or None.
        group: Samples of one group stay on one side, or None.
        weight: How much the sample counts in the loss; >= 0.
    """

    id: str
    raw: RawTarget | None
    split: SplitName | None = None
    group: str | None = None
    weight: float = 1.0


@final
@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded sample.

    Attributes:
        picture: Decoded.
        digest: 16 bytes, the same for equal file contents.
    """

    picture: Picture
    digest: bytes


class SourceOptions(Protocol):
    """What readers need of the recipe's data section."""

    @property
    def layout(self) -> str:
        """Return `auto`, `folders`, `table` or `arrays`."""

    @property
    def group_regex(self) -> str | None:
        """Return the pattern whose first group, in a sample's id, names its group."""


@dataclass(frozen=True)
class Source(ABC):
    """Samples and how to load them.

    Attributes:
        location: Where the data is, as the user gave it.
        layout: What was found there, in words for people.
        samples: In a stable order.
        findings: What the reader has to say.
    """

    location: str
    layout: str
    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...]

    @abstractmethod
    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Read and decode a sample.

        Args:
            sample: One of `samples`.
            limits: Of the file and the picture.
            min_size: (height, width) that the caller will shrink it to; see `decode`.

        Raises:
            ImageError: When it cannot be read or decoded.
        """


def digest(data: bytes | memoryview) -> bytes:
    """Return the 16-byte digest of a file's content."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def missing_path(path: Path) -> DataError:
    """Return the error for a path that does not exist, with the nearest name that does."""
    parent = path.parent
    names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
    near = nearest(path.name, names)
    hint = f"did you mean {parent / near}?" if near else None
    return DataError(f"There is no file or folder {path}.", hint=hint, code="data_missing")


def with_groups(samples: Sequence[Sample], pattern: str | None) -> tuple[Sample, ...]:
    """Return the samples with their groups read from their ids.

    Raises:
        DataError: For a pattern that is no regular expression, has no group, or matches nothing.
    """
    if pattern is None:
        return tuple(samples)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"Invalid data.group_regex {pattern!r}: {error}.") from error
    if compiled.groups < 1:
        raise DataError(
            f"Invalid data.group_regex {pattern!r}. Expected a pattern with a group.",
            hint="--set 'data.group_regex=([^_/]+)_'",
        )
    found = [
        replace(sample, group=match.group(1)) if (match := compiled.search(sample.id)) else sample
        for sample in samples
    ]
    if all(sample.group is None for sample in found):
        raise DataError(f"data.group_regex {pattern!r} matches no sample id such as "
                        f"{samples[0].id!r}.")
    return tuple(found)
