"""The scan: fingerprints and measures of all pictures of a source."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.file_facts import FileFacts
from foveal.data.hashing import SMALL, THUMB, Fingerprint
from foveal.data.measures import MEASURES, Measures
from foveal.data.source import DIGEST_BYTES

_ARRAYS = ("ok", "digest", "phash", "spread", "balance", "sizes", "measures", "files", "words")
_ARRAYS_NAME, _THUMBS_NAME, _ERRORS_NAME = "scan.npz", "thumbs.npy", "errors.json"
_SMALL_NAME, _WORDS_NAME = "small.npy", "words.json"
_MOST_NAMES = 1000


@final
@dataclass(frozen=True)
class Scan:
    """One row for each sample of a source. Rows of unreadable samples are zero.

    Attributes:
        ok: (N,) bool, whether the picture could be decoded.
        digest: (N, 16) uint8, of the file's content.
        phash: (N,) uint64, see `foveal.data.hashing.Fingerprint`, as the next three.
        spread: (N,) float32.
        balance: (N,) float32.
        thumb: (N, 16, 16) uint8; in a file, because few rows are ever looked at.
        small: (N, 32, 32) uint8; in a file too.
        sizes: (N, 2) int32, upright height and width of the originals, in pixels.
        measures: (N, len(MEASURES)) float32, see `foveal.data.measures`; NaN where not taken.
        files: (N, 2) float32, bytes of each file and its JPEG quality, see
            `foveal.data.file_facts.FileFacts`; NaN without a file.
        words: (N, 2) int32, positions of each file's format and maker in `names`.
        names: Words that `words` refers to; the first is empty.
        errors: Position → (code, message) of the unreadable samples.
    """

    ok: NDArray[np.bool_]
    digest: NDArray[np.uint8]
    phash: NDArray[np.uint64]
    spread: NDArray[np.float32]
    balance: NDArray[np.float32]
    thumb: NDArray[np.uint8]
    small: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    measures: NDArray[np.float32]
    files: NDArray[np.float32]
    words: NDArray[np.int32]
    names: list[str]
    errors: dict[int, tuple[str, str]]

    @classmethod
    def empty(cls, count: int, directory: Path | None = None) -> Self:
        """Return a scan of `count` samples to be filled by `put`.

        Args:
            count: Number of samples.
            directory: Where the thumbnails are kept; None keeps them in memory.
        """
        return cls(
            ok=np.zeros(count, np.bool_),
            digest=np.zeros((count, DIGEST_BYTES), np.uint8),
            phash=np.zeros(count, np.uint64),
            spread=np.zeros(count, np.float32),
            balance=np.zeros(count, np.float32),
            thumb=_empty(count, THUMB, directory and directory / _THUMBS_NAME),
            small=_empty(count, SMALL, directory and directory / _SMALL_NAME),
            sizes=np.zeros((count, 2), np.int32),
            measures=np.full((count, len(MEASURES)), np.nan, np.float32),
            files=np.full((count, 2), np.nan, np.float32),
            words=np.zeros((count, 2), np.int32),
            names=[""],
            errors={},
        )

    def measure(self, name: str) -> NDArray[np.float32]:
        """Return (N,) a column of `measures` by its name."""
        return self.measures[:, MEASURES.index(name)]

    def put(
        self,
        index: int,
        digest: bytes | None,
        size: tuple[int, int],
        look: Fingerprint | None,
        measures: Measures | None = None,
        facts: FileFacts | None = None,
    ) -> None:
        """Fill the row of a picture that was decoded; what was not looked for stays zero."""
        self.ok[index] = True
        if digest is not None:
            self.digest[index] = np.frombuffer(digest, np.uint8)
        if look is not None:
            self.phash[index] = look.phash
            self.spread[index] = look.spread
            self.balance[index] = look.balance
            self.thumb[index] = look.thumb
            self.small[index] = look.small
        self.sizes[index] = size
        if measures is not None:
            self.measures[index] = measures
        if facts is not None:
            self.files[index] = facts.size_bytes, facts.quality
            self.words[index] = self._word(facts.format), self._word(facts.maker)

    def _word(self, name: str) -> int:
        # A set has few formats and cameras; more names than this would say nothing either.
        if name not in self.names:
            if len(self.names) >= _MOST_NAMES:
                return 0
            self.names.append(name)
        return self.names.index(name)

    def save(self, directory: Path) -> None:
        """Write the scan into the directory that `empty` was given."""
        np.savez(directory / _ARRAYS_NAME, **{name: getattr(self, name) for name in _ARRAYS})
        for name, values in ((_THUMBS_NAME, self.thumb), (_SMALL_NAME, self.small)):
            if isinstance(values, np.memmap):
                values.flush()
            else:
                np.save(directory / name, values)
        errors = {str(index): list(error) for index, error in self.errors.items()}
        (directory / _ERRORS_NAME).write_text(json.dumps(errors), encoding="utf-8")
        (directory / _WORDS_NAME).write_text(json.dumps(self.names), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what `save` wrote; the thumbnails stay in their file."""
        with np.load(directory / _ARRAYS_NAME, allow_pickle=False) as arrays:
            rows = {name: arrays[name] for name in _ARRAYS}
        errors = json.loads((directory / _ERRORS_NAME).read_text(encoding="utf-8"))
        names = json.loads((directory / _WORDS_NAME).read_text(encoding="utf-8"))
        return cls(
            **rows,
            names=names,
            thumb=_mapped(directory / _THUMBS_NAME, len(rows["ok"])),
            small=_mapped(directory / _SMALL_NAME, len(rows["ok"])),
            errors={int(index): (error[0], error[1]) for index, error in errors.items()},
        )


def _empty(count: int, side: int, path: Path | None) -> NDArray[np.uint8]:
    shape = (count, side, side)
    if path is None or not count:
        return np.zeros(shape, np.uint8)
    mapped: NDArray[np.uint8] = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=shape
    )
    return mapped


def _mapped(path: Path, count: int) -> NDArray[np.uint8]:
    # An empty file cannot be mapped.
    values: NDArray[np.uint8] = np.load(path, mmap_mode="r" if count else None, allow_pickle=False)
    return values
