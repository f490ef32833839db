"""Read size and orientation from the boxes of an AVIF or HEIC picture, without decoding it.

ISO/IEC 23008-12 (HEIF): the `meta` box names the primary item and associates properties with it,
its size (`ispe`), what of it is shown (`clap`), how it is turned (`irot`) and mirrored (`imir`).
The latter two hold, and not an orientation in EXIF.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from foveal.errors import ImageError

# More boxes, properties or associations than any writer makes would be work for an attacker.
_MAX_BOXES = 4096
_AVIF = frozenset((b"avif", b"avis"))
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"))
# (turns by 90 degrees against the clock, mirror axis or None) → EXIF orientation.
_ORIENTATIONS = {
    (0, None): 1, (0, 0): 4, (0, 1): 2,
    (1, None): 8, (1, 0): 5, (1, 1): 7,
    (2, None): 3, (2, 0): 2, (2, 1): 4,
    (3, None): 6, (3, 0): 7, (3, 1): 5,
}  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class BoxedHeader:
    """The header of an AVIF or HEIC picture.

    Attributes:
        height: As stored and shown, before it is turned.
        width: The same.
        orientation: EXIF orientation, 1-8, that the turn and the mirror amount to.
        largest: (height, width) of the largest coded part: a tile may be larger than what is shown.
    """

    height: int
    width: int
    orientation: int
    largest: tuple[int, int]


def sniff_boxes(data: bytes) -> Literal["AVIF", "HEIC"] | None:
    """Return the format by the brands in the first box, or None if it is neither."""
    if data[4:8] != b"ftyp":
        return None
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, size, 4))]
    if not _AVIF.isdisjoint(brands):
        return "AVIF"
    return None if _HEIC.isdisjoint(brands) else "HEIC"


def read_boxes(data: bytes) -> BoxedHeader:
    """Parse the boxes of the primary picture.

    Raises:
        ImageError: If they are damaged or state no size.
        struct.error: If they are cut off.
    """
    meta = _find(data, b"meta", 0, len(data))
    if meta is None:
        raise ImageError("The picture is damaged: it has no meta box.")
    # Version and flags come before its boxes.
    begin, end = meta[0] + 4, meta[1]
    primary = _primary(data, _find(data, b"pitm", begin, end))
    outer = _find(data, b"iprp", begin, end)
    inner = _find(data, b"ipco", *outer) if outer else None
    if outer is None or inner is None:
        raise ImageError("The picture is damaged: its size is missing.")
    properties = list(_boxes(data, *inner))
    sizes = [_size(data, at) for kind, at, _ in properties if kind == b"ispe"]
    own = set(_associated(data, _find(data, b"ipma", *outer), primary))
    size, turns, mirror = None, 0, None
    for index, (kind, at, _) in enumerate(properties, 1):
        if index not in own:
            continue
        if kind == b"ispe":
            size = _size(data, at)
        elif kind == b"irot":
            turns = data[at] & 3
        elif kind == b"imir":
            mirror = data[at] & 1
    for index, (kind, at, _) in enumerate(properties, 1):
        if index in own and kind == b"clap" and size is not None:
            size = _clipped(data, at, size)
    if size is None:
        raise ImageError("The picture is damaged: its size is missing.")
    largest = max(sizes, key=lambda one: one[0] * one[1])
    return BoxedHeader(*size, _ORIENTATIONS[turns, mirror], largest)


def _boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, begin, end) of the content of each box between two places."""
    for _ in range(_MAX_BOXES):
        if begin + 8 > end:
            return
        (size,) = struct.unpack_from(">I", data, begin)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, begin + 8)
            head = 16
        stop = begin + size if size else end
        if size and size < head:
            raise ImageError("The picture is damaged: a box is smaller than its header.")
        yield data[begin + 4 : begin + 8], begin + head, min(stop, end)
        begin = stop
    raise ImageError("The picture has too many boxes.")


def _find(data: bytes, kind: bytes, begin: int, end: int) -> tuple[int, int] | None:
    return next(((at, stop) for name, at, stop in _boxes(data, begin, end) if name == kind), None)


def _primary(data: bytes, box: tuple[int, int] | None) -> int:
    if box is None:
        raise ImageError("The picture is damaged: its primary item is missing.")
    (item,) = struct.unpack_from(">H" if data[box[0]] == 0 else ">I", data, box[0] + 4)
    return int(item)


def _associated(data: bytes, box: tuple[int, int] | None, item: int) -> Iterator[int]:
    """Yield the numbers, from 1, of the properties of an item."""
    if box is None:
        return
    at = box[0]
    version, is_wide = data[at], data[at + 3] & 1
    (entries,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    for _ in range(min(entries, _MAX_BOXES)):
        (own,) = struct.unpack_from(">H" if version < 1 else ">I", data, at)
        at += 2 if version < 1 else 4
        count = data[at]
        at += 1
        for _ in range(count):
            if is_wide:
                (index,) = struct.unpack_from(">H", data, at)
                number = index & 0x7FFF
            else:
                number = data[at] & 0x7F
            at += 2 if is_wide else 1
            if own == item:
                yield int(number)


def _size(data: bytes, at: int) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, at + 4)
    return int(height), int(width)


def _clipped(data: bytes, at: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) of the clean aperture, within the whole."""
    wide, wide_of, high, high_of = struct.unpack_from(">IIII", data, at)
    if not wide_of or not high_of:
        return size
    return min(size[0], round(high / high_of)), min(size[1], round(wide / wide_of))
