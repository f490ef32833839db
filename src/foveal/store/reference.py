"""References to stored models: `cats`, `cats@live` or `cats:3`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

from foveal.errors import UsageError
from foveal.names import is_name

_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


@final
@dataclass(frozen=True, slots=True)
class Reference:
    """A name, and one of its versions.

    Attributes:
        name: The name.
        version: The version; None unless it was given.
        alias: The alias; None unless it was given.
    """

    name: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        """Return what a user types."""
        if self.version is not None:
            return f"{self.name}:{self.version}"
        return self.name if self.alias is None else f"{self.name}@{self.alias}"

    @classmethod
    def parse(cls, text: str) -> Reference | None:
        """Return the reference that a text is, or None where it cannot be one."""
        name, sign, rest = text.partition(":" if ":" in text else "@")
        if not is_name(name):
            return None
        if not sign:
            return cls(name)
        if sign == ":":
            return cls(name, version=int(rest)) if _VERSION.fullmatch(rest) else None
        return cls(name, alias=rest) if _ALIAS.fullmatch(rest) else None

    @classmethod
    def read(cls, text: str) -> Reference:
        """Return the reference that a text must be.

        Raises:
            UsageError: If it is none.
        """
        reference = cls.parse(text)
        if reference is None:
            raise UsageError(
                f"Invalid model {text!r}. Expected NAME, NAME@ALIAS or NAME:VERSION, such as "
                "cats, cats@live or cats:3."
            )
        return reference


def version_number(name: str) -> int | None:
    """Return the version that a folder of this name holds: only plain positive numbers are."""
    return int(name) if _VERSION.fullmatch(name) else None


def check_name(name: str) -> str:
    """Return the name of a model, which is also that of a folder and of a route.

    Raises:
        UsageError: If it is none.
    """
    if not is_name(name):
        raise UsageError(
            f"Invalid name {name!r}. Expected up to 64 letters, digits, '.', '_', '-'; the first "
            "a letter or digit."
        )
    return name


def check_alias(alias: str) -> str:
    """Return the name of an alias.

    Raises:
        UsageError: If it is none.
    """
    if not _ALIAS.fullmatch(alias):
        raise UsageError(
            f"Invalid alias {alias!r}. Expected up to 64 letters, digits, '.', '_', '-'; the "
            "first a letter."
        )
    return alias
