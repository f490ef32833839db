"""Thousands of hostile pictures, the same ones each time: bombs, lies, cuts and damage.

    from hostile_pictures import pictures
    for hostile in pictures(10_000): hostile.name, hostile.data

Each family attacks another part: headers that lie about sizes, files cut at every place, EXIF and
TIFF directories, boxes of AVIF and HEIC, blocks without end, and random damage. All are below
3 MB, so that they can be sent to a server. The bytes depend on the versions of Pillow and tifffile,
which write the pictures that are then damaged.
"""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from PIL import Image as PILImage

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fuzz"))

from hostile_bombs import BOMBS, block, png_with

from small_pictures import saved, small_pictures, tiffs

Damage = Callable[[bytes, random.Random], bytes]

# Values at which sizes and offsets overflow, or come near to it.
_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000,
          0xFFFFFFFE, 0xFFFFFFFF, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
_MAX_CUTS = 150
# Those that decoders look at.
_TIFF_TAGS = (*range(254, 260), 262, 273, 274, 277, 278, 279, 284, 317, 320, *range(322, 326),
              330, 338, 339, 347, 700, 34665, 34853)  # fmt: skip


class Hostile(NamedTuple):
    """One picture: what it is called, and its file."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Family:
    """One kind of attack, without end.

    Attributes:
        name: First part of the pictures' names.
        share: Of a corpus, in relation to the others.
        make: Gives the picture of a number.
    """

    name: str
    share: int
    make: Callable[[int], bytes]


def pictures(count: int = 10_000, seed: int = 0, *, bombs: bool = True) -> Iterator[Hostile]:
    """Yield hostile pictures: every bomb first, then of each family in turns.

    Args:
        count: How many.
        seed: Chooses the damage; bombs are always the same.
        bombs: Whether to begin with them: making them all takes seconds.
    """
    made = 0
    for name, make in BOMBS.items() if bombs else ():
        if made >= count:
            return
        yield Hostile(f"bomb/{name}", make())
        made += 1
    families = _families(seed)
    turns = cycle([family for family in families for _ in range(family.share)])
    numbers = {family.name: 0 for family in families}
    for family in turns:
        if made >= count:
            return
        number = numbers[family.name]
        numbers[family.name] += 1
        yield Hostile(f"{family.name}/{number}", family.make(number))
        made += 1


def _families(seed: int) -> list[Family]:
    good = list(small_pictures())
    slides = list(tiffs())
    boxed = [data for data in good if data[4:8] == b"ftyp"]

    def damaged(
        of: Sequence[bytes], damages: Sequence[Damage], salt: int
    ) -> Callable[[int], bytes]:
        def make(number: int) -> bytes:
            rng = random.Random(f"{seed}/{salt}/{number}")  # noqa: S311 - to be repeated
            return damages[number % len(damages)](of[number // len(damages) % len(of)], rng)

        return make

    def cut(number: int) -> bytes:
        data = good[number % len(good)]
        step = max(1, len(data) // _MAX_CUTS)
        # Each byte of the header, then places all over the file.
        places = [*range(64), *range(64, len(data), step)]
        return data[: places[number // len(good) % len(places)]]

    def spliced(number: int) -> bytes:
        rng = random.Random(f"{seed}/splice/{number}")  # noqa: S311
        one, other = rng.choice(good), rng.choice(good)
        return one[: rng.randrange(len(one))] + other[rng.randrange(len(other)) :]

    def garbage(number: int) -> bytes:
        rng = random.Random(f"{seed}/garbage/{number}")  # noqa: S311
        return good[number % len(good)][: rng.choice((0, 4, 12, 32))] + rng.randbytes(
            rng.randrange(600)
        )

    return [
        Family("cut", 4, cut),
        Family("damage", 6, damaged(good, DAMAGES, 1)),
        Family("heavy damage", 3, damaged(good, [_many(d) for d in DAMAGES], 2)),
        Family("TIFF directory", 4, damaged(slides, [_tiff_entry, _tiff_entries, _tiff_far], 3)),
        Family("boxes", 3, damaged(boxed, [_box_size, _box_content, _box_repeated], 4)),
        Family("EXIF", 3, lambda number: _with_exif(good, seed, number)),
        Family("header", 2, damaged(good, [_header_edge], 5)),
        Family("splice", 1, spliced),
        Family("garbage", 1, garbage),
    ]


def _flip(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _set_byte(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))]) + data[at + 1 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randint(1, 40)) + data[at:]


def _delete(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 40) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at : at + rng.randint(1, 80)] * rng.randint(2, 50) + data[at:]


def _edge(data: bytes, rng: random.Random) -> bytes:
    """Put a number of 2, 4 or 8 bytes, at which something overflows, anywhere."""
    return _put(data, rng.randrange(len(data)), rng)


def _header_edge(data: bytes, rng: random.Random) -> bytes:
    return _put(data, rng.randrange(min(64, len(data))), rng)


def _put(data: bytes, at: int, rng: random.Random) -> bytes:
    size = rng.choice((2, 4, 8))
    value = rng.choice(_EDGES) % (1 << 8 * size)
    return data[:at] + value.to_bytes(size, rng.choice(("big", "little"))) + data[at + size :]


def _many(damage: Damage) -> Damage:
    def damaged(data: bytes, rng: random.Random) -> bytes:
        for _ in range(rng.randint(2, 30)):
            data = damage(data, rng) or data
        return data[:100_000]

    return damaged


DAMAGES: tuple[Damage, ...] = (_flip, _set_byte, _insert, _delete, _repeat, _edge)
"""What may happen to bytes of any kind."""


def _directory(data: bytes) -> tuple[str, int, int, int]:
    """Return byte order, place of the first entry, how many there are, and the bytes of each."""
    order = "<" if data[:2] == b"II" else ">"
    if 43 in data[2:4]:
        (start,) = struct.unpack_from(order + "Q", data, 8)
        return order, start + 8, struct.unpack_from(order + "Q", data, start)[0], 20
    (start,) = struct.unpack_from(order + "I", data, 4)
    return order, start + 2, struct.unpack_from(order + "H", data, start)[0], 12


def _tiff_entry(data: bytes, rng: random.Random) -> bytes:
    """Change tag, type, count or value of an entry."""
    order, first, count, size = _directory(data)
    at = first + size * rng.randrange(count)
    wide = "Q" if size == 20 else "I"
    tag, kind, length, value = struct.unpack_from(f"{order}HH{wide}{wide}", data, at)
    most = 1 << (64 if size == 20 else 32)
    match rng.randrange(4):
        case 0:
            tag = rng.choice(_TIFF_TAGS)
        case 1:
            kind = rng.choice((0, *range(1, 19), 255, 65535))
        case 2:
            length = rng.choice((*_EDGES, len(data), len(data) // 2)) % most
        case _:
            value = (
                rng.choice((*_EDGES, 3, 5, 6, 7, 8, 32773, 33003, 34712, 50000, 50001, at)) % most
            )
    entry = struct.pack(f"{order}HH{wide}{wide}", tag, kind, length, value)
    return data[:at] + entry + data[at + size :]


def _tiff_entries(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(2, 6)):
        data = _tiff_entry(data, rng)
    return data


def _tiff_far(data: bytes, rng: random.Random) -> bytes:
    """Let the directory begin elsewhere, or again and again at itself."""
    at, size = (8, 8) if 43 in data[2:4] else (4, 4)
    place = rng.choice((*_EDGES, 4, 8, len(data), len(data) - 2, rng.randrange(len(data))))
    order = "little" if data[:2] == b"II" else "big"
    return data[:at] + (place % (1 << 8 * size)).to_bytes(size, order) + data[at + size :]


def _boxes(data: bytes, begin: int, end: int) -> Iterator[int]:
    """Yield where boxes begin, also those inside of others."""
    while begin + 8 <= end:
        yield begin
        size = struct.unpack_from(">I", data, begin)[0]
        inside = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"iinf": 14, b"moov": 8, b"trak": 8}
        if head := inside.get(data[begin + 4 : begin + 8]):
            yield from _boxes(data, begin + head, min(end, begin + size))
        if size < 8:
            return
        begin += size


def _box_size(data: bytes, rng: random.Random) -> bytes:
    at = rng.choice(list(_boxes(data, 0, len(data))))
    size = rng.choice((*_EDGES, 7, 8, 9, len(data), len(data) - at)) & 0xFFFFFFFF
    return data[:at] + struct.pack(">I", size) + data[at + 4 :]


def _box_content(data: bytes, rng: random.Random) -> bytes:
    """Put a number into the first bytes of a box, where versions, counts and sizes are."""
    at = rng.choice(list(_boxes(data, 0, len(data)))) + 8 + rng.randrange(24)
    return _put(data, min(at, len(data) - 1), rng)


def _box_repeated(data: bytes, rng: random.Random) -> bytes:
    at = rng.choice(list(_boxes(data, 0, len(data))))
    size = max(8, struct.unpack_from(">I", data, at)[0])
    return data[:at] + data[at : at + size] * rng.choice((2, 3, 100)) + data[at + size :]


def _with_exif(good: Sequence[bytes], seed: int, number: int) -> bytes:
    rng = random.Random(f"{seed}/exif/{number}")  # noqa: S311
    order = rng.choice("<>")
    count = rng.choice((0, 1, 3, 40, 65535))
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(
        order + "I", rng.choice((8, 0, 4, *_EDGES)) & 0xFFFFFFFF
    )
    body += struct.pack(order + "H", count)
    for _ in range(min(count, 40)):
        tag = rng.choice((0x0112, 0x8769, 0x8825, 0xA005, 0x927C, rng.randrange(65536)))
        kind, length = rng.randrange(14), rng.choice((0, 1, 2, 65535, 0xFFFFFFFF))
        value = rng.choice((0, 1, 6, 8, 9, 26, rng.randrange(1 << 32)))
        body += struct.pack(order + "HHII", tag, kind, length, value)
    exif = b"Exif\0\0" + body + rng.randbytes(rng.randrange(60))
    image = PILImage.new("RGB", (9, 7), (200, 30, 30))
    kind = ("JPEG", "PNG", "WEBP")[number % 3]
    if kind == "JPEG":
        data = saved(image, "JPEG")
        return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + data[2:]
    if kind == "PNG":
        return png_with(saved(image, "PNG"), block(b"eXIf", exif[6:]))
    data = saved(image, "WEBP", exif=b"Exif\0\0" + bytes(len(exif) - 6))
    return data.replace(bytes(len(exif) - 6), exif[6:])
