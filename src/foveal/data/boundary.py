"""Convert any exception of third-party decoders to an `ImageError`.

Decoders of damaged and hostile bytes raise anything: OverflowError at an offset of 2**63,
RecursionError, SystemError, errors of their own. Every reader of pictures and masks works inside
`refusing`, so that none of these can end the work on the pictures beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from foveal.errors import FovealError, ImageError, ImageMemoryError

# Some decoders quote the bytes that they stumbled over.
_MAX_REASON = 200


@contextmanager
def refusing(problem: str) -> Iterator[None]:
    """Convert any exception raised in the block to an `ImageError`.

    Args:
        problem: Message without a full stop, such as "The GIF picture cannot be decoded".

    Raises:
        ImageMemoryError: If the memory did not suffice.
        ImageError: For any other exception. Errors that foveal raises on purpose stay as they are.
    """
    try:
        yield
    except FovealError:
        raise
    except MemoryError as error:
        raise ImageMemoryError(
            f"{problem}: it needs more memory than is available.",
            hint="send a smaller picture, or give the process more memory",
        ) from error
    except Exception as error:
        raise ImageError(f"{problem}: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """Return the message of an exception in one short printable line."""
    if isinstance(error, OverflowError):
        # Python speaks of its own numbers, not of the file's.
        return "a number in it is too large"
    words = "".join(c if c.isprintable() else " " for c in str(error)).split()
    reason = " ".join(words).rstrip(".") or type(error).__name__
    return reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}…"
