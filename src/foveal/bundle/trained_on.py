"""Hashes of the training pictures, by which they are recognised.

Two hashes for each picture: of the file's content, and of how it looks, so that copies that were
saved again are found too. What hashes give away: docs/decisions/0016-trained-on.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.container import TRAINED_ON_NAME
from foveal.data.hashing import count_bits, fingerprint, thinned
from foveal.data.near import MIN_SPREAD
from foveal.data.scan import Scan
from foveal.data.source import TargetKind
from foveal.errors import BundleError
from foveal.pipeline import Pipeline
from foveal.types import Picture, Raster, RawTarget
from foveal.windows import scaled

# 4 MB. Of more pictures, those with the lowest content hashes are kept: a random part.
_MOST = 250_000
# Bits in which the looks of copies may differ. There are no thumbnails to look closer, as there are
# for a split: of 4,388 pictures of six sets of photographs and texts, each half compared with the
# other, this finds no pair that the thumbnails tell apart; of 251 printed letters it finds 5, in
# sister fonts. How many copies it finds: benchmarks/near_copies.py.
_NEAR = 2
_RECORD = np.dtype([("content", "<u8"), ("look", "<u8")])


@final
@dataclass(frozen=True)
class TrainedOn:
    """The hashes of training pictures.

    Attributes:
        content: (N,) uint64, ascending: the first 8 bytes of each file's digest.
        look: (N,) uint64: see `look_at`, in the same order.
    """

    content: NDArray[np.uint64]
    look: NDArray[np.uint64]

    @classmethod
    def of(
        cls,
        scan: Scan,
        positions: NDArray[np.int64],
        raws: Sequence[RawTarget | None],
        target: TargetKind,
    ) -> Self:
        """Return the hashes of some samples of a scan.

        Args:
            scan: Scan of all samples.
            positions: (N,) positions of the samples trained on.
            raws: Their raw targets.
            target: How these are meant.
        """
        look = looks_of(scan, positions, raws, target)
        content = np.ascontiguousarray(scan.digest[positions][:, :8]).view("<u8").ravel()
        order = np.argsort(content, kind="stable")[:_MOST]
        return cls(content[order].astype(np.uint64), look[order])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            BundleError: If it is not that.
        """
        if len(data) % _RECORD.itemsize:
            raise BundleError(
                f"Invalid {TRAINED_ON_NAME}. Expected a multiple of {_RECORD.itemsize} bytes. "
                f"Received: {len(data)}."
            )
        records = np.frombuffer(data, _RECORD)
        return cls(records["content"].astype(np.uint64), records["look"].astype(np.uint64))

    def to_bytes(self) -> bytes:
        """Return one record of 16 bytes for each picture: content and look, little-endian."""
        records = np.empty(len(self.content), _RECORD)
        records["content"], records["look"] = self.content, self.look
        return records.tobytes()

    def with_those_of(self, other: TrainedOn) -> TrainedOn:
        """Return the hashes of both, each picture once."""
        content, first = np.unique(np.concatenate([self.content, other.content]), return_index=True)
        look = np.concatenate([self.look, other.look])[first]
        return TrainedOn(content[:_MOST], look[:_MOST])

    def recognise(self, digests: Sequence[bytes], looks: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which pictures, (M,), were trained on or are near-duplicates of such.

        Args:
            digests: (M,) of the files.
            looks: (M,) see `look_at`.
        """
        content = np.array([int.from_bytes(d[:8], "little") for d in digests], np.uint64)
        return np.isin(content, self.content) | self._looks_known(looks)

    def _looks_known(self, looks: NDArray[np.uint64]) -> NDArray[np.bool_]:
        # Hashes that differ in so few bits are equal in one band of bits more.
        found = np.zeros(len(looks), np.bool_)
        kept = np.unique(self.look[self.look != 0])
        for low, high in pairwise(np.linspace(0, 64, _NEAR + 2).astype(int).tolist()):
            band = np.uint64((1 << high) - (1 << low))
            ordered = kept[np.argsort(kept & band)]
            first = np.searchsorted(ordered & band, looks & band, "left")
            last = np.searchsorted(ordered & band, looks & band, "right")
            for i in np.flatnonzero((last > first) & (looks != 0) & ~found):
                near = count_bits(ordered[first[i] : last[i]] ^ looks[i]) <= _NEAR
                found[i] = bool(near.any())
        return found


def looks_of(
    scan: Scan,
    positions: NDArray[np.int64],
    raws: Sequence[RawTarget | None],
    target: TargetKind,
) -> NDArray[np.uint64]:
    """Return how some samples of a scan look, (M,); see `look_at`.

    Args:
        scan: Scan of all samples.
        positions: (M,) positions of the samples.
        raws: Their raw targets.
        target: How these are meant.
    """
    is_clear = scan.spread[positions] >= MIN_SPREAD
    keys = np.array([_key(raw, target) for raw in raws], np.uint64)
    return np.where(is_clear, scan.phash[positions] ^ keys, np.uint64(0))


def look_at(raster: Raster, pipeline: Pipeline, raw: RawTarget | None, target: TargetKind) -> int:
    """Return how a picture looks, in 64 bits, seen as in the scan of a training.

    Two texts in one typeface differ in little but the text: there the text is mixed in, so that
    only pictures of the same text can be copies.

    Args:
        raster: One that is read in parts is not looked at.
        pipeline: The pre-processing of the bundle.
        raw: The picture's raw target.
        target: How that is meant.

    Returns:
        0 where there is nothing to see: of a blank picture, which looks like any other.
    """
    if not isinstance(raster, Picture):
        return 0
    pixels = raster.pixels
    if pipeline.is_tiled:
        small = scaled(raster, pipeline.scale)
        pixels = thinned(small.read(0, 0, small.height, small.width))
    seen = fingerprint(pixels)
    return seen.phash ^ _key(raw, target) if seen.spread >= MIN_SPREAD else 0


def _key(raw: RawTarget | None, target: TargetKind) -> int:
    if target != "text" or not raw:
        return 0
    digest = hashlib.blake2b("|".join(raw).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
