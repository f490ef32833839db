"""Headers of pictures: format, size, orientation and cost, or an ImageError."""

from __future__ import annotations

from collections.abc import Iterator

from foveal.data.bounds import check_cost, essential
from foveal.data.decode import DecodeLimits
from foveal.data.headers import read_header
from foveal.errors import ImageError
from small_pictures import small_pictures

MAX_BYTES = 6_000
_LIMITS = DecodeLimits(max_bytes=MAX_BYTES, max_pixels=100_000)


def test_one(data: bytes) -> None:
    """Read a header, and what is told of the cost without decoding."""
    try:
        header = read_header(data)
        check_cost(data, header, _LIMITS)
        essential(data, header)
    except ImageError:
        return
    if header.orientation not in range(1, 9) or header.height * header.width > 100_000:
        raise AssertionError(header)


def seeds() -> Iterator[bytes]:
    """Give a picture of every kind."""
    return small_pictures()
