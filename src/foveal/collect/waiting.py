"""Waiting times after failures: Retry-After, or exponential back-off."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Without a word from the host: 1, 2, 4 ... seconds, and no more than five minutes.
_FIRST_S = 1.0
_LONGEST_S = 300.0
# A number of this many digits is no time to wait.
_MAX_DIGITS = 12


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks to wait (RFC 9110, section 10.2.3).

    Args:
        value: Seconds, or a date in one of the three formats of HTTP.
        now: The time, with a zone.

    Returns:
        Seconds >= 0, or None for what is neither.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _MAX_DIGITS else None
    try:
        then = parsedate_to_datetime(text)
        # Dates of HTTP are in UTC, also where they do not say so.
        moment = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def back_off(failures: int, rng: random.Random) -> float:
    """Return how long to wait after some failures in a row, in seconds.

    It doubles each time. Half of it is left to chance, so that several do not come back at once.
    """
    longest = min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures - 1, 20))
    return longest * rng.uniform(0.5, 1.0)
