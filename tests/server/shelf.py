"""A store in memory, for tests of what follows one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from foveal.bundle import Bundle


@dataclass(frozen=True)
class Choice:
    """A version, an alias, or neither."""

    version: int | None = None
    alias: str | None = None


@dataclass(frozen=True)
class State:
    """What the store has under one name."""

    versions: tuple[int, ...]
    aliases: Mapping[str, int]

    @property
    def current(self) -> int | None:
        return self.aliases.get("live", max(self.versions, default=None))


@dataclass
class Shelf:
    """A store in memory; a version whose bundle is an error is damaged."""

    bundles: dict[int, Bundle | Exception]
    aliases: dict[str, int] = field(default_factory=dict)
    opened: list[int] = field(default_factory=list)

    def names(self) -> tuple[str, ...]:
        return ("tiny",)

    def state(self, name: str) -> State:
        return State(tuple(self.bundles), dict(self.aliases))

    def bundle(self, name: str, version: int) -> Bundle:
        self.opened.append(version)
        found = self.bundles[version]
        if isinstance(found, Exception):
            raise found
        return found


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    while not holds():
        time.sleep(0.005)
