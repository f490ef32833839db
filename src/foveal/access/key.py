"""API keys: format, stored digest, and scopes.

A key is `fvl_<id>_<secret><checksum>`: 8 characters that name it, 43 that hold 256 random bits, and
6 of a CRC-32, all from 0-9, A-Z and a-z. The prefix and the checksum let scanners of source code
find a key that was committed by mistake, almost without false alarms; the id may be shown and
logged. The form follows "Behind GitHub's new authentication token formats" (2021),
https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, final

from foveal.errors import UsageError, unknown_name

SCOPES = ("predict", "feedback", "admin", "metrics")
"""What a key may be allowed: to ask, to send corrections, to change models, to read figures."""

PREFIX = "fvl_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 8, 43, 6
_FORM = re.compile(
    rf"fvl_([0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}"
)
_ID = re.compile(rf"[0-9A-Za-z]{{{_ID_LENGTH}}}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_UNITS_S = {"s": 1, "min": 60, "h": 3600, "day": 86400}
_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|min|h|day)")
_DURATION = re.compile(r"([1-9][0-9]{0,4})(min|h|d|w|y)")
_DURATIONS = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_MOST_CONCURRENT = 10_000


@final
@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit.

    Attributes:
        count: Requests; as many may also come at once.
        unit: `s`, `min`, `h` or `day`.
    """

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rate of a text such as `100/min`.

        Raises:
            UsageError: For anything else.
        """
        match = _RATE.fullmatch(text.strip())
        if match is None:
            raise UsageError(
                "Invalid rate. Expected a number of requests per s, min, h or day. Received: "
                f"{text!r}.",
                hint="use --rate 100/min",
            )
        return cls(int(match[1]), match[2])

    @property
    def per_second(self) -> float:
        """Requests a second, on average."""
        return self.count / _UNITS_S[self.unit]

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.count}/{self.unit}"


@final
@dataclass(frozen=True, slots=True)
class Key:
    """The stored entry of a key, without the key itself.

    Attributes:
        id: 8 letters and digits, a part of the key; not a secret.
        name: What its owner is called.
        sha256: Digest of the whole key. A fast hash is right here: it is for passwords, which can
            be guessed, that hashing has to be slow; 256 random bits cannot be guessed at any speed.
        scopes: What it may do, some of `SCOPES`.
        rate: How often it may ask; None for no limit.
        concurrent: How many of its requests may be in work at once; None for no limit.
        created: When it was made.
        expires: From when on it is refused; None for never.
        revoked: When it was revoked; None when it was not.
    """

    id: str
    name: str
    sha256: str
    scopes: tuple[str, ...]
    rate: Rate | None
    concurrent: int | None
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what no key may be."""
        if not _NAME.fullmatch(self.name) or self.name != self.name.strip():
            raise UsageError(
                "Invalid name of a key. Expected 1 to 64 characters without control characters or "
                f"spaces around them. Received: {self.name[:80]!r}."
            )
        for scope in self.scopes:
            if scope not in SCOPES:
                raise UsageError(unknown_name("scope", scope, SCOPES))
        if not self.scopes:
            raise UsageError("A key needs at least one scope.", hint="use --scope predict")
        if self.concurrent is not None and not 1 <= self.concurrent <= _MOST_CONCURRENT:
            raise UsageError(
                f"Invalid number of concurrent requests. Expected 1 to {_MOST_CONCURRENT}. "
                f"Received: {self.concurrent}."
            )

    def matches(self, text: str) -> bool:
        """Return whether `text` is this key; takes the same time wherever they differ."""
        return hmac.compare_digest(digest(text), self.sha256)

    def state(self, now: datetime) -> str:
        """Return `active`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "active"

    def to_json(self) -> dict[str, Any]:
        """Return the key's entry in the file."""
        return {
            "id": self.id,
            "name": self.name,
            "sha256": self.sha256,
            "scopes": list(self.scopes),
            "rate": None if self.rate is None else str(self.rate),
            "concurrent": self.concurrent,
            "created": shown_time(self.created),
            "expires": None if self.expires is None else shown_time(self.expires),
            "revoked": None if self.revoked is None else shown_time(self.revoked),
        }

    @classmethod
    def from_json(cls, entry: Any) -> Self:
        """Return the key of an entry in the file.

        Raises:
            UsageError: If it is none; the message names the field.
        """
        if not isinstance(entry, dict):
            raise UsageError("Expected an object for each key.")
        _check_types(entry)
        unknown = sorted(set(entry) - set(_TYPES))
        if unknown:
            # A limit that is misspelt must not become a key without that limit.
            raise UsageError(unknown_name("field of a key", str(unknown[0])[:80], _TYPES))
        expires, revoked, rate = entry["expires"], entry["revoked"], entry["rate"]
        return cls(
            id=entry["id"],
            name=entry["name"],
            sha256=entry["sha256"],
            scopes=tuple(entry["scopes"]),
            rate=None if rate is None else Rate.parse(rate),
            concurrent=entry["concurrent"],
            created=_read_time(entry["created"]),
            expires=None if expires is None else _read_time(expires),
            revoked=None if revoked is None else _read_time(revoked),
        )


_TYPES: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "name": str,
    "sha256": str,
    "scopes": list,
    "rate": (str, type(None)),
    "concurrent": (int, type(None)),
    "created": str,
    "expires": (str, type(None)),
    "revoked": (str, type(None)),
}


def _check_types(entry: dict[str, Any]) -> None:
    for name, kind in _TYPES.items():
        if name not in entry:
            raise UsageError(f"Missing field {name!r} of a key.")
        value = entry[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UsageError(f"Invalid field {name!r} of a key. Received: {str(value)[:80]!r}.")
    if not _ID.fullmatch(entry["id"]) or not re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]):
        raise UsageError("Invalid id or sha256 of a key.")
    if not all(isinstance(scope, str) for scope in entry["scopes"]):
        raise UsageError("Invalid field 'scopes' of a key. Expected a list of strings.")


def new_key() -> tuple[str, str]:
    """Return a new key and its id."""
    name = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
    body = f"{PREFIX}{name}_{_base62(secrets.randbits(256), _SECRET_LENGTH)}"
    return body + _checksum(body), name


def id_of(text: str) -> str | None:
    """Return the id in a key; None for a text that is no key of foveal's."""
    match = _FORM.fullmatch(text)
    if match is None or not hmac.compare_digest(
        _checksum(text[:-_CHECKSUM_LENGTH]), text[-_CHECKSUM_LENGTH:]
    ):
        return None
    return match[1]


def claimed_id(text: str) -> str:
    """Return what stands where the id of a key does; whether it is one, its digest says."""
    return text[len(PREFIX) : len(PREFIX) + _ID_LENGTH]


def digest(text: str) -> str:
    """Return what is stored of a key: the SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def parse_duration(text: str) -> timedelta:
    """Return the time that `30min`, `12h`, `90d`, `2w` or `1y` stands for.

    Raises:
        UsageError: For anything else.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(
            f"Invalid lifetime of a key. Expected 30min, 12h, 90d, 2w or 1y. Received: {text!r}.",
            hint="use --expires 90d",
        )
    return int(match[1]) * _DURATIONS[match[2]]


def shown_time(time: datetime) -> str:
    """Return a time in UTC, to the second, in ISO 8601."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"Invalid time of a key: {text[:80]!r}.") from error
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM_LENGTH)
