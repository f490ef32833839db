"""The tiles or strips of a TIFF page, decoded on demand and kept for a while."""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.boundary import refusing
from foveal.data.headers import read_header, sniff
from foveal.data.tiff.plain import (
    PIECE_BYTES,
    Decode,
    check_claim,
    cut,
    is_plain,
    piece_rows,
    plain_decoder,
)
from foveal.errors import ImageError, ImageFormatError, ImageTooLargeError

# What cannot be read in parts must fit into memory several times: a strip that is the whole of a
# 9,400 x 9,400 RGB picture.
_MAX_SEGMENT_BYTES = 256 << 20
_SEPARATE_PLANES = 2
# Compressions whose pieces are pictures with headers: JPEG, JPEG 2000, WebP and PNG.
_STATING_SIZE = frozenset((6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 34927, 34933, 50001))
# A code stream begins so, and its size stands 8 bytes on.
_JPEG_2000 = b"\xff\x4f\xff\x51"
# What becomes a picture has 4 at most; what is more is refused with a better reason.
_MAX_SAMPLES = 64


@final
@dataclass(frozen=True, eq=False)
class Segments:
    """A page cut into segments of one size, row by row; each plane has its own.

    Attributes:
        height: As stored, in pixels.
        width: As stored, in pixels.
        samples: Values of a pixel.
        dtype: Type of a value.
        planes: 1 when the values of a pixel lie together, else `samples`.
        size: (height, width) of a segment; the last ones may be cut.
        offsets: Where each begins in the file; 0 with a count of 0 for one that was never written.
        counts: Bytes of each.
        fill: The value of what was never written.
        decode: Function that decodes a segment.
        source: The file, or its bytes.
        name: Name of the picture in errors.
        kept: Decoded segments.
    """

    height: int
    width: int
    samples: int
    dtype: np.dtype[Any]
    planes: int
    size: tuple[int, int]
    offsets: Sequence[int]
    counts: Sequence[int]
    fill: float
    decode: Decode
    source: Path | bytes
    name: str
    kept: _Kept

    def read(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Return a window, (height, width, samples), as stored.

        Raises:
            ImageError: If a segment that it touches is damaged.
        """
        pixels = np.empty((height, width, self.samples), self.dtype)
        if 0 in pixels.shape:
            return pixels
        tall, wide = self.size
        across = -(-self.width // wide)
        each = across * -(-self.height // tall)
        for plane in range(self.planes):
            into = pixels if self.planes == 1 else pixels[:, :, plane : plane + 1]
            for row in range(top // tall, (top + height - 1) // tall + 1):
                for column in range(left // wide, (left + width - 1) // wide + 1):
                    index = plane * each + row * across + column
                    self._copy(index, row * tall - top, column * wide - left, into)
        return pixels

    def _copy(self, index: int, top: int, left: int, into: NDArray[Any]) -> None:
        """Copy a segment whose corner is at `top`, `left` of the window, as far as it is inside."""
        y0, x0 = max(top, 0), max(left, 0)
        y1 = min(top + self.size[0], into.shape[0])
        x1 = min(left + self.size[1], into.shape[1])
        if self.counts[index] == 0:
            into[y0:y1, x0:x1] = self.fill
            return
        segment = self.kept.get(index, lambda: self._decoded(index))
        part = segment[y0 - top : y1 - top, x0 - left : x1 - left]
        if part.shape != (y1 - y0, x1 - x0, into.shape[2]):
            raise self._damaged(
                index, (f"it contains {segment.shape[1]} x {segment.shape[0]} pixels")
            )
        into[y0:y1, x0:x1] = part

    def _decoded(self, index: int) -> NDArray[Any]:
        data = self._bytes(self.offsets[index], self.counts[index])
        if len(data) < self.counts[index]:
            raise self._damaged(index, "the file is truncated within it")
        with refusing(f"{self.name} is damaged at {self._place(index)}"):
            pixels = self.decode(data, index)
        if pixels.dtype != self.dtype or pixels.ndim != 3:
            raise self._damaged(index, f"it contains {pixels.dtype} values of shape {pixels.shape}")
        return np.asarray(pixels)

    def _bytes(self, offset: int, count: int) -> bytes:
        if isinstance(self.source, bytes):
            return self.source[offset : offset + count]
        # Opened for each read: threads share no position, and no raster has to be closed.
        try:
            with self.source.open("rb", buffering=0) as file:
                file.seek(offset)
                return file.read(count)
        except OSError as error:
            raise ImageError(f"Cannot read {self.name}: {error.strerror or error}.") from error

    def _damaged(self, index: int, reason: str) -> ImageError:
        return ImageError(f"{self.name} is damaged at {self._place(index)}: {reason}.")

    def _place(self, index: int) -> str:
        tall, wide = self.size
        across = -(-self.width // wide)
        row, column = divmod(index % (across * -(-self.height // tall)), across)
        return f"row {row * tall}, column {column * wide}"


@final
@dataclass(eq=False)
class _Kept:
    """The segments used last, within a bound; threads that want the same one wait for it.

    Attributes:
        max_bytes: Limit on all together. The last one stays even if it is larger.
    """

    max_bytes: int
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _futures: OrderedDict[int, Future[NDArray[Any]]] = field(default_factory=OrderedDict)

    def get(self, index: int, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return a segment, made by the first who asks for it."""
        with self._lock:
            future = self._futures.get(index)
            is_first = future is None
            if future is None:
                future = self._futures[index] = Future()
            else:
                self._futures.move_to_end(index)
        if is_first:
            self._make(index, future, make)
        return future.result()

    def _make(
        self, index: int, future: Future[NDArray[Any]], make: Callable[[], NDArray[Any]]
    ) -> None:
        try:
            segment = make()
        except BaseException as error:
            with self._lock:
                del self._futures[index]
            future.set_exception(error)
            return
        with self._lock:
            future.set_result(segment)
            self._bytes += segment.nbytes
            for oldest in list(self._futures):
                if self._bytes <= self.max_bytes:
                    return
                if oldest != index and self._futures[oldest].done():
                    self._bytes -= self._futures.pop(oldest).result().nbytes


def find_segments(page: Any, source: Path | bytes, name: str, cache_bytes: int) -> Segments:
    """Return the segments of an open page of tifffile; the file may be closed afterwards.

    Args:
        page: A `tifffile.TiffPage`.
        source: The file, or its bytes.
        name: Name of the picture in errors.
        cache_bytes: Bound on the decoded segments that are kept.

    Raises:
        ImageFormatError: If its pixels are of no type that numpy has, or it is a volume.
        ImageTooLargeError: If one segment alone would fill the memory.
        ImageError: If the header contradicts itself.
    """
    height, width, samples = (int(n) for n in _shape(page, name))
    planes = samples if page.planarconfig == _SEPARATE_PLANES else 1
    tall, wide = (
        (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    )
    if tall < 1 or wide < 1:
        raise ImageError(f"{name} has an invalid tile size: {wide} x {tall} pixels.")
    row_bytes = wide * (samples // planes) * page.dtype.itemsize
    offsets, counts = list(page.dataoffsets), list(page.databytecounts)
    expected = planes * -(-height // tall) * -(-width // wide)
    if min(len(offsets), len(counts)) < expected:
        raise ImageError(
            f"{name} is damaged: it lists only {min(len(offsets), len(counts)):,} of its "
            f"{expected:,} tiles or strips."
        )
    _check_piece(name, tall if not is_plain(page) else 1, wide, row_bytes)
    decode = _decoder(page, (int(tall), int(wide)))
    if is_plain(page) and tall * row_bytes > PIECE_BYTES:
        check_claim(name, planes * height * row_bytes, source)
        rows = piece_rows(tall, max(1, PIECE_BYTES // row_bytes), is_only=tall >= height)
        offsets, counts = cut(name, offsets, height, tall, rows, row_bytes)
        decode, tall = plain_decoder(page, samples // planes), rows
    fill, kept = page.nodata, _Kept(cache_bytes)
    size = (int(tall), int(wide))
    return Segments(
        height, width, samples, page.dtype, planes, size, offsets, counts, fill, decode, source,
        name, kept,
    )  # fmt: skip


def _check_piece(name: str, tall: int, wide: int, row_bytes: int) -> None:
    if tall * row_bytes > _MAX_SEGMENT_BYTES:
        raise ImageTooLargeError(
            f"{name} is stored in pieces of {wide} x {tall} pixels, each {tall * row_bytes:,} "
            f"bytes when decoded. Expected at most {_MAX_SEGMENT_BYTES:,}.",
            hint="store it in tiles: tiffcp -t -w 512 -l 512 IN.tif OUT.tif",
        )


def _check_own_size(data: bytes, size: tuple[int, int]) -> None:
    """Refuse a compressed tile that states a size far over that of a tile: decoders trust it."""
    if data[:4] == _JPEG_2000:
        width, height = struct.unpack_from(">II", data, 8)
    elif sniff(data) in ("JPEG", "PNG", "WEBP"):
        header = read_header(data)
        height, width = header.height, header.width
    else:
        return
    # The last ones of a picture may be cut or be stored whole, and no other size is honest.
    if height > 2 * size[0] or width > 2 * size[1]:
        raise ValueError(f"its size is {width} x {height} pixels")


def _shape(page: Any, name: str) -> tuple[int, int, int]:
    if page.imagedepth > 1:
        raise ImageFormatError(
            f"{name} is a volume of {page.imagedepth} layers. Expected one picture.",
            hint="save its layers as separate pictures",
        )
    if page.dtype is None:
        raise ImageFormatError(
            f"{name} has values of {page.bitspersample} bits, format {page.sampleformat}. "
            "Expected 8- or 16-bit integers."
        )
    if page.imagelength < 1 or page.imagewidth < 1:
        raise ImageError(
            f"{name} has an invalid size: {page.imagewidth} x {page.imagelength} pixels."
        )
    if page.samplesperpixel > _MAX_SAMPLES:
        raise ImageFormatError(
            f"{name} has {page.samplesperpixel} channels. Expected at most {_MAX_SAMPLES}.",
            hint="save the channels that matter as RGB",
        )
    return page.imagelength, page.imagewidth, page.samplesperpixel


def _decoder(page: Any, size: tuple[int, int]) -> Decode:
    # Made while the file is open: it looks into the first segment.
    decode, tables, header = page.decode, page.jpegtables, page.jpegheader

    states_size = page.compression in _STATING_SIZE

    def decode_segment(data: bytes, index: int) -> Any:
        if states_size:
            _check_own_size(data, size)
        return decode(data, index, jpegtables=tables, jpegheader=header)[0][0]

    return decode_segment
