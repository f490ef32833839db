"""Limits on the size of pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from foveal.errors import ImageTooLargeError

# The longest side of a JPEG, which every limit on pixels allows.
_LEAST_SIDE = 65_535
# A row costs its decoder some hundred bytes and nanoseconds, however short it is: 50 megapixels as
# one column took a gigabyte.
_SIDE_SHARE = 256


@final
@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits that are checked before a picture is decoded.

    Attributes:
        max_bytes: Size of the file.
        max_pixels: Height times width, as the header states them. It bounds the time and the memory
            of decoding, too; see `foveal.data.bounds`.
        hint: Hint of the error; `{}` stands for `bytes` or `pixels`.
    """

    max_bytes: int
    max_pixels: int
    hint: str | None = field(default=None, compare=False)

    def check_bytes(self, size: int) -> None:
        """Refuse a file of more than `max_bytes`.

        Raises:
            ImageTooLargeError: If it is larger.
        """
        if size > self.max_bytes:
            raise ImageTooLargeError(
                f"The picture has {size:,} bytes. Expected at most {self.max_bytes:,}.",
                hint=self.advice("bytes"),
            )

    def check_size(self, height: int, width: int) -> None:
        """Refuse a picture of more than `max_pixels`, or with a side that no camera makes.

        Raises:
            ImageTooLargeError: If it is larger.
        """
        if height * width > self.max_pixels:
            raise ImageTooLargeError(
                f"The picture has {width} x {height} pixels. "
                f"Expected at most {self.max_pixels:,} in all.",
                hint=self.advice("pixels"),
            )
        longest = max(_LEAST_SIDE, self.max_pixels // _SIDE_SHARE)
        if max(height, width) > longest:
            raise ImageTooLargeError(
                f"The picture has {width} x {height} pixels. "
                f"Expected at most {longest:,} on a side.",
                hint="split it into several pictures",
            )

    def advice(self, what: str) -> str | None:
        """Return what to do about a limit, "bytes" or "pixels"."""
        return self.hint.format(what) if self.hint else None


# 50 megapixels, 150 MB decoded; what a recipe may raise, and what old bundles say nothing about.
DEFAULT_LIMITS = DecodeLimits(max_bytes=100_000_000, max_pixels=50_000_000)
